// Per-tensor fp8 in NEON.
#include "../backends.h"
#include "../fp8-formats.h"
#include "../measured-bytes.h"
#include "floats.h"

namespace mlc {
namespace {

void absmax(const uint8_t* src, size_t count, uint16_t* running) {
  uint16x8_t max = vdupq_n_u16(0);
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const uint16x8_t magnitude = vandq_u16(load_u16(src + i * 2), vdupq_n_u16(0x7FFF));
    const uint16x8_t number = vcleq_u16(magnitude, vdupq_n_u16(0x7C00));
    max = vmaxq_u16(max, vandq_u16(magnitude, number));
  }
  const uint16_t whole = vmaxvq_u16(max);
  if (whole > *running) *running = whole;
  kReferenceFp8.absmax(src + i * 2, count - i, running);
}

// A normal number keeps its upper mantissa bits, rounded as an integer, with the exponent rebiased;
// below the smallest normal the code is the number of smallest subnormals: 8 of them, or 4, are the
// smallest normal again. The sign is the dividend's.
template <class Format>
uint32x4_t encode_four(float32x4_t dividend, float32x4_t scale) {
  const uint32x4_t bits = bits_of(vdivq_f32(dividend, scale));
  const uint32x4_t sign = vandq_u32(vshrq_n_u32(bits_of(dividend), 24), vdupq_n_u32(0x80));
  const uint32x4_t magnitude = vandq_u32(bits, vdupq_n_u32(0x7FFFFFFF));

  const uint32x4_t odd = vandq_u32(vshrq_n_u32(magnitude, kDrop<Format>), vdupq_n_u32(1));
  const uint32x4_t half = vdupq_n_u32((1u << (kDrop<Format> - 1)) - 1);
  const uint32x4_t rounded = vshrq_n_u32(vaddq_u32(magnitude, vaddq_u32(half, odd)), kDrop<Format>);
  const uint32x4_t normal = vsubq_u32(rounded, vdupq_n_u32(kRebias<Format>));

  const float32x4_t unit = vdupq_n_f32(static_cast<float>(1 << kSubnormal<Format>));
  const uint32x4_t subnormal = vcvtnq_u32_f32(vmulq_f32(vreinterpretq_f32_u32(magnitude), unit));

  const uint32x4_t smallest_normal = vdupq_n_u32((128 - Format::kBias) << 23);
  const uint32x4_t code = vbslq_u32(vcltq_u32(magnitude, smallest_normal), subnormal, normal);
  const uint32x4_t finite = vminq_u32(code, vdupq_n_u32(Format::kLargest));
  const uint32x4_t is_nan = vcgtq_u32(magnitude, vdupq_n_u32(0x7F800000));
  return vorrq_u32(sign, vbslq_u32(is_nan, vdupq_n_u32(Format::kNan), finite));
}

template <class Format>
void encode_eight(const uint8_t* src, float32x4_t scale, uint8_t* dst) {
  const uint16x8_t bits = load_u16(src);
  const uint32x4_t low = encode_four<Format>(widen_f16(vget_low_u16(bits)), scale);
  const uint32x4_t high = encode_four<Format>(widen_f16(vget_high_u16(bits)), scale);
  vst1_u8(dst, vmovn_u16(vcombine_u16(vmovn_u32(low), vmovn_u32(high))));
}

template <class Format>
void encode_all(const uint8_t* src, float scale, uint8_t* dst, size_t count) {
  const float32x4_t divisor = vdupq_n_f32(scale);
  size_t i = 0;
  for (; i + 8 <= count; i += 8) encode_eight<Format>(src + i * 2, divisor, dst + i);
  if (i == count) return;
  uint8_t in[16] = {0};
  uint8_t out[8];
  std::memcpy(in, src + i * 2, (count - i) * 2);
  encode_eight<Format>(in, divisor, out);
  std::memcpy(dst + i, out, count - i);
}

void encode(Fp8 format, const uint8_t* src, float scale, uint8_t* dst, size_t count,
            Statistics* statistics) {
  const auto encode_format = format == Fp8::kE4m3 ? &encode_all<E4m3> : &encode_all<E5m2>;
  encode_format(src, scale, dst, count);
  compare_fp8(kNeonStatistics, fp8_args(format, src, scale, dst, count), statistics);
}

}  // namespace

const Fp8Kernels kNeonFp8 = {absmax, encode};

}  // namespace mlc
