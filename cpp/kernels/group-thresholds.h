// Quantization with an f16 model, without divisions and without f16 roundings. Exactly.
//
// The definition: q = round_half_even(f16(f16(w / s) + M)), M = 7 (4 bits) or 3 (3 bits), w and s
// f16, s > 0 and normal. Each of the three roundings is monotone, so q is a step function of
// x = w / s: q > k where x lies above a threshold T[k] near k + 1/2 - M. Following the roundings
// backwards from k + 1/2 gives T[k]. Ties go to even, so the step moves away from the even
// neighbour, by h[k]: T[k] = k + 1/2 - M + (k even ? h : -h).
//
//   k, 4 bits   0   1   2   3   4   5   6   7   8   9  10  11  12  13
//   h * 2^13   16  16  16   8  24  20  17  17  36  40  40  48  48  48
//   k, 3 bits   0   1   2   3   4   5
//   h * 2^13    8   4   9   9  20  24
//
// FasterTransformer's codes are round_half_even(f16(w / s)) + M, M = 8; k from 1 to 14.
//
//   h * 2^13   16  16  16   8   8   4   2   2   4   8   8  16  16  16
//
// x is never T[k]: T[k] = A * 2^-p with an odd A, 2^11 < A < 4088, and x = (c / b) * 2^e with
// b, c < 2^11, of which c would need a factor A. There are two ways to see on which side it is.
//
//   w > T[k] * s     The product has 12 + 11 bits, so that it is exact in f32.
//   a > T[k]         with a = fl(w * fl(1 / s)): x differs from T[k] by at least
//                    1 / (A * b) > 1 / (4087 * 2047) = 1.1953e-7 of it; two roundings change x by
//                    less than 2^-23 = 1.1921e-7 of it, T[k] is an f32, and rounding is monotone.
//
// `kernel-check --exhaustive` tries every w against every s.
//
// Which k: x + M rounded down, or its neighbour where x is near an integer, because thresholds are
// almost 1/2 away from integers. So a rough x is enough, and k is either of
//   down      a + M rounded down; a may come from a rough 1 / s
//   nearest   a + M - 1/2 + 1/128 to the nearest integer (h < 1/128)
// Adding 1.5 * 2^23 leaves k in the low bits.
//
// How T[k] is looked up without a table of floats: shuffle_epi8 replaces each of a lane's bytes by
// a byte of the table; the lowest byte is k, the others (4B 40 00) always fetch entries 11, 0, 0.
// kBaseBits takes those away and adds the bits of 1024 + (4096 - 64) / 2^13; with 64 +- h in the
// table the sum is the f32 1024 + 1/2 +- h / 2^13.
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

// kZero: the code of zero, M. kBytes[k]: 64 +- h.
template <int Bits>
struct GroupSteps;

template <>
struct GroupSteps<4> {
  static constexpr float kZero = 7.0f;
  static constexpr float kShift = 6.5f + 0x1p-7f;
  alignas(16) static constexpr uint8_t kBytes[16] = {
      64 + 16, 64 - 16, 64 + 16, 64 - 8,  64 + 24, 64 - 20, 64 + 17, 64 - 17,
      64 + 36, 64 - 40, 64 + 40, 64 - 48, 64 + 48, 64 - 48, 64,      64};
  static constexpr uint32_t kBaseBits = threshold_base_bits(64 + 16, 64 - 48);
};

template <>
struct GroupSteps<3> {
  static constexpr float kZero = 3.0f;
  static constexpr float kShift = 2.5f + 0x1p-7f;
  alignas(16) static constexpr uint8_t kBytes[16] = {
      64 + 8, 64 - 4, 64 + 9, 64 - 9, 64 + 20, 64 - 24, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64};
  static constexpr uint32_t kBaseBits = threshold_base_bits(64 + 8, 64);
};

struct FtSteps {
  static constexpr float kZero = 8.0f;
  static constexpr float kShift = 7.5f + 0x1p-7f;
  alignas(16) static constexpr uint8_t kBytes[16] = {
      64,     64 - 16, 64 + 16, 64 - 16, 64 + 8,  64 - 8,  64 + 4,  64 - 2,
      64 + 2, 64 - 4,  64 + 8,  64 - 8,  64 + 16, 64 - 16, 64 + 16, 64};
  static constexpr uint32_t kBaseBits = threshold_base_bits(64, 64 - 8);
};

// The thresholds themselves, for instruction sets that look up sixteen floats at once.
template <class Steps>
struct ThresholdFloats {
  float at[16];
  constexpr ThresholdFloats() : at() {
    for (int k = 0; k < 16; ++k) {
      const float half = static_cast<float>(k) + 0.5f - Steps::kZero;
      at[k] = half + static_cast<float>(Steps::kBytes[k] - 64) * 0x1p-13f;
    }
    // Of groups this is k = -1, where x is a little less than -M: always above, the code is 0.
    if (Steps::kZero < 8) at[15] = -0.5f - Steps::kZero;
  }
};

// Magnitudes, both ends included.
struct Range {
  uint32_t lowest;
  uint32_t highest;

  constexpr bool has(uint32_t magnitude) const { return magnitude - lowest <= highest - lowest; }
};

// The magnitudes (in the source's bits) of a group's maximum for which all of the above holds: s is
// a normal f16 and the maximum stays finite. From bf16 the scale is at least 2^-12, so that an
// element below 2^-14, which f16 would round, is less than a quarter of the scale before and after.
constexpr Range ordinary(DType from) {
  return from == DType::kF32   ? Range{0x3A000000, 0x477FEFFF}
         : from == DType::kF16 ? Range{0x1000, 0x7BFF}
                               : Range{0x3B00, 0x477F};
}

}  // namespace
}  // namespace mlc
