// What conversion lost, 32 elements at a time. A block with anything that is lost or not finite is
// the reference's.
#include "../backends.h"
#include "../statistics-blocks.h"
#include "largest.h"
#include "sums.h"

namespace mlc {
namespace {

// What is stored, but for a factor of 256 that e4m3 lacks.
template <Stored S>
__m256 load_stored(const uint8_t* at) {
  if (S == Stored::kF32) return load8<DType::kF32>(at);
  if (S == Stored::kF16) return load8<DType::kF16>(at);
  if (S == Stored::kBf16) return load8<DType::kBf16>(at);
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at));
  if (S == Stored::kFtCode) {
    const __m256i codes = _mm256_cvtepu8_epi32(bytes);
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(codes, _mm256_set1_epi32(8)));
  }
  const __m128i upper = _mm_slli_epi16(_mm_cvtepu8_epi16(bytes), 8);
  if (S == Stored::kE5m2) return _mm256_cvtph_ps(upper);
  // The sign stays, exponent and mantissa move to where f16 has them.
  return _mm256_cvtph_ps(_mm_and_si128(_mm_srai_epi16(upper, 1), _mm_set1_epi16(-0x4080)));
}

// 32 elements that are stored without an error.
template <DType From>
void add32_values(const uint8_t* src, Sums* sums) {
  for (size_t i = 0; i < 4; ++i) {
    add_values(i % 2, load8<From>(src + i * 8 * width_of(From)), sums);
  }
}

template <DType From, Stored S>
void add32(const uint8_t* src, const uint8_t* made, __m256 scale, Sums* sums) {
  for (size_t i = 0; i < 4; ++i) {
    const __m256 value = load8<From>(src + i * 8 * width_of(From));
    add(i % 2, value, load_stored<S>(made + i * 8 * width_of(S)), scale, sums);
  }
}

struct Avx2Lost {
  static uint32_t largest(const uint8_t* src, size_t width, size_t count) {
    return width == 2 ? largest16(src, count) : largest32(src, count);
  }

  template <uint32_t kLeast, uint32_t kLimit>
  static bool all_within(const uint8_t* src) {
    const __m256i least = _mm256_set1_epi16(kLeast);
    const __m256i most = _mm256_set1_epi16(kLimit - 1);
    __m256i outside = _mm256_setzero_si256();
    for (size_t i = 0; i < 2; ++i) {
      const __m256i magnitude = _mm256_and_si256(load256(src + i * 32), _mm256_set1_epi16(0x7FFF));
      outside = _mm256_or_si256(outside, _mm256_cmpgt_epi16(least, magnitude));
      outside = _mm256_or_si256(outside, _mm256_cmpgt_epi16(magnitude, most));
    }
    return _mm256_testz_si256(outside, outside) != 0;
  }

  template <DType From, Stored S>
  static void block(const CompareArgs& args, Statistics* out) {
    const __m256 scale = _mm256_set1_ps(S == Stored::kE4m3 ? args.scale * 256.0f : args.scale);
    Sums sums = no_sums();
    size_t i = 0;
    for (; i + 32 <= args.count; i += 32) {
      const uint8_t* src = args.src + i * width_of(From);
      if (are_kept<Avx2Lost, From, S>(src)) {
        add32_values<From>(src, &sums);
      } else {
        add32<From, S>(src, args.made + i * width_of(S), scale, &sums);
      }
    }
    if (i < args.count) {  // zeros behind the last elements
      uint8_t src[128] = {};
      uint8_t made[128];
      std::memset(made, S == Stored::kFtCode ? 8 : 0, sizeof made);
      std::memcpy(src, args.src + i * width_of(From), (args.count - i) * width_of(From));
      std::memcpy(made, args.made + i * width_of(S), (args.count - i) * width_of(S));
      add32<From, S>(src, made, scale, &sums);
    }
    add_block(sums, args, out);
  }
};

}  // namespace

const StatisticsKernels kAvx2Statistics = {count<Avx2Lost>, compare<Avx2Lost>};

}  // namespace mlc
