// The largest magnitudes of elements, in their own bits; NaNs are larger than infinity.
#pragma once

#include "vector.h"

namespace mlc {

// Zeros, which change nothing, behind the last elements of a vector that is not full.
static inline __m256i load_last(const uint8_t* src, size_t bytes) {
  uint8_t last[32] = {};
  std::memcpy(last, src, bytes);
  return load256(last);
}

static inline uint32_t largest16(const uint8_t* src, size_t count) {
  __m256i max = _mm256_setzero_si256();
  const __m256i clear = _mm256_set1_epi16(0x7FFF);
  for (size_t i = 0; i < count; i += 16) {
    const bool full = count - i >= 16;
    const __m256i bits = full ? load256(src + i * 2) : load_last(src + i * 2, (count - i) * 2);
    max = _mm256_max_epu16(max, _mm256_and_si256(bits, clear));
  }
  const __m128i half = _mm_max_epu16(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1));
  const __m128i least = _mm_minpos_epu16(_mm_xor_si128(half, _mm_set1_epi16(-1)));
  return ~static_cast<uint32_t>(_mm_cvtsi128_si32(least)) & 0xFFFF;
}

static inline uint32_t largest32(const uint8_t* src, size_t count) {
  __m256i max = _mm256_setzero_si256();
  const __m256i clear = _mm256_set1_epi32(0x7FFFFFFF);
  for (size_t i = 0; i < count; i += 8) {
    const bool full = count - i >= 8;
    const __m256i bits = full ? load256(src + i * 4) : load_last(src + i * 4, (count - i) * 4);
    max = _mm256_max_epi32(max, _mm256_and_si256(bits, clear));
  }
  __m128i half = _mm_max_epi32(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1));
  half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4E));
  half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0xB1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(half));
}

}  // namespace mlc
