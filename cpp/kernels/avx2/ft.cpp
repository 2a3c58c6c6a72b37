// FasterTransformer's row-wise quantization.
#include "../ft-rows.h"
#include "codes.h"
#include "largest.h"
#include "sums.h"

namespace mlc {
namespace {

struct Avx2Rows {
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

  using ByThresholds = RowThresholds<Thresholds<FtSteps>>;

  static constexpr const Fp8Kernels& fp8 = kAvx2Fp8;

  static uint32_t largest(const uint8_t* row, size_t count) { return largest16(row, count); }

  template <class Code, bool kMeasured, bool kLargest>
  static void block(const CompareArgs& args, uint8_t* codes, Sums* total) {
    const Code code_of(args.scale);
    const __m256 scale = _mm256_set1_ps(args.scale);
    const __m256i nibble = _mm256_set1_epi32(0x0F);
    Sums sums = no_sums();
    const auto code8 = [&](const uint8_t* in, size_t half) {
      const __m256 w = load8<DType::kF16>(in);
      const __m256i code = code_of(w);
      if (kMeasured) add<kLargest>(half, w, centred<FtSteps>(code), scale, &sums);
      return _mm256_and_si256(code, nibble);
    };
    by_sixteens(args.src, args.count, codes, [&](const uint8_t* in) {
      const __m256i first = code8(in, 0);
      return low_bytes(first, code8(in + 16, 1));
    });
    if (kMeasured) *total = sums;
  }
};

}  // namespace

const FtKernels kAvx2Ft = {quantize_ft_rows<Avx2Rows>};

}  // namespace mlc
