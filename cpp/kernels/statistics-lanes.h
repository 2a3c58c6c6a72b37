// How statistics are summed, on every backend alike: in f32 with fused multiplications and
// additions, in sixteen lanes; after at most 192 elements a lane, the lanes are added up in a fixed
// order, in f64.
//
// Everything here has internal linkage: each instruction set compiles a copy of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels.h"

namespace mlc {
namespace {

constexpr size_t kStatisticsLanes = 16;
constexpr size_t kStatisticsBlock = 2048;  // elements, 128 a lane
constexpr size_t kStatisticsGroups = 64;   // of one row
constexpr size_t kStatisticsRows = 16;     // of one group, where results are transposed
constexpr float kMaxFinite = 3.4028234663852886e38f;

struct Lanes {
  alignas(64) float squared_error[kStatisticsLanes];
  alignas(64) float squared_value[kStatisticsLanes];
  alignas(64) float errors[kStatisticsLanes];  // magnitudes, of which the largest counts
};

// Whether neighbours of a group share a lane: bfloat16 in 4 bits, which is taken apart as it lies in
// a dword. Else places that are sixteen apart do, as elements outside of groups always do.
constexpr bool neighbours_share(DType from, size_t bits) {
  return from == DType::kBf16 && bits == 4;
}

// Fixed steps over arrays, which compilers turn into vectors.
inline double fold(const float* lanes) {
  double sums[kStatisticsLanes];
  for (size_t i = 0; i < kStatisticsLanes; ++i) sums[i] = static_cast<double>(lanes[i]);
  for (size_t i = 0; i < 8; ++i) sums[i] += sums[i + 8];
  for (size_t i = 0; i < 4; ++i) sums[i] += sums[i + 4];
  return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

inline float larger(float a, float b) { return a < b ? b : a; }

inline void add_lanes(const Lanes& lanes, Statistics* out) {
  out->squared_error += fold(lanes.squared_error);
  out->squared_value += fold(lanes.squared_value);
  float errors[8];
  for (size_t i = 0; i < 8; ++i) errors[i] = larger(lanes.errors[i], lanes.errors[i + 8]);
  for (size_t i = 0; i < 4; ++i) errors[i] = larger(errors[i], errors[i + 4]);
  const float largest = larger(larger(errors[0], errors[2]), larger(errors[1], errors[3]));
  if (out->max_error < static_cast<double>(largest)) {
    out->max_error = static_cast<double>(largest);
  }
}

constexpr size_t width_of(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

// The smallest magnitude, in `from`'s bits, that is infinite in `model` or already in `from`.
constexpr uint32_t first_lost(DType from, DType model) {
  if (from == DType::kF16) return 0x7C00;
  if (from == DType::kBf16) return model == DType::kF16 ? 0x4780 : 0x7F80;
  return model == DType::kF16 ? 0x477FF000 : model == DType::kBf16 ? 0x7F7F8000 : 0x7F800000;
}

}  // namespace
}  // namespace mlc
