// Sixteen numbers at a time: loads, roundings, stores; lanes outside a mask are neither read nor
// written, and hold zero. Every function is static: see backends.h.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../group-batch.h"

namespace mlc {

constexpr int kNearestEven = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
constexpr __mmask16 kAllLanes = 0xFFFF;

// The lowest `count` lanes of sixteen; all, if there are more.
static inline __mmask16 first_lanes(size_t count) {
  return count >= 16 ? kAllLanes : static_cast<__mmask16>((1u << count) - 1);
}

static inline __m128i load128(const uint8_t* at) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}

static inline void store128(uint8_t* at, __m128i value) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at), value);
}

static inline __m512i load512(const uint8_t* at) { return _mm512_loadu_si512(at); }

// Sixteen elements of `From` as f32, exactly.
template <DType From>
static inline __m512 load16(const uint8_t* at, __mmask16 lanes = kAllLanes) {
  if (From == DType::kF32) return _mm512_maskz_loadu_ps(lanes, at);
  const __m256i half = _mm256_maskz_loadu_epi16(lanes, at);
  if (From == DType::kF16) return _mm512_cvtph_ps(half);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

// f32 bit patterns rounded to bf16, in the upper half of each lane; NaNs become quiet.
static inline __m512i round_bf16_bits(__m512 value) {
  const __m512i bits = _mm512_castps_si512(value);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i bias = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF));
  const __m512i rounded = _mm512_add_epi32(bits, bias);
  const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  return _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
}

// f32 values rounded to `To`, as f32.
template <DType To>
static inline __m512 round16(__m512 value) {
  if (To == DType::kF16) return _mm512_cvtph_ps(_mm512_cvtps_ph(value, kNearestEven));
  if (To == DType::kBf16) {
    const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xFFFF0000));
    return _mm512_castsi512_ps(_mm512_and_si512(round_bf16_bits(value), upper));
  }
  return value;
}

// The upper halves of sixteen lanes, in order.
static inline __m256i upper_halves(__m512i lanes) {
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(lanes, 16));
}

template <DType To>
static inline void store16(uint8_t* at, __m512 value, __mmask16 lanes = kAllLanes) {
  if (To == DType::kF32) {
    _mm512_mask_storeu_ps(at, lanes, value);
  } else if (To == DType::kF16) {
    _mm256_mask_storeu_epi16(at, lanes, _mm512_cvtps_ph(value, kNearestEven));
  } else {
    _mm256_mask_storeu_epi16(at, lanes, upper_halves(round_bf16_bits(value)));
  }
}

// Takes `step(at, lanes)` through the elements from `first` on, without masks but at the end.
template <class Step>
static inline void by_sixteens(size_t first, size_t count, Step step) {
  size_t i = first;
  for (; i + 16 <= count; i += 16) step(i, kAllLanes);
  if (i < count) step(i, first_lanes(count - i));
}

// A group is two vectors, of 40 elements two and a half.
template <class S>
constexpr size_t kVectors = (S::kGroup + 15) / 16;

template <class S>
static inline __mmask16 lanes_of(size_t vector) {
  return first_lanes(S::kGroup - vector * 16);
}

}  // namespace mlc
