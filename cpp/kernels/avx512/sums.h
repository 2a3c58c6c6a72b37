// What is measured, summed as ../statistics-lanes.h says. Every function is static: see backends.h.
#pragma once

#include "vector.h"

namespace mlc {

// Local until they are complete: sums whose address is known elsewhere (where a function's result
// goes, say) would be stored in every step.
struct Sums {
  __m512 squared_error;
  __m512 squared_value;
  __m512 errors;
};

static inline Sums no_sums() {
  const __m512 zero = _mm512_setzero_ps();
  return {zero, zero, zero};
}

// Elements that are stored without an error.
static inline void add_values(__m512 value, Sums* sums) {
  sums->squared_value = _mm512_fmadd_ps(value, value, sums->squared_value);
}

// Elements that are stored with an error. kLargest: look for the largest.
template <bool kLargest>
static inline void add_errors(__m512 value, __m512 error, Sums* sums) {
  constexpr int kLargerMagnitude = 0x0B;  // of the two, without a sign
  add_values(value, sums);
  sums->squared_error = _mm512_fmadd_ps(error, error, sums->squared_error);
  if (kLargest) sums->errors = _mm512_range_ps(sums->errors, error, kLargerMagnitude);
}

// Elements for which `made` times `scale` stands.
template <bool kLargest = true>
static inline void add(__m512 value, __m512 made, __m512 scale, Sums* sums) {
  add_errors<kLargest>(value, _mm512_fmsub_ps(made, scale, value), sums);
}

static inline bool all_finite(const Sums& sums) {
  const __m512 largest = _mm512_set1_ps(kMaxFinite);
  return (_mm512_cmp_ps_mask(sums.squared_error, largest, _CMP_LE_OQ) &
          _mm512_cmp_ps_mask(sums.squared_value, largest, _CMP_LE_OQ) &
          _mm512_cmp_ps_mask(sums.errors, largest, _CMP_LE_OQ)) == kAllLanes;
}

static inline void store_sums(const Sums& sums, Lanes* lanes) {
  _mm512_store_ps(lanes->squared_error, sums.squared_error);
  _mm512_store_ps(lanes->squared_value, sums.squared_value);
  _mm512_store_ps(lanes->errors, sums.errors);
}

}  // namespace mlc
