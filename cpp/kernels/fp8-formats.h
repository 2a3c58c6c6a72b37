// The formats of one byte. All of it has internal linkage, as in statistics-lanes.h.
#pragma once

#include <cstdint>

namespace mlc {
namespace {

// kMantissa stored bits, exponents biased by kBias, the codes of the largest number and of NaN.
struct E4m3 {
  static constexpr int kMantissa = 3;
  static constexpr int kBias = 7;
  static constexpr uint32_t kLargest = 0x7E;
  static constexpr uint32_t kNan = 0x7F;
};

struct E5m2 {
  static constexpr int kMantissa = 2;
  static constexpr int kBias = 15;
  static constexpr uint32_t kLargest = 0x7B;
  static constexpr uint32_t kNan = 0x7E;
};

// Mantissa bits that f32 has more.
template <class F>
constexpr int kDrop = 23 - F::kMantissa;

// Of the exponents, f32's less the format's, above the mantissa.
template <class F>
constexpr int kRebias = (127 - F::kBias) << F::kMantissa;

// The smallest subnormal is two to the power of minus this.
template <class F>
constexpr int kSubnormal = F::kBias - 1 + F::kMantissa;

}  // namespace
}  // namespace mlc
