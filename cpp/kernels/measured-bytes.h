// What became of f16 elements that are stored as one byte each: a second look, for kernels that do
// not measure on the way. All of it has internal linkage, as in statistics-lanes.h.
#pragma once

#include "backends.h"

namespace mlc {
namespace {

constexpr float kLargestF16 = 65504.0f;

inline CompareArgs fp8_args(Fp8 format, const uint8_t* src, float scale, const uint8_t* made,
                            size_t count) {
  const Stored stored = format == Fp8::kE4m3 ? Stored::kE4m3 : Stored::kE5m2;
  return {DType::kF16, DType::kF16, stored, scale, src, made, count};
}

// One row and the scale of its codes.
inline CompareArgs ft_args(const uint8_t* row, float scale, const uint8_t* codes, size_t cols) {
  return {DType::kF16, DType::kF16, Stored::kFtCode, scale, row, codes, cols};
}

inline void add_ft_scale(float scale, Statistics* out) {
  out->zero_groups += scale == 0;
  out->infinite_scales += !(scale <= kLargestF16);
}

inline void compare_fp8(const StatisticsKernels& kernels, const CompareArgs& args,
                        Statistics* out) {
  if (out != nullptr) kernels.compare(&args, out);
}

inline void compare_ft(const StatisticsKernels& kernels, const CompareArgs& args, Statistics* out) {
  if (out == nullptr) return;
  kernels.compare(&args, out);
  add_ft_scale(args.scale, out);
}

}  // namespace
}  // namespace mlc
