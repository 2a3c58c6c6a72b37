// FasterTransformer's row-wise quantization.
#include "../backends.h"
#include "../ft-maximum.h"
#include "../measured-bytes.h"
#include "codes.h"
#include "largest.h"

namespace mlc {
namespace {

// Codes in the low bits of the lanes, by the definition.
class ByDivision {
 public:
  explicit ByDivision(float scale) : divisor_(_mm256_set1_ps(scale)) {}

  __m256i operator()(__m256 w) const {
    const __m256 t = round8<DType::kF16>(_mm256_div_ps(w, divisor_));
    const __m256 number = _mm256_and_ps(t, _mm256_cmp_ps(t, t, _CMP_ORD_Q));
    const __m256 low = _mm256_max_ps(number, _mm256_set1_ps(-FtSteps::kZero));
    const __m256 clamped = _mm256_min_ps(low, _mm256_set1_ps(7.0f));
    return _mm256_castps_si256(_mm256_add_ps(clamped, _mm256_set1_ps(kMagic + FtSteps::kZero)));
  }

 private:
  __m256 divisor_;
};

// Right where the row's largest magnitude is ordinary.
class ByThresholds {
 public:
  explicit ByThresholds(float scale) : row_{_mm256_set1_ps(1.0f / scale)} {}

  __m256i operator()(__m256 w) const { return codes_(w, row_); }

 private:
  Thresholds<FtSteps> codes_;
  Thresholds<FtSteps>::Group row_;
};

// Sixteen codes in order.
template <class Code>
__m128i codes16(const Code& code_of, const uint8_t* in) {
  const __m256i nibble = _mm256_set1_epi32(0x0F);
  const __m256i low = _mm256_and_si256(code_of(load8<DType::kF16>(in)), nibble);
  const __m256i high = _mm256_and_si256(code_of(load8<DType::kF16>(in + 16)), nibble);
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xD8);
  return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

template <class Code>
void quantize_row(const uint8_t* row, size_t cols, float scale, uint8_t* codes) {
  const Code code_of(scale);
  size_t i = 0;
  for (; i + 16 <= cols; i += 16) store128(codes + i, codes16(code_of, row + i * 2));
  if (i == cols) return;
  uint8_t in[32] = {0};
  uint8_t out[16];
  std::memcpy(in, row + i * 2, (cols - i) * 2);
  store128(out, codes16(code_of, in));
  std::memcpy(codes + i, out, cols - i);
}

void quantize(const uint8_t* src, size_t rows, size_t cols, uint8_t* codes, uint8_t* scales,
              Statistics* statistics) {
  for (size_t r = 0; r < rows; ++r) {
    const uint8_t* row = src + r * cols * 2;
    const uint32_t largest = largest16(row, cols);
    const __m128i max = _mm_cvtsi32_si128(ft_maximum(kAvx2Fp8, row, cols, largest));
    const __m256 exact = _mm256_div_ps(_mm256_cvtph_ps(max), _mm256_set1_ps(7.0f));
    const __m128i stored = _mm256_cvtps_ph(exact, kNearestEven);
    const uint16_t bits = static_cast<uint16_t>(_mm_cvtsi128_si32(stored));
    if (scales != nullptr) std::memcpy(scales + r * 2, &bits, 2);
    if (codes == nullptr) continue;
    uint8_t* row_codes = codes + r * cols;
    const float scale = _mm256_cvtss_f32(_mm256_cvtph_ps(stored));
    const auto quantize_by =
        ordinary(DType::kF16).has(largest) ? quantize_row<ByThresholds> : quantize_row<ByDivision>;
    quantize_by(row, cols, scale, row_codes);
    compare_ft(kAvx2Statistics, ft_args(row, scale, row_codes, cols), statistics);
  }
}

}  // namespace

const FtKernels kAvx2Ft = {quantize};

}  // namespace mlc
