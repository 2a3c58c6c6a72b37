// FasterTransformer's row-wise quantization.
#include "../ft-maximum.h"
#include "../measured-bytes.h"
#include "block-sums.h"
#include "codes.h"
#include "largest.h"

namespace mlc {
namespace {

// Codes in the low bits of the lanes, by the definition.
class ByDivision {
 public:
  explicit ByDivision(float scale) : divisor_(_mm512_set1_ps(scale)) {}

  __m512i operator()(__m512 w) const {
    const __m512 t = round16<DType::kF16>(_mm512_div_ps(w, divisor_));
    const __mmask16 number = _mm512_cmp_ps_mask(t, t, _CMP_ORD_Q);
    const __m512 low = _mm512_maskz_max_ps(number, t, _mm512_set1_ps(-FtSteps::kZero));
    const __m512 clamped = _mm512_min_ps(low, _mm512_set1_ps(7.0f));
    return _mm512_castps_si512(_mm512_add_ps(clamped, _mm512_set1_ps(kMagic + FtSteps::kZero)));
  }

 private:
  __m512 divisor_;
};

// Right where the row's largest magnitude is ordinary.
class ByThresholds {
 public:
  explicit ByThresholds(float scale) : row_(codes_.group(scale, 1.0f / scale)) {}

  __m512i operator()(__m512 w) const { return codes_(w, row_); }

 private:
  Thresholds<FtSteps> codes_;
  Thresholds<FtSteps>::Group row_;
};

template <class Code, bool kMeasured, bool kLargest>
void quantize_block(const CompareArgs& args, uint8_t* codes, Sums* total) {
  const uint8_t* src = args.src;
  const Code code_of(args.scale);
  const __m512 scale = _mm512_set1_ps(args.scale);
  Sums sums = no_sums();
  by_sixteens(0, args.count, [&](size_t at, __mmask16 lanes) {
    const __m512 w = load16<DType::kF16>(src + at * 2, lanes);
    const __m512i code = code_of(w);
    _mm_mask_storeu_epi8(codes + at, lanes, _mm512_cvtepi32_epi8(code));
    if (!kMeasured) return;
    const __m512 around_zero = _mm512_maskz_mov_ps(lanes, centred<FtSteps>(code));
    add<kLargest>(w, around_zero, scale, &sums);
  });
  if (kMeasured) *total = sums;
}

// kRare: errors may be of any size.
template <class Code, bool kRare>
void quantize_row(const CompareArgs& row, uint8_t* codes, Statistics* statistics) {
  if (statistics == nullptr) return quantize_block<Code, false, false>(row, codes, nullptr);
  const bool largest =
      kRare || !(row.scale * kMostError < static_cast<float>(statistics->max_error));
  measure_blocks(row, codes,
                 largest ? quantize_block<Code, true, true> : quantize_block<Code, true, false>,
                 statistics);
  add_ft_scale(row.scale, statistics);
}

void quantize(const uint8_t* src, size_t rows, size_t cols, uint8_t* codes, uint8_t* scales,
              Statistics* statistics) {
  for (size_t r = 0; r < rows; ++r) {
    const uint8_t* row = src + r * cols * 2;
    const uint32_t largest = largest16(row, cols);
    const short maximum = static_cast<short>(ft_maximum(kAvx512Fp8, row, cols, largest));
    const __m512 max = _mm512_cvtph_ps(_mm256_set1_epi16(maximum));
    const __m512 exact = _mm512_div_ps(max, _mm512_set1_ps(7.0f));
    if (scales != nullptr) store16<DType::kF16>(scales + r * 2, exact, 1);
    if (codes == nullptr) continue;
    uint8_t* row_codes = codes + r * cols;
    const float scale = _mm512_cvtss_f32(round16<DType::kF16>(exact));
    const auto quantize_by = ordinary(DType::kF16).has(largest) ? quantize_row<ByThresholds, false>
                                                                : quantize_row<ByDivision, true>;
    quantize_by(ft_args(row, scale, row_codes, cols), row_codes, statistics);
  }
}

}  // namespace

const FtKernels kAvx512Ft = {quantize};

}  // namespace mlc
