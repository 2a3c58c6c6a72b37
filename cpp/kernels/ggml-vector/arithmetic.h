// The GGUF block types in vectors of `V::kLanes` floats, for any V that offers the few operations
// used here. Two shapes of parallelism, neither of which changes the order of any sum:
//   - scales are searched with one sub-block a lane (search.h);
//   - codes, once a scale is known, are made from neighbouring elements (pack.h).
// searched-types.h puts both together; plain-types.h has types without a search.
// Each including file compiles its own copy: everything has internal linkage, on purpose.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../ggml-tables.h"

namespace mlc {
namespace {

constexpr size_t kSuperBlock = 256;
constexpr float kTooSmall = 1e-15f;

inline uint16_t half_of(float x) {
  return static_cast<uint16_t>(_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(x), 0)));
}

inline float of_half(uint16_t half) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half))); }

inline float load_half(const uint8_t* src) {
  uint16_t half;
  std::memcpy(&half, src, 2);
  return of_half(half);
}

// Returns what a reader will see.
inline float store_half(uint8_t* dst, float x) {
  const uint16_t half = half_of(x);
  std::memcpy(dst, &half, 2);
  return of_half(half);
}

inline int nearest_int(float x) {
  const float shifted = x + 12582912.0f;
  uint32_t bits;
  std::memcpy(&bits, &shifted, 4);
  return static_cast<int>(bits & 0x007FFFFFu) - 0x00400000;
}

inline int clamped(int x, int low, int high) { return x < low ? low : (x > high ? high : x); }

inline float inverse_of(float d) { return d != 0.0f ? 1.0f / d : 0.0f; }

inline float magnitude(float x) { return x < 0.0f ? -x : x; }

inline float largest_signed(const float* x, int n) {
  float m = 0.0f;
  for (int i = 0; i < n; ++i) {
    if (magnitude(x[i]) > magnitude(m)) m = x[i];
  }
  return m;
}

template <typename V>
using Floats = typename V::Floats;

}  // namespace
}  // namespace mlc
