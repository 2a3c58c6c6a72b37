// FasterTransformer's row-wise quantization.
#include "../backends.h"
#include "../measured-bytes.h"
#include "vector.h"

namespace mlc {
namespace {

uint16_t load_u16(const uint8_t* at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return bits;
}

// The row's largest magnitude, or a NaN if there is nothing but NaNs.
uint16_t row_maximum(const uint8_t* row, size_t cols) {
  uint16_t max = 0;
  kAvx2Fp8.absmax(row, cols, &max);
  if (max != 0) return max;
  for (size_t i = 0; i < cols; ++i) {
    if ((load_u16(row + i * 2) & 0x7FFF) == 0) return 0;
  }
  return 0x7E00;
}

// Eight codes in the low bytes.
__m128i codes8(const uint8_t* in, __m256 divisor) {
  const __m256 t = round8<DType::kF16>(_mm256_div_ps(load8<DType::kF16>(in), divisor));
  const __m256 number = _mm256_and_ps(t, _mm256_cmp_ps(t, t, _CMP_ORD_Q));
  const __m256 low = _mm256_max_ps(number, _mm256_set1_ps(-8.0f));
  const __m256i whole = _mm256_cvtps_epi32(_mm256_min_ps(low, _mm256_set1_ps(7.0f)));
  const __m256i code = _mm256_add_epi32(whole, _mm256_set1_epi32(8));
  const __m128i words =
      _mm_packus_epi32(_mm256_castsi256_si128(code), _mm256_extracti128_si256(code, 1));
  return _mm_packus_epi16(words, words);
}

void quantize_row(const uint8_t* row, size_t cols, __m256 divisor, uint8_t* codes) {
  size_t i = 0;
  for (; i + 8 <= cols; i += 8) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(codes + i), codes8(row + i * 2, divisor));
  }
  if (i == cols) return;
  uint8_t in[16] = {0};
  uint8_t out[16];
  std::memcpy(in, row + i * 2, (cols - i) * 2);
  store128(out, codes8(in, divisor));
  std::memcpy(codes + i, out, cols - i);
}

void quantize(const uint8_t* src, size_t rows, size_t cols, uint8_t* codes, uint8_t* scales,
              Statistics* statistics) {
  for (size_t r = 0; r < rows; ++r) {
    const uint8_t* row = src + r * cols * 2;
    const __m128i max = _mm_cvtsi32_si128(row_maximum(row, cols));
    const __m256 exact = _mm256_div_ps(_mm256_cvtph_ps(max), _mm256_set1_ps(7.0f));
    const __m128i scale = _mm256_cvtps_ph(exact, kNearestEven);
    const uint16_t bits = static_cast<uint16_t>(_mm_cvtsi128_si32(scale));
    if (scales != nullptr) std::memcpy(scales + r * 2, &bits, 2);
    const __m256 divisor = _mm256_cvtph_ps(_mm_set1_epi16(static_cast<short>(bits)));
    if (codes == nullptr) continue;
    quantize_row(row, cols, divisor, codes + r * cols);
    const float scale_value = _mm256_cvtss_f32(divisor);
    compare_ft(kAvx2Statistics, ft_args(row, scale_value, codes + r * cols, cols), statistics);
  }
}

}  // namespace

const FtKernels kAvx2Ft = {quantize};

}  // namespace mlc
