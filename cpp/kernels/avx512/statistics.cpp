// What conversion lost.
#include "../statistics-blocks.h"
#include "largest.h"
#include "sums.h"

namespace mlc {
namespace {

// What is stored, but for a factor of 256 that e4m3 lacks; lanes outside the mask are zero.
template <Stored S>
__m512 load_stored(const uint8_t* at, __mmask16 lanes) {
  if (S == Stored::kF32) return load16<DType::kF32>(at, lanes);
  if (S == Stored::kF16) return load16<DType::kF16>(at, lanes);
  if (S == Stored::kBf16) return load16<DType::kBf16>(at, lanes);
  const __m128i bytes = _mm_maskz_loadu_epi8(lanes, at);
  if (S == Stored::kFtCode) {
    const __m512i codes = _mm512_sub_epi32(_mm512_cvtepu8_epi32(bytes), _mm512_set1_epi32(8));
    return _mm512_maskz_cvtepi32_ps(lanes, codes);
  }
  const __m256i upper = _mm256_slli_epi16(_mm256_cvtepu8_epi16(bytes), 8);
  if (S == Stored::kE5m2) return _mm512_cvtph_ps(upper);
  // The sign stays, exponent and mantissa move to where f16 has them.
  const __m256i moved = _mm256_and_si256(_mm256_srai_epi16(upper, 1), _mm256_set1_epi16(-0x4080));
  return _mm512_cvtph_ps(moved);
}

struct Avx512Lost {
  static uint32_t largest(const uint8_t* src, size_t width, size_t count) {
    return width == 2 ? largest16(src, count) : largest32(src, count);
  }

  template <uint32_t kLeast, uint32_t kLimit>
  static bool all_within(const uint8_t* src) {
    const __m512i magnitude = _mm512_and_si512(load512(src), _mm512_set1_epi16(0x7FFF));
    const __m512i above = _mm512_sub_epi16(magnitude, _mm512_set1_epi16(kLeast));
    return _mm512_cmplt_epu16_mask(above, _mm512_set1_epi16(kLimit - kLeast)) == ~__mmask32{0};
  }

  template <DType From, Stored S>
  static void block(const CompareArgs& args, Statistics* out) {
    const __m512 scale = _mm512_set1_ps(S == Stored::kE4m3 ? args.scale * 256.0f : args.scale);
    Sums sums = no_sums();
    const auto add_sixteen = [&](size_t at, __mmask16 lanes) {
      const __m512 value = load16<From>(args.src + at * width_of(From), lanes);
      add(value, load_stored<S>(args.made + at * width_of(S), lanes), scale, &sums);
    };
    size_t i = 0;
    for (; i + 32 <= args.count; i += 32) {
      const uint8_t* src = args.src + i * width_of(From);
      if (are_kept<Avx512Lost, From, S>(src)) {
        add_values(load16<From>(src), &sums);
        add_values(load16<From>(src + 16 * width_of(From)), &sums);
      } else {
        add_sixteen(i, kAllLanes);
        add_sixteen(i + 16, kAllLanes);
      }
    }
    by_sixteens(i, args.count, add_sixteen);
    add_block(sums, args, out);
  }
};

}  // namespace

const StatisticsKernels kAvx512Statistics = {count<Avx512Lost>, compare<Avx512Lost>};

}  // namespace mlc
