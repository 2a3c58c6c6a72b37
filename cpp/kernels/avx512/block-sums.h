// What was lost in a block of at most kStatisticsBlock elements, two vectors of them at a time: the
// reference's 32 lanes. Every function is static: see backends.h.
#pragma once

#include "../statistics-blocks.h"
#include "vector.h"

namespace mlc {

// Local until they are complete: sums whose address is known elsewhere (where a function's result
// goes, say) would be stored in every step.
struct BlockSums {
  __m512 squared_error[2];
  __m512 squared_value[2];
  __m512 errors;
};

static inline BlockSums no_block_sums() {
  const __m512 zero = _mm512_setzero_ps();
  return {{zero, zero}, {zero, zero}, zero};
}

// Sixteen elements: `made` times `scale` stands for `value`. `half`: of 32, known when compiled, or
// the sums would be in memory.
static inline void add_sixteen(size_t half, __m512 value, __m512 made, __m512 scale,
                               BlockSums* sums) {
  constexpr int kLargerMagnitude = 0x0B;  // of the two, without a sign
  const __m512 error = _mm512_fmsub_ps(made, scale, value);
  sums->squared_value[half] = _mm512_fmadd_ps(value, value, sums->squared_value[half]);
  sums->squared_error[half] = _mm512_fmadd_ps(error, error, sums->squared_error[half]);
  sums->errors = _mm512_range_ps(sums->errors, error, kLargerMagnitude);
}

// 32 elements that are stored without an error.
static inline void add_values(__m512 first, __m512 second, BlockSums* sums) {
  sums->squared_value[0] = _mm512_fmadd_ps(first, first, sums->squared_value[0]);
  sums->squared_value[1] = _mm512_fmadd_ps(second, second, sums->squared_value[1]);
}

// Whether all was finite: a NaN or an infinity shows in the squares, a value that was rounded to
// infinity in the errors.
static inline bool all_finite(const BlockSums& sums) {
  const __m512 quarter = _mm512_set1_ps(0.25f);
  const __m512 errors = _mm512_add_ps(_mm512_mul_ps(sums.squared_error[0], quarter),
                                      _mm512_mul_ps(sums.squared_error[1], quarter));
  const __m512 values = _mm512_add_ps(_mm512_mul_ps(sums.squared_value[0], quarter),
                                      _mm512_mul_ps(sums.squared_value[1], quarter));
  const __m512 largest = _mm512_set1_ps(kMaxFinite);
  const __m512 all = _mm512_add_ps(errors, values);
  return (_mm512_cmp_ps_mask(all, largest, _CMP_LE_OQ) &
          _mm512_cmp_ps_mask(sums.errors, largest, _CMP_LE_OQ)) == kAllLanes;
}

// Takes `step(at, half, lanes)` through a block, without masks but at its end.
template <class Step>
static inline void by_sixteens(size_t count, Step step) {
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    step(i, 0, kAllLanes);
    step(i + 16, 1, kAllLanes);
  }
  if (i < count) step(i, 0, first_lanes(count - i));
  if (i + 16 < count) step(i + 16, 1, first_lanes(count - i - 16));
}

// Adds the sums of `args`, or what the reference finds where something is lost or not finite.
static inline void add_block(const BlockSums& sums, const CompareArgs& args, Statistics* out) {
  if (!all_finite(sums)) return kReferenceStatistics.compare(&args, out);
  Lanes lanes;
  for (size_t half = 0; half < 3; ++half) {
    const __m512 zero = _mm512_setzero_ps();
    _mm512_store_ps(lanes.squared_error + half * 16, half < 2 ? sums.squared_error[half] : zero);
    _mm512_store_ps(lanes.squared_value + half * 16, half < 2 ? sums.squared_value[half] : zero);
  }
  _mm512_store_ps(lanes.errors, sums.errors);
  out->elements += args.count;
  add_lanes(lanes, out);
}

// Makes one byte of each of the f16 elements of `all`, block by block: `make(block, dst, sums)`
// sets a block's sums.
template <class Make>
static void measure_blocks(const CompareArgs& all, uint8_t* dst, Make make, Statistics* out) {
  for (size_t first = 0; first < all.count; first += kStatisticsBlock) {
    CompareArgs block = all;
    block.src += first * 2;
    block.made += first;
    block.count = at_most(all.count - first, kStatisticsBlock);
    BlockSums sums;
    make(block, dst + first, &sums);
    add_block(sums, block, out);
  }
}

}  // namespace mlc
