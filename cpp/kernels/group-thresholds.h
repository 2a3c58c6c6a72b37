// Group quantization with an f16 model, without divisions and without f16 roundings. Exactly.
//
// The definition: q = round_half_even(f16(f16(w / s) + M)), M = 7 (4 bits) or 3 (3 bits), w and s
// f16, s > 0 and normal. Each of the three roundings is monotone, so q is a step function of x = w
// / s: q > k where x lies above a threshold T[k] near k + 1/2 - M. Following the roundings
// backwards from k + 1/2 gives T[k]. Ties go to even, so the step moves away from the even
// neighbour, by h[k]: T[k] = k + 1/2 - M + (k even ? h : -h).
//
//   k, 4 bits    0     1     2     3     4        5        6     7     8       9       10     11 12
//   13 h * 2^13     16    16    16    8     24       20       17    17    36      40      40     48
//   48 48 k, 3 bits    0     1     2     3     4        5 h * 2^13     8     4     9     9     20
//   24
//
// Why comparing a = fl(w * fl(1 / s)) with T[k] decides as x itself does: T[k] = A * 2^-p with an
// odd A, 2^11 < A < 4088, and w / s = (c / b) * 2^e with b, c < 2^11. So x = T[k] is impossible (c
// would need a factor A), and x differs from T[k] by at least 1 / (A * b) > 1 / (4087 * 2047)
// = 1.1953e-7 of it. Two roundings change x by less than 2^-23 = 1.1921e-7 of it. T[k] is an f32,
// and rounding is monotone. `kernel-check --exhaustive` tries every w against every s.
//
// How k is found: a + M - 1/2 + 1/128, to the nearest integer, is k for all x of (k - M - 1/2 ... )
// around T[k] (h < 1/128), and at its ends off by one only where neither threshold is near.
// Adding 1.5 * 2^23 leaves it in the low bits.
//
// How T[k] is looked up: shuffle_epi8 replaces each of a lane's bytes by a byte of the table; the
// lowest byte is k, the others (4B 40 00) always fetch entries 11, 0, 0. kBaseBits takes those away
// and adds the bits of 1024 + (4096 - 64) / 2^13; with 64 +- h in the table the sum is the f32 1024
// + 1/2 +- h / 2^13.
#pragma once

#include <cstdint>

#include "kernels.h"

namespace mlc {
namespace {

constexpr float kMagic = 12582912.0f;      // 1.5 * 2^23, bits 0x4B400000
constexpr float kThresholdBase = 1024.0f;  // where one unit in the last place is 2^-13

constexpr uint32_t threshold_base_bits(uint8_t entry0, uint8_t entry11) {
  const uint32_t fetched = uint32_t{entry0} << 8 | uint32_t{entry0} << 16 | uint32_t{entry11} << 24;
  return 0x44800000u + 4096 - 64 - fetched;
}

template <int Bits>
struct Thresholds;

template <>
struct Thresholds<4> {
  static constexpr float kShift = 6.5f + 0x1p-7f;
  alignas(16) static constexpr uint8_t kBytes[16] = {
      64 + 16, 64 - 16, 64 + 16, 64 - 8,  64 + 24, 64 - 20, 64 + 17, 64 - 17,
      64 + 36, 64 - 40, 64 + 40, 64 - 48, 64 + 48, 64 - 48, 64,      64};
  static constexpr uint32_t kBaseBits = threshold_base_bits(64 + 16, 64 - 48);
};

template <>
struct Thresholds<3> {
  static constexpr float kShift = 2.5f + 0x1p-7f;
  alignas(16) static constexpr uint8_t kBytes[16] = {
      64 + 8, 64 - 4, 64 + 9, 64 - 9, 64 + 20, 64 - 24, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64};
  static constexpr uint32_t kBaseBits = threshold_base_bits(64 + 8, 64);
};

// The thresholds themselves, for instruction sets that look up sixteen floats at once.
template <int Bits>
struct ThresholdFloats {
  float at[16];
  constexpr ThresholdFloats() : at() {
    for (int k = 0; k < 16; ++k) {
      const float half = static_cast<float>(k) + 0.5f - (Bits == 4 ? 7.0f : 3.0f);
      at[k] = half + static_cast<float>(Thresholds<Bits>::kBytes[k] - 64) * 0x1p-13f;
    }
  }
};

// The magnitudes (in the source's bits) of a group's maximum for which all of the above holds: s is
// a normal f16 and the maximum stays finite. From bf16 the scale is at least 2^-12, so that an
// element below 2^-14, which f16 would round, is less than a quarter of the scale before and after.
constexpr uint32_t lowest_ordinary(DType from) {
  return from == DType::kF32 ? 0x3A000000 : from == DType::kF16 ? 0x1000 : 0x3B00;
}
constexpr uint32_t highest_ordinary(DType from) {
  return from == DType::kF32 ? 0x477FEFFF : from == DType::kF16 ? 0x7BFF : 0x477F;
}

}  // namespace
}  // namespace mlc
