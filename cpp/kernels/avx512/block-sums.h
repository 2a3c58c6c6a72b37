// What was lost in a block of at most kStatisticsBlock elements. Every function is static: see
// backends.h.
#pragma once

#include "../statistics-blocks.h"
#include "sums.h"

namespace mlc {

// Whether all was finite: a NaN or an infinity shows in the squares, a value that was rounded to
// infinity in the errors.
static inline bool all_finite(const Sums& sums) {
  const __m512 largest = _mm512_set1_ps(kMaxFinite);
  return (_mm512_cmp_ps_mask(sums.squared_error, largest, _CMP_LE_OQ) &
          _mm512_cmp_ps_mask(sums.squared_value, largest, _CMP_LE_OQ) &
          _mm512_cmp_ps_mask(sums.errors, largest, _CMP_LE_OQ)) == kAllLanes;
}

// Takes `step(at, lanes)` through the elements from `first` on, without masks but at the end.
template <class Step>
static inline void by_sixteens(size_t first, size_t count, Step step) {
  size_t i = first;
  for (; i + 16 <= count; i += 16) step(i, kAllLanes);
  if (i < count) step(i, first_lanes(count - i));
}

// Adds the sums of `args`, or what the reference finds where something is lost or not finite.
static inline void add_block(const Sums& sums, const CompareArgs& args, Statistics* out) {
  if (!all_finite(sums)) return kReferenceStatistics.compare(&args, out);
  Lanes lanes;
  store_sums(sums, &lanes);
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
    Sums sums;
    make(block, dst + first, &sums);
    add_block(sums, block, out);
  }
}

}  // namespace mlc
