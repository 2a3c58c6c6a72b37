// The small arithmetic that all GGUF block types share (gguf.md, section 2, "Building blocks").
// Everything has internal linkage: each file that includes this compiles its own copy.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mlc {
namespace {

inline uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}

inline float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

inline float load_f32(const uint8_t* src) {
  float x;
  std::memcpy(&x, src, 4);
  return x;
}

inline void store_f32(uint8_t* dst, float x) { std::memcpy(dst, &x, 4); }

// float16 bits: ties to even, subnormals kept, overflow to infinity, NaN made quiet.
inline uint16_t f16_of(float x) {
  const uint32_t bits = bits_of(x);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) {
    return static_cast<uint16_t>(sign | 0x7E00u | ((magnitude >> 13) & 0x3FFu));
  }
  if (magnitude >= 0x477FF000u) return static_cast<uint16_t>(sign | 0x7C00u);
  if (magnitude < 0x38800000u) {
    // Subnormal halves are multiples of 2^-24; adding 0.5 leaves just those bits in the mantissa.
    const float shifted = float_of(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (bits_of(shifted) - 0x3F000000u));
  }
  const uint32_t rounded = magnitude - 0x38000000u + 0xFFFu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | (rounded >> 13));
}

inline float f32_of_f16(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7FFFu;
  if (magnitude >= 0x7C00u) return float_of(sign | 0x7F800000u | ((magnitude & 0x3FFu) << 13));
  if (magnitude < 0x400u) {
    const float value = static_cast<float>(magnitude) * 5.9604644775390625e-8f;  // 2^-24
    return float_of(sign | bits_of(value));
  }
  return float_of(sign | ((magnitude << 13) + 0x38000000u));
}

inline float load_f16(const uint8_t* src) {
  return f32_of_f16(static_cast<uint16_t>(src[0] | (src[1] << 8)));
}

// Returns what a reader will see, since several types go on computing with the rounded value.
inline float store_f16(uint8_t* dst, float x) {
  const uint16_t half = f16_of(x);
  dst[0] = static_cast<uint8_t>(half);
  dst[1] = static_cast<uint8_t>(half >> 8);
  return f32_of_f16(half);
}

// Nearest integer, ties to even, through the mantissa: infinities give -4194304, NaN gives 0.
inline int nearest(float x) {
  const uint32_t bits = bits_of(x + 12582912.0f);
  return static_cast<int>(bits & 0x007FFFFFu) - 0x00400000;
}

inline int clamp(int x, int low, int high) { return x < low ? low : (x > high ? high : x); }

inline float inverse(float d) { return d != 0.0f ? 1.0f / d : 0.0f; }

// The signed value of largest magnitude; the first of equals wins; zeros of any sign give +0.
inline float absmax(const float* x, int n) {
  float m = 0.0f;
  for (int i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > std::fabs(m)) m = x[i];
  }
  return m;
}

inline float first_min(const float* x, int n) {
  float m = x[0];
  for (int i = 1; i < n; ++i) {
    if (x[i] < m) m = x[i];
  }
  return m;
}

inline float first_max(const float* x, int n) {
  float m = x[0];
  for (int i = 1; i < n; ++i) {
    if (x[i] > m) m = x[i];
  }
  return m;
}

constexpr int kNonlinearLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};

constexpr int kMxfp4Levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// 2^(e - 128): half the value of the exponent byte, because the levels above are doubled.
inline float mxfp4_scale(uint8_t e) {
  return e < 2 ? float_of(0x00200000u << e) : float_of(static_cast<uint32_t>(e - 1) << 23);
}

// The 6-bit scale and minimum of sub-block j of Q4_K and Q5_K, from 12 bytes:
//   byte j   (j < 4)  [hi2 of scale j+4 | scale j]    byte j+4 [hi2 of min j+4 | min j]
//   byte j+8          [low4 of min j+4 | low4 of scale j+4]
inline void unpack_scale_min(const uint8_t* b, int j, int* scale, int* minimum) {
  if (j < 4) {
    *scale = b[j] & 63;
    *minimum = b[j + 4] & 63;
  } else {
    *scale = (b[j + 4] & 15) | ((b[j - 4] >> 6) << 4);
    *minimum = (b[j + 4] >> 4) | ((b[j] >> 6) << 4);
  }
}

}  // namespace
}  // namespace mlc
