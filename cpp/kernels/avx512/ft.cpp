// FasterTransformer's row-wise quantization.
#include "../ft-rows.h"
#include "codes.h"
#include "largest.h"
#include "sums.h"

namespace mlc {
namespace {

struct Avx512Rows {
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

  using ByThresholds = RowThresholds<Thresholds<FtSteps>>;

  static constexpr const Fp8Kernels& fp8 = kAvx512Fp8;

  static uint32_t largest(const uint8_t* row, size_t count) { return largest16(row, count); }

  template <class Code, bool kMeasured, bool kLargest>
  static void block(const CompareArgs& args, uint8_t* codes, Sums* total) {
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
};

}  // namespace

const FtKernels kAvx512Ft = {quantize_ft_rows<Avx512Rows>};

}  // namespace mlc
