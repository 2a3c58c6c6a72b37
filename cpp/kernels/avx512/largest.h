// The largest magnitudes of elements, in their own bits; NaNs are larger than infinity.
#pragma once

#include "vector.h"

namespace mlc {

static inline uint32_t largest16(const uint8_t* src, size_t count) {
  __m512i max = _mm512_setzero_si512();
  const __m512i clear = _mm512_set1_epi16(0x7FFF);
  for (size_t i = 0; i < count; i += 32) {
    const size_t left = count - i;
    const __mmask32 lanes = left >= 32 ? ~__mmask32{0} : (__mmask32{1} << left) - 1;
    const __m512i bits = _mm512_maskz_loadu_epi16(lanes, src + i * 2);
    max = _mm512_max_epu16(max, _mm512_and_si512(bits, clear));
  }
  const __m512i upper = _mm512_srli_epi32(max, 16);
  const __m512i lower = _mm512_and_si512(max, _mm512_set1_epi32(0xFFFF));
  return _mm512_reduce_max_epu32(_mm512_max_epu32(upper, lower));
}

static inline uint32_t largest32(const uint8_t* src, size_t count) {
  __m512i max = _mm512_setzero_si512();
  for (size_t i = 0; i < count; i += 16) {
    const __m512i bits = _mm512_maskz_loadu_epi32(first_lanes(count - i), src + i * 4);
    max = _mm512_max_epu32(max, _mm512_and_si512(bits, _mm512_set1_epi32(0x7FFFFFFF)));
  }
  return _mm512_reduce_max_epu32(max);
}

}  // namespace mlc
