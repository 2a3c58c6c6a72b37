// FasterTransformer's row-wise quantization.
#include "../measured-bytes.h"
#include "block-sums.h"

namespace mlc {
namespace {

// The row's largest magnitude, or a NaN if there is nothing but NaNs.
uint16_t row_maximum(const uint8_t* row, size_t cols) {
  uint16_t max = 0;
  kAvx512Fp8.absmax(row, cols, &max);
  if (max != 0) return max;
  for (size_t i = 0; i < cols; ++i) {
    if ((read_bits(row + i * 2, 2) & 0x7FFF) == 0) return 0;
  }
  return 0x7E00;
}

// Codes around zero.
__m512i codes16(__m512 w, __m512 divisor) {
  const __m512 t = round16<DType::kF16>(_mm512_div_ps(w, divisor));
  const __mmask16 number = _mm512_cmp_ps_mask(t, t, _CMP_ORD_Q);
  const __m512 low = _mm512_maskz_max_ps(number, t, _mm512_set1_ps(-8.0f));
  return _mm512_cvtps_epi32(_mm512_min_ps(low, _mm512_set1_ps(7.0f)));
}

template <bool kMeasured>
BlockSums quantize_block(const CompareArgs& args, uint8_t* codes) {
  const __m512 divisor = _mm512_set1_ps(args.scale);
  BlockSums sums = no_block_sums();
  by_sixteens(args.count, [&](size_t at, __mmask16 lanes) {
    const __m512 w = load16<DType::kF16>(args.src + at * 2, lanes);
    const __m512i around_zero = codes16(w, divisor);
    const __m512i code = _mm512_add_epi32(around_zero, _mm512_set1_epi32(8));
    _mm_mask_storeu_epi8(codes + at, lanes, _mm512_cvtepi32_epi8(code));
    if (kMeasured) add_sixteen(at, w, _mm512_maskz_cvtepi32_ps(lanes, around_zero), divisor, &sums);
  });
  return sums;
}

void quantize_row(const CompareArgs& row, uint8_t* codes, Statistics* statistics) {
  if (statistics == nullptr) {
    quantize_block<false>(row, codes);
  } else {
    measure_blocks(row, codes, quantize_block<true>, statistics);
    add_ft_scale(row.scale, statistics);
  }
}

void quantize(const uint8_t* src, size_t rows, size_t cols, uint8_t* codes, uint8_t* scales,
              Statistics* statistics) {
  for (size_t r = 0; r < rows; ++r) {
    const uint8_t* row = src + r * cols * 2;
    const __m512 max =
        _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<short>(row_maximum(row, cols))));
    const __m512 exact = _mm512_div_ps(max, _mm512_set1_ps(7.0f));
    if (scales != nullptr) store16<DType::kF16>(scales + r * 2, exact, 1);
    if (codes == nullptr) continue;
    uint8_t* row_codes = codes + r * cols;
    const float scale = _mm512_cvtss_f32(round16<DType::kF16>(exact));
    quantize_row(ft_args(row, scale, row_codes, cols), row_codes, statistics);
  }
}

}  // namespace

const FtKernels kAvx512Ft = {quantize};

}  // namespace mlc
