// What is measured while groups are quantized: see ../statistics-lanes.h.
#pragma once

#include "vector.h"

namespace mlc {
namespace {

// Handed on by value: sums whose address is known elsewhere would go through memory in every step.
template <class S>
struct Sums {
  __m512 squared_error[kVectors<S>];
  __m512 squared_value[kVectors<S>];
  __m512 errors;
};

template <class S>
Sums<S> no_sums() {
  Sums<S> sums;
  for (size_t i = 0; i < kVectors<S>; ++i) {
    sums.squared_error[i] = _mm512_setzero_ps();
    sums.squared_value[i] = _mm512_setzero_ps();
  }
  sums.errors = _mm512_setzero_ps();
  return sums;
}

// `code`: what is stored, times `scale`.
template <class S>
void add(size_t vector, __m512 value, __m512 code, __m512 scale, Sums<S>* sums) {
  constexpr int kLargerMagnitude = 0x0B;  // of the two, without a sign
  const __m512 error = _mm512_fmsub_ps(code, scale, value);
  sums->squared_value[vector] = _mm512_fmadd_ps(value, value, sums->squared_value[vector]);
  sums->squared_error[vector] = _mm512_fmadd_ps(error, error, sums->squared_error[vector]);
  sums->errors = _mm512_range_ps(sums->errors, error, kLargerMagnitude);
}

void store_lanes(const __m512* sums, size_t vectors, float* lanes) {
  for (size_t i = 0; i < 3; ++i) {
    _mm512_store_ps(lanes + i * 16, i < vectors ? sums[i] : _mm512_setzero_ps());
  }
}

// Even and odd places of a group, one after the other.
void store_pairs(const __m512* sums, float* lanes) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
  _mm512_store_ps(lanes, _mm512_permutex2var_ps(sums[0], low, sums[1]));
  _mm512_store_ps(lanes + 16, _mm512_permutex2var_ps(sums[0], high, sums[1]));
  _mm512_store_ps(lanes + 32, _mm512_setzero_ps());
}

template <class S>
void store_sums(const Sums<S>& sums, bool paired, Lanes* lanes) {
  if (paired) {
    store_pairs(sums.squared_error, lanes->squared_error);
    store_pairs(sums.squared_value, lanes->squared_value);
  } else {
    store_lanes(sums.squared_error, kVectors<S>, lanes->squared_error);
    store_lanes(sums.squared_value, kVectors<S>, lanes->squared_value);
  }
  _mm512_store_ps(lanes->errors, sums.errors);
}

}  // namespace
}  // namespace mlc
