// The magnitude that a row of FasterTransformer's gets its scale from, as f16 bits.
//
// Everything here has internal linkage, as in group-batch.h.
#pragma once

#include "group-batch.h"

namespace mlc {
namespace {

// Of a row that has NaNs: the largest of the others; a NaN if there is nothing else.
inline uint16_t maximum_without_nans(const Fp8Kernels& fp8, const uint8_t* row, size_t cols) {
  uint16_t max = 0;
  fp8.absmax(row, cols, &max);
  if (max != 0) return max;
  for (size_t i = 0; i < cols; ++i) {
    if ((read_bits(row + i * 2, 2) & 0x7FFF) == 0) return 0;
  }
  return 0x7E00;
}

// `largest`: the largest magnitude of the row, NaNs above infinity.
inline uint16_t ft_maximum(const Fp8Kernels& fp8, const uint8_t* row, size_t cols,
                           uint32_t largest) {
  if (largest > infinity_of(DType::kF16)) return maximum_without_nans(fp8, row, cols);
  return static_cast<uint16_t>(largest);
}

}  // namespace
}  // namespace mlc
