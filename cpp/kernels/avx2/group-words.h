// Codes into words of 32 bits.
//
// v[j] holds the values 8j ... 8j+7 in the low 16 bits of its lanes; what is above is not looked
// at.
#pragma once

#include "vector.h"

namespace mlc {
namespace {

// 32 bytes; dword j of the lower lane is values 8j ... 8j+3, of the upper lane 8j+4 ... 8j+7.
__m256i pack_bytes(const __m256i* v) {
  const __m256i v02 = _mm256_blend_epi16(v[0], _mm256_slli_epi32(v[2], 16), 0xAA);
  const __m256i v13 = _mm256_blend_epi16(v[1], _mm256_slli_epi32(v[3], 16), 0xAA);
  const __m256i bytes = _mm256_or_si256(v02, _mm256_slli_epi16(v13, 8));  // byte 4i+j is v[j][i]
  const __m256i gather = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0,
                                          4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm256_shuffle_epi8(bytes, gather);
}

// Word w: nibbles 8w ... 8w+7, lowest first.
__m128i pack_words4(const __m256i* v) {
  const __m256i bytes = pack_bytes(v);
  const __m256i pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi16(0x1001));
  const __m128i packed =
      _mm_packus_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
  return _mm_shuffle_epi8(packed,
                          _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
}

// Ten 3-bit values in bytes 0 ... 9 -> dwords whose sum is the word (30 bits).
__m128i spread_word3(__m128i bytes) {
  const __m128i one_eight = _mm_setr_epi8(1, 8, 1, 8, 1, 8, 1, 8, 1, 8, 0, 0, 0, 0, 0, 0);
  const __m128i one_64 = _mm_setr_epi16(1, 64, 1, 64, 1, 0, 0, 0);
  const __m128i pairs = _mm_maddubs_epi16(bytes, one_eight);  // 6 bits each
  const __m128i fours = _mm_madd_epi16(pairs, one_64);        // 12, 12 and 6 bits
  return _mm_sllv_epi32(fours, _mm_setr_epi32(0, 12, 24, 0));
}

__m128i pack_words3(const __m256i* v) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i low_bytes = _mm256_set1_epi32(0x0C080400);
  const __m256i last = _mm256_shuffle_epi8(v[4], low_bytes);
  const __m256i ordered = _mm256_permutevar8x32_epi32(pack_bytes(v), order);
  const __m128i from0 = _mm256_castsi256_si128(ordered);
  const __m128i from16 = _mm256_extracti128_si256(ordered, 1);
  const __m128i from32 =
      _mm_unpacklo_epi32(_mm256_castsi256_si128(last), _mm256_extracti128_si256(last, 1));
  const __m128i first =
      _mm_hadd_epi32(spread_word3(from0), spread_word3(_mm_alignr_epi8(from16, from0, 10)));
  const __m128i second = _mm_hadd_epi32(spread_word3(_mm_alignr_epi8(from32, from16, 4)),
                                        spread_word3(_mm_alignr_epi8(from32, from16, 14)));
  return _mm_hadd_epi32(first, second);
}

// Word w from v[0] (values 0 2 4 ... 14), v[1] (1 3 ... 15), v[2] (16 18 ... 30), v[3] (17 19 ...
// 31).
__m128i pack_pairs4(const __m256i* v) {
  const __m256i low = _mm256_or_si256(v[0], _mm256_slli_epi32(v[1], 4));
  const __m256i high = _mm256_or_si256(v[2], _mm256_slli_epi32(v[3], 4));
  const __m256i bytes = _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xAA);
  const __m256i gather =
      _mm256_setr_epi8(0, 4, 8, 12, 2, 6, 10, 14, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12, 2, 6,
                       10, 14, -1, -1, -1, -1, -1, -1, -1, -1);
  const __m256i halves = _mm256_shuffle_epi8(bytes, gather);
  return _mm_unpacklo_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
}

template <class S>
__m128i pack(const __m256i* v) {
  return S::kBits == 4 ? pack_words4(v) : pack_words3(v);
}

}  // namespace
}  // namespace mlc
