// One element's part in the statistics.
#pragma once

#include "../statistics-lanes.h"
#include "float-bits.h"

namespace mlc {

static inline float magnitude_of(float value) { return f32_from_bits(bits_of(value) & 0x7FFFFFFF); }

// The smallest magnitude that becomes infinite in `model`.
static inline float overflow_limit(DType model) {
  if (model == DType::kF16) return 65520.0f;
  return f32_from_bits(model == DType::kBf16 ? 0x7F7F8000 : 0x7F800000);
}

// False, and counted, where an element cannot be kept.
static inline bool is_kept(float value, float limit, Statistics* out) {
  const float magnitude = magnitude_of(value);
  if (magnitude < limit) return true;
  ++(magnitude <= kMaxFinite ? out->overflowed : out->non_finite);
  return false;
}

// An element that is kept, and the `made` times `scale` that it became.
struct Pair {
  float value;
  float made;
  float scale;
};

static inline void add_element(const Pair& pair, size_t lane, Lanes* lanes) {
  float* squared_value = lanes->squared_value + lane;
  *squared_value = fused_multiply_add(pair.value, pair.value, *squared_value);
  const float error = magnitude_of(fused_multiply_add(pair.made, pair.scale, -pair.value));
  if (!(error <= kMaxFinite)) return;
  float* squared_error = lanes->squared_error + lane;
  *squared_error = fused_multiply_add(error, error, *squared_error);
  if (lanes->errors[0] < error) lanes->errors[0] = error;
}

}  // namespace mlc
