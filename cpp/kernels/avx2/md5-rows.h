// Eight MD5 streams in vectors of one word of each: what is the same with AVX2 and with what came
// later. Only files of AVX2 or more include this header; internal linkage, as in md5-lanes.h.
#pragma once

#include <immintrin.h>

#include "../md5-lanes.h"

namespace mlc {
namespace {

// 16 bytes of stream i in the lower half, the same of stream i + 4 in the upper half.
inline __m256i load_pair(const uint8_t* low, const uint8_t* high) {
  const __m128i lower = _mm_loadu_si128(reinterpret_cast<const __m128i*>(low));
  const __m128i upper = _mm_loadu_si128(reinterpret_cast<const __m128i*>(high));
  return _mm256_inserti128_si256(_mm256_castsi128_si256(lower), upper, 1);
}

// Four words of eight streams become four vectors of eight lanes. Streams i and i + 4 share a
// register from the start, so a 4 x 4 transposition of words in each half is all there is to do:
//   rows    a0 a1 a2 a3   b0 b1 b2 b3   c0 c1 c2 c3   d0 d1 d2 d3
//   unpack  a0 b0 a1 b1   a2 b2 a3 b3   c0 d0 c1 d1   c2 d2 c3 d3
//   unpack  a0 b0 c0 d0   a1 b1 c1 d1   a2 b2 c2 d2   a3 b3 c3 d3
MLC_ALWAYS_INLINE void load_quarter(const uint8_t* const* data, size_t offset, __m256i* words) {
  const __m256i a = load_pair(data[0] + offset, data[4] + offset);
  const __m256i b = load_pair(data[1] + offset, data[5] + offset);
  const __m256i c = load_pair(data[2] + offset, data[6] + offset);
  const __m256i d = load_pair(data[3] + offset, data[7] + offset);
  const __m256i ab_low = _mm256_unpacklo_epi32(a, b);
  const __m256i ab_high = _mm256_unpackhi_epi32(a, b);
  const __m256i cd_low = _mm256_unpacklo_epi32(c, d);
  const __m256i cd_high = _mm256_unpackhi_epi32(c, d);
  words[0] = _mm256_unpacklo_epi64(ab_low, cd_low);
  words[1] = _mm256_unpackhi_epi64(ab_low, cd_low);
  words[2] = _mm256_unpacklo_epi64(ab_high, cd_high);
  words[3] = _mm256_unpackhi_epi64(ab_high, cd_high);
}

// The part of an `L` of md5-lanes.h that is not the functions of RFC 1321.
struct EightStreams {
  using Vector = __m256i;
  static constexpr size_t kLanes = 8;

  static Vector load(const uint32_t* words) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
  }
  static void store(uint32_t* words, Vector v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words), v);
  }
  static Vector constant(const uint32_t* word) {
    return _mm256_set1_epi32(static_cast<int>(*word));
  }
  static Vector add(Vector a, Vector b) { return _mm256_add_epi32(a, b); }

  static MLC_ALWAYS_INLINE void load_block(const uint8_t* const* data, size_t offset,
                                           Vector* words) {
    for (size_t quarter = 0; quarter < 4; ++quarter) {
      load_quarter(data, offset + 16 * quarter, words + 4 * quarter);
    }
  }
};

}  // namespace
}  // namespace mlc
