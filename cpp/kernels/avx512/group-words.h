// Codes into words of 32 bits: values in the low nibble of the lanes; what is above is not looked
// at.
#pragma once

#include "vector.h"

namespace mlc {
namespace {

// Values 0 ... 31, sixteen a vector.
__m128i pack_words4(const __m512i* v) {
  const __m256i bytes = _mm256_set_m128i(_mm512_cvtepi32_epi8(v[1]), _mm512_cvtepi32_epi8(v[0]));
  const __m256i nibbles = _mm256_and_si256(bytes, _mm256_set1_epi8(0x0F));
  return _mm256_cvtepi16_epi8(_mm256_maddubs_epi16(nibbles, _mm256_set1_epi16(0x1001)));
}

// Values 0 2 ... 30 and 1 3 ... 31.
__m128i pack_pairs4(__m512i even, __m512i odd) {
  return _mm512_cvtepi32_epi8(_mm512_or_si512(even, _mm512_slli_epi32(odd, 4)));
}

// Ten 3-bit values in bytes 0 ... 9 of each half -> dwords whose sum is the word (30 bits).
__m256i spread_words3(__m128i first, __m128i second) {
  const __m256i bytes = _mm256_set_m128i(second, first);
  const __m256i one_eight =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(1, 8, 1, 8, 1, 8, 1, 8, 1, 8, 0, 0, 0, 0, 0, 0));
  const __m256i one_64 = _mm256_broadcastsi128_si256(_mm_setr_epi16(1, 64, 1, 64, 1, 0, 0, 0));
  const __m256i pairs = _mm256_maddubs_epi16(bytes, one_eight);  // 6 bits each
  const __m256i fours = _mm256_madd_epi16(pairs, one_64);        // 12, 12 and 6 bits
  return _mm256_sllv_epi32(fours, _mm256_setr_epi32(0, 12, 24, 0, 0, 12, 24, 0));
}

__m128i pack_words3(const __m512i* v) {
  __m128i bytes[3];
  for (size_t i = 0; i < 3; ++i) {
    bytes[i] = _mm_and_si128(_mm512_cvtepi32_epi8(v[i]), _mm_set1_epi8(7));
  }
  const __m128i from10 = _mm_alignr_epi8(bytes[1], bytes[0], 10);
  const __m128i from20 = _mm_alignr_epi8(bytes[2], bytes[1], 4);
  const __m128i from30 = _mm_alignr_epi8(bytes[2], bytes[1], 14);
  // Halves (word 0, word 2) and (word 1, word 3), so that the sums come out as 0 1 0 1 | 2 3 2 3.
  const __m256i sums =
      _mm256_hadd_epi32(spread_words3(bytes[0], from20), spread_words3(from10, from30));
  const __m256i words = _mm256_hadd_epi32(sums, sums);
  return _mm_unpacklo_epi64(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

template <class S>
__m128i pack(const __m512i* v) {
  return S::kBits == 4 ? pack_words4(v) : pack_words3(v);
}

}  // namespace
}  // namespace mlc
