// Eight numbers at a time: loads, roundings, stores. Every function is static: see backends.h.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../group-batch.h"

namespace mlc {

constexpr int kNearestEven = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

static inline __m128i load128(const uint8_t* at) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}

static inline __m256i load256(const uint8_t* at) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}

static inline void store128(uint8_t* at, __m128i value) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at), value);
}

static inline void store256(uint8_t* at, __m256i value) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), value);
}

static inline __m256 widen_bf16(__m128i half) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

// Eight f32 bit patterns rounded to bf16, in the upper half of each lane; NaNs become quiet.
static inline __m256i round_bf16_bits(__m256 value) {
  const __m256i bits = _mm256_castps_si256(value);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
  const __m256i rounded = _mm256_add_epi32(bits, bias);
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256 nan = _mm256_cmp_ps(value, value, _CMP_UNORD_Q);
  return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(nan));
}

// The upper halves of eight lanes, in order.
static inline __m128i upper_halves(__m256i lanes) {
  const __m256i low = _mm256_srli_epi32(lanes, 16);
  const __m256i packed = _mm256_packus_epi32(low, low);
  return _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08));
}

// Eight elements of `From` as f32, exactly.
template <DType From>
static inline __m256 load8(const uint8_t* at) {
  if (From == DType::kF32) return _mm256_castsi256_ps(load256(at));
  if (From == DType::kF16) return _mm256_cvtph_ps(load128(at));
  return widen_bf16(load128(at));
}

// f32 values rounded to `To`, as f32.
template <DType To>
static inline __m256 round8(__m256 value) {
  if (To == DType::kF16) return _mm256_cvtph_ps(_mm256_cvtps_ph(value, kNearestEven));
  if (To == DType::kBf16) {
    const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xFFFF0000));
    return _mm256_castsi256_ps(_mm256_and_si256(round_bf16_bits(value), upper));
  }
  return value;
}

template <DType To>
static inline void store8(uint8_t* at, __m256 value) {
  if (To == DType::kF16) {
    store128(at, _mm256_cvtps_ph(value, kNearestEven));
  } else if (To == DType::kBf16) {
    store128(at, upper_halves(round_bf16_bits(value)));
  } else {
    store256(at, _mm256_castps_si256(value));
  }
}

// Makes one byte of each of `count` f16 elements: `step(in)` those of sixteen, in order. Zeros are
// behind the last ones.
template <class Step>
static inline void by_sixteens(const uint8_t* src, size_t count, uint8_t* dst, Step step) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) store128(dst + i, step(src + i * 2));
  if (i == count) return;
  uint8_t in[32] = {0};
  uint8_t out[16];
  std::memcpy(in, src + i * 2, (count - i) * 2);
  store128(out, step(in));
  std::memcpy(dst + i, out, count - i);
}

// The low bytes of sixteen lanes, in order; what is above must be zero.
static inline __m128i low_bytes(__m256i first, __m256i second) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(first, second), 0xD8);
  return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

// A group in vectors.
template <class S>
constexpr size_t kVectors = S::kGroup / 8;

}  // namespace mlc
