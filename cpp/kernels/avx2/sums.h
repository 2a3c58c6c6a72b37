// What is measured, summed as ../statistics-lanes.h says. Every function is static: see backends.h.
#pragma once

#include "vector.h"

namespace mlc {

// Handed on by value: sums whose address is known elsewhere would go through memory in every step.
struct Sums {
  __m256 squared_error[2];
  __m256 squared_value[2];
  __m256 errors;
};

static inline Sums no_sums() {
  const __m256 zero = _mm256_setzero_ps();
  return {{zero, zero}, {zero, zero}, zero};
}

// Elements that are stored without an error, in one half of the lanes.
static inline void add_values(size_t half, __m256 value, Sums* sums) {
  sums->squared_value[half] = _mm256_fmadd_ps(value, value, sums->squared_value[half]);
}

// Elements that are stored with an error. kLargest: look for the largest.
template <bool kLargest>
static inline void add_errors(size_t half, __m256 value, __m256 error, Sums* sums) {
  add_values(half, value, sums);
  sums->squared_error[half] = _mm256_fmadd_ps(error, error, sums->squared_error[half]);
  if (!kLargest) return;
  sums->errors = _mm256_max_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), error), sums->errors);
}

// Elements for which `made` times `scale` stands.
template <bool kLargest = true>
static inline void add(size_t half, __m256 value, __m256 made, __m256 scale, Sums* sums) {
  add_errors<kLargest>(half, value, _mm256_fmsub_ps(made, scale, value), sums);
}

static inline bool all_finite(const Sums& sums) {
  const __m256 largest = _mm256_set1_ps(kMaxFinite);
  __m256 usual = _mm256_cmp_ps(sums.errors, largest, _CMP_LE_OQ);
  for (size_t half = 0; half < 2; ++half) {
    usual = _mm256_and_ps(usual, _mm256_cmp_ps(sums.squared_error[half], largest, _CMP_LE_OQ));
    usual = _mm256_and_ps(usual, _mm256_cmp_ps(sums.squared_value[half], largest, _CMP_LE_OQ));
  }
  return _mm256_movemask_ps(usual) == 0xFF;
}

static inline void store_sums(const Sums& sums, Lanes* lanes) {
  for (size_t half = 0; half < 2; ++half) {
    _mm256_store_ps(lanes->squared_error + 8 * half, sums.squared_error[half]);
    _mm256_store_ps(lanes->squared_value + 8 * half, sums.squared_value[half]);
  }
  _mm256_store_ps(lanes->errors, sums.errors);
  _mm256_store_ps(lanes->errors + 8, _mm256_setzero_ps());
}

}  // namespace mlc
