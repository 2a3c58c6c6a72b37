// What is measured while groups are quantized: see ../statistics-lanes.h.
#pragma once

#include "vector.h"

namespace mlc {
namespace {

// Handed on by value: sums whose address is known elsewhere would go through memory in every step.
template <class S>
struct Sums {
  __m256 squared_error[kVectors<S>];
  __m256 squared_value[kVectors<S>];
  __m256 errors;
};

template <class S>
Sums<S> no_sums() {
  Sums<S> sums;
  for (size_t i = 0; i < kVectors<S>; ++i) {
    sums.squared_error[i] = _mm256_setzero_ps();
    sums.squared_value[i] = _mm256_setzero_ps();
  }
  sums.errors = _mm256_setzero_ps();
  return sums;
}

// `code`: what is stored, times `scale`.
template <class S>
void add(size_t vector, __m256 value, __m256 code, __m256 scale, Sums<S>* sums) {
  const __m256 error = _mm256_fmsub_ps(code, scale, value);
  sums->squared_value[vector] = _mm256_fmadd_ps(value, value, sums->squared_value[vector]);
  sums->squared_error[vector] = _mm256_fmadd_ps(error, error, sums->squared_error[vector]);
  sums->errors = _mm256_max_ps(sums->errors, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), error));
}

// `paired`: even and odd places of a group are apart, in two pairs of vectors.
template <class S>
void store_lanes(const __m256* sums, bool paired, float* lanes) {
  for (size_t i = 0; i < 6; ++i) {
    _mm256_store_ps(lanes + i * 8, i < kVectors<S> ? sums[i] : _mm256_setzero_ps());
  }
  if (!paired) return;
  for (size_t i = 0; i < 4; i += 2) {
    const __m256 low = _mm256_unpacklo_ps(sums[i], sums[i + 1]);
    const __m256 high = _mm256_unpackhi_ps(sums[i], sums[i + 1]);
    _mm256_store_ps(lanes + i * 8, _mm256_permute2f128_ps(low, high, 0x20));
    _mm256_store_ps(lanes + i * 8 + 8, _mm256_permute2f128_ps(low, high, 0x31));
  }
}

template <class S>
void store_sums(const Sums<S>& sums, bool paired, Lanes* lanes) {
  store_lanes<S>(sums.squared_error, paired, lanes->squared_error);
  store_lanes<S>(sums.squared_value, paired, lanes->squared_value);
  _mm256_store_ps(lanes->errors, sums.errors);
  _mm256_store_ps(lanes->errors + 8, _mm256_setzero_ps());
}

}  // namespace
}  // namespace mlc
