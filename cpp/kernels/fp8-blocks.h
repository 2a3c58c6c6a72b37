// Per-tensor fp8 for an instruction set `Isa` that has
//   template <class F, bool kScaled, bool kMeasured>
//   static void block(const CompareArgs& args, uint8_t* dst, Sums* sums)
//                           the bytes of a format; with kMeasured the sums, too, and right bytes
//                           only where these are finite; kScaled: the divisor is not one (a division
//                           takes as long as all the rest)
//
// Everything here has internal linkage, as in statistics-lanes.h.
#pragma once

#include <immintrin.h>

#include "fp8-formats.h"
#include "measured-bytes.h"
#include "statistics-blocks.h"

namespace mlc {
namespace {

constexpr float power_of_two(int exponent) {
  return exponent < 0 ? 1.0f / static_cast<float>(1 << -exponent)
                      : static_cast<float>(1 << exponent);
}

template <class F>
constexpr float kSmallestNormal = power_of_two(1 - F::kBias);

// Where one unit in f32's last place is the smallest subnormal.
template <class F>
constexpr float kSubnormalMagic = power_of_two(23 - kSubnormal<F>);

template <class F>
constexpr float largest_number() {
  constexpr uint32_t kOne = 1u << F::kMantissa;
  constexpr int kExponent = static_cast<int>(F::kLargest >> F::kMantissa) - F::kBias;
  return static_cast<float>(kOne + F::kLargest % kOne) * power_of_two(kExponent - F::kMantissa);
}

// Whether the format is the upper half of an f16.
template <class F>
constexpr bool kIsHalf = F::kBias == 15;

// What makes the upper bytes of sixteen f16 round half to even is added to them.
inline __m256i add_rounding(__m256i halves) {
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi16(halves, 8), _mm256_set1_epi16(1));
  return _mm256_add_epi16(halves, _mm256_add_epi16(odd, _mm256_set1_epi16(0x7F)));
}

// Sixteen f16 rounded to e5m2, as f16.
inline __m256i round_to_e5m2(__m256i halves) {
  const __m256i magnitude = _mm256_and_si256(halves, _mm256_set1_epi16(0x7FFF));
  const __m256i rounded = _mm256_min_epu16(add_rounding(magnitude), _mm256_set1_epi16(0x7BFF));
  const __m256i nan = _mm256_cmpgt_epi16(magnitude, _mm256_set1_epi16(0x7C00));
  const __m256i number = _mm256_blendv_epi8(rounded, _mm256_set1_epi16(E5m2::kNan << 8), nan);
  const __m256i sign = _mm256_andnot_si256(_mm256_set1_epi16(0x7FFF), halves);
  return _mm256_or_si256(_mm256_and_si256(number, _mm256_set1_epi16(0x7F00)), sign);
}

// The same where none is a NaN; from 61440 on as infinity.
inline __m256i round_usual_to_e5m2(__m256i halves) {
  return _mm256_and_si256(add_rounding(halves), _mm256_set1_epi16(-0x100));
}

template <class Isa, class F, bool kScaled>
void encode_scaled(const CompareArgs& all, uint8_t* dst, Statistics* statistics) {
  if (statistics == nullptr) {
    Isa::template block<F, kScaled, false>(all, dst, nullptr);
  } else {
    measure_blocks(all, dst, Isa::template block<F, kScaled, true>,
                   Isa::template block<F, kScaled, false>, statistics);
  }
}

template <class Isa, class F>
void encode_format(const CompareArgs& all, uint8_t* dst, Statistics* statistics) {
  if (all.scale == 1.0f) return encode_scaled<Isa, F, false>(all, dst, statistics);
  encode_scaled<Isa, F, true>(all, dst, statistics);
}

// Fp8Kernels::encode.
template <class Isa>
void encode_blocks(Fp8 format, const uint8_t* src, float scale, uint8_t* dst, size_t count,
                   Statistics* statistics) {
  const CompareArgs args = fp8_args(format, src, scale, dst, count);
  if (format == Fp8::kE4m3) return encode_format<Isa, E4m3>(args, dst, statistics);
  encode_format<Isa, E5m2>(args, dst, statistics);
}

}  // namespace
}  // namespace mlc
