// FasterTransformer's row-wise quantization in NEON.
#include "../backends.h"
#include "../measured-bytes.h"
#include "floats.h"

namespace mlc {
namespace {

constexpr uint16_t kQuietNan = 0x7E00;

// Eight elements of a row that has `left` more; what is missing is NaN, which counts for nothing.
uint16x8_t load_part(const uint8_t* at, size_t left) {
  if (left >= 8) return load_u16(at);
  uint8_t padded[16];
  std::memset(padded, 0xFF, sizeof padded);
  std::memcpy(padded, at, left * 2);
  return load_u16(padded);
}

// max |w| of a row without its NaNs, as f16 bits; NaN if there is nothing else.
uint16_t row_maximum(const uint8_t* row, size_t cols) {
  uint16x8_t max = vdupq_n_u16(0);
  uint16x8_t any = vdupq_n_u16(0);
  for (size_t i = 0; i < cols; i += 8) {
    const uint16x8_t magnitude = vandq_u16(load_part(row + i * 2, cols - i), vdupq_n_u16(0x7FFF));
    const uint16x8_t number = vcleq_u16(magnitude, vdupq_n_u16(0x7C00));
    max = vmaxq_u16(max, vandq_u16(magnitude, number));
    any = vorrq_u16(any, number);
  }
  return vmaxvq_u16(any) != 0 ? vmaxvq_u16(max) : kQuietNan;
}

// The conversion to integers rounds half to even, saturates, and makes 0 of a NaN.
int16x4_t code_four(uint16x4_t w, float32x4_t scale) {
  const float32x4_t t = round_to_f16(vdivq_f32(widen_f16(w), scale));
  const int32x4_t q = vcvtnq_s32_f32(t);
  return vmovn_s32(vminq_s32(vmaxq_s32(q, vdupq_n_s32(-8)), vdupq_n_s32(7)));
}

uint8x8_t code_eight(uint16x8_t w, float32x4_t scale) {
  const int16x4_t low = code_four(vget_low_u16(w), scale);
  const int16x4_t high = code_four(vget_high_u16(w), scale);
  const int16x8_t codes = vaddq_s16(vcombine_s16(low, high), vdupq_n_s16(8));
  return vmovn_u16(vreinterpretq_u16_s16(codes));
}

// Either of `codes`, `scale` may be null. Returns the scale.
float quantize_row(const uint8_t* row, size_t cols, uint8_t* codes, uint8_t* scale) {
  const float32x4_t max = widen_f16(vdup_n_u16(row_maximum(row, cols)));
  const uint16x4_t narrow = narrow_f16(vdivq_f32(max, vdupq_n_f32(7.0f)));
  if (scale != nullptr) {
    const uint16_t bits = vget_lane_u16(narrow, 0);
    std::memcpy(scale, &bits, sizeof bits);
  }
  const float32x4_t divisor = widen_f16(narrow);
  for (size_t i = 0; codes != nullptr && i < cols; i += 8) {
    const size_t left = cols - i;
    const uint8x8_t eight = code_eight(load_part(row + i * 2, left), divisor);
    if (left >= 8) {
      vst1_u8(codes + i, eight);
    } else {
      uint8_t out[8];
      vst1_u8(out, eight);
      std::memcpy(codes + i, out, left);
    }
  }
  return vgetq_lane_f32(divisor, 0);
}

void quantize(const uint8_t* src, size_t rows, size_t cols, uint8_t* codes, uint8_t* scales,
              Statistics* statistics) {
  for (size_t r = 0; r < rows; ++r) {
    const uint8_t* row = src + r * cols * 2;
    uint8_t* row_codes = codes == nullptr ? nullptr : codes + r * cols;
    const float scale =
        quantize_row(row, cols, row_codes, scales == nullptr ? nullptr : scales + r * 2);
    compare_ft(kNeonStatistics, ft_args(row, scale, row_codes, cols), statistics);
  }
}

}  // namespace

const FtKernels kNeonFt = {quantize};

}  // namespace mlc
