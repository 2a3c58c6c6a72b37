// Group quantization with an f32 or bf16 model, without divisions. Exactly.
//
// The definition divides in f32: q = round_half_even(fl(fl(w / s) + M)), clamped. fl(w / s) comes
// from y = fl(1 / s), which costs one division a group:
//   a = fl(w * y), then once or twice a = fl(a + fl(w - a * s) * y), fused
// After the first step a is one of the two f32 around w / s; then w - a * s is exact, and the
// second step gives the nearest (Markstein, Computation of elementary functions on the IBM RISC
// System/6000 processor, 1990). Where w has eleven bits or fewer, the first step does already: for
// every w of a binade and every s that it can meet, which `kernel-check --exhaustive` tries.
//
// A code outside of 0 ... 2 M does not occur: |w / s| is at most M * (1 + 2^-8).
#pragma once

#include "group-thresholds.h"

namespace mlc {
namespace {

constexpr int quotient_steps(DType from) { return from == DType::kF32 ? 2 : 1; }

// The magnitudes (in the source's bits) of a group's maximum for which nothing overflows, and
// nothing that matters is subnormal: 2^-60 to 2^60.
constexpr Range divisible(DType from) {
  return from == DType::kF32   ? Range{0x21800000, 0x5D800000}
         : from == DType::kF16 ? Range{1, 0x7BFF}
                               : Range{0x2180, 0x5D80};
}

}  // namespace
}  // namespace mlc
