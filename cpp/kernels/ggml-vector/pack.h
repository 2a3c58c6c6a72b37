// GGUF blocks whose scales are known: codes of neighbouring elements, and their packing.
#pragma once

#include "arithmetic.h"

namespace mlc {
namespace {

// codes[i] = clamp(nearest((x[i] + offset) / multiplier), low, high) - low
template <typename V, int low>
void affine_codes(const float* x, int n, float multiplier, float offset, int high, uint8_t* codes) {
  for (int i = 0; i < n; i += V::kLanes) {
    const Floats<V> shifted = V::add(V::load(x + i), V::set(offset));
    const Floats<V> code = V::template nearest<low>(V::div(shifted, V::set(multiplier)), high);
    V::store_bytes(codes + i, V::sub(code, V::set(static_cast<float>(low))));
  }
}

// The same without an offset: x + 0 would lose the sign of -0, which no code shows, but NaN stays
// NaN.
template <typename V, int low>
void scaled_codes(const float* x, int n, float multiplier, int high, uint8_t* codes) {
  for (int i = 0; i < n; i += V::kLanes) {
    const Floats<V> code =
        V::template nearest<low>(V::div(V::load(x + i), V::set(multiplier)), high);
    V::store_bytes(codes + i, V::sub(code, V::set(static_cast<float>(low))));
  }
}

inline void pack_nibbles(const uint8_t* low, const uint8_t* high, int n, uint8_t* dst) {
  for (int i = 0; i < n; ++i) dst[i] = static_cast<uint8_t>((low[i] & 15) | (high[i] << 4));
}

inline void pack_two_bits(const uint8_t* code, uint8_t* dst) {
  for (int half = 0; half < 2; ++half) {
    const uint8_t* c = code + 128 * half;
    for (int i = 0; i < 32; ++i) {
      dst[32 * half + i] = static_cast<uint8_t>((c[i] & 3) | ((c[i + 32] & 3) << 2) |
                                                ((c[i + 64] & 3) << 4) | ((c[i + 96] & 3) << 6));
    }
  }
}

inline float largest_positive(const float* x, int n) {
  float m = 0.0f;
  for (int i = 0; i < n; ++i) m = x[i] > m ? x[i] : m;
  return m;
}

// Each packs one super-block whose sub-blocks' scales were searched. They answer false where a
// multiplier is zero: then the codes of the search itself are stored, which only the reference
// keeps.

template <typename V, bool kFiveBits>
bool pack_q45_k(const float* x, const float* scale, const float* minimum, uint8_t* dst) {
  const float max_scale = largest_positive(scale, 8);
  const float max_minimum = largest_positive(minimum, 8);
  const float inverse_scale = max_scale > 0.0f ? 63.0f / max_scale : 0.0f;
  const float inverse_minimum = max_minimum > 0.0f ? 63.0f / max_minimum : 0.0f;
  const float d = store_half(dst, max_scale / 63.0f);
  const float dmin = store_half(dst + 2, max_minimum / 63.0f);
  uint8_t* b = dst + 4;
  uint8_t codes[256];
  for (int j = 0; j < 8; ++j) {
    const int ls = clamped(static_cast<uint8_t>(nearest_int(inverse_scale * scale[j])), 0, 63);
    const int lm = clamped(static_cast<uint8_t>(nearest_int(inverse_minimum * minimum[j])), 0, 63);
    if (j < 4) {
      b[j] = static_cast<uint8_t>(ls);
      b[j + 4] = static_cast<uint8_t>(lm);
    } else {
      b[j + 4] = static_cast<uint8_t>((ls & 15) | ((lm & 15) << 4));
      b[j - 4] = static_cast<uint8_t>(b[j - 4] | ((ls >> 4) << 6));
      b[j] = static_cast<uint8_t>(b[j] | ((lm >> 4) << 6));
    }
    const float multiplier = d * static_cast<float>(ls);
    if (multiplier == 0.0f) return false;
    const float offset = dmin * static_cast<float>(lm);
    affine_codes<V, 0>(x + 32 * j, 32, multiplier, offset, kFiveBits ? 31 : 15, codes + 32 * j);
  }
  uint8_t* qs = dst + (kFiveBits ? 48 : 16);
  for (int c = 0; c < 4; ++c) pack_nibbles(codes + 64 * c, codes + 64 * c + 32, 32, qs + 32 * c);
  if (kFiveBits) {
    std::memset(dst + 16, 0, 32);
    for (int j = 0; j < 8; ++j) {
      for (int l = 0; l < 32; ++l) {
        dst[16 + l] = static_cast<uint8_t>(dst[16 + l] | ((codes[32 * j + l] >> 4) << j));
      }
    }
  }
  return true;
}

template <typename V>
bool pack_q2_k(const float* x, const float* scale, const float* minimum, uint8_t* dst) {
  const float max_scale = largest_positive(scale, 16);
  const float max_minimum = largest_positive(minimum, 16);
  if (!(max_scale > 0.0f)) return false;
  const float d = store_half(dst + 80, max_scale / 15.0f);
  const float dmin = store_half(dst + 82, max_minimum / 15.0f);
  uint8_t codes[256];
  for (int j = 0; j < 16; ++j) {
    const int ls = nearest_int(15.0f / max_scale * scale[j]);
    const int lm = max_minimum > 0.0f ? nearest_int(15.0f / max_minimum * minimum[j]) : 0;
    dst[j] = static_cast<uint8_t>(static_cast<unsigned>(ls) | (static_cast<unsigned>(lm) << 4));
    const float multiplier = d * static_cast<float>(dst[j] & 15);
    if (multiplier == 0.0f) return false;
    const float offset = dmin * static_cast<float>(dst[j] >> 4);
    affine_codes<V, 0>(x + 16 * j, 16, multiplier, offset, 3, codes + 16 * j);
  }
  pack_two_bits(codes, dst + 16);
  return true;
}

template <typename V>
bool pack_q3_k(const float* x, const float* scale, const float*, uint8_t* dst) {
  const float largest = largest_signed(scale, 16);
  if (largest == 0.0f) return false;
  const float inverse_scale = -32.0f / largest;
  const float d = store_half(dst + 108, 1.0f / inverse_scale);
  uint8_t* b = dst + 96;
  std::memset(b, 0, 12);
  uint8_t codes[256];
  for (int j = 0; j < 16; ++j) {
    const int c = clamped(nearest_int(inverse_scale * scale[j]), -32, 31) + 32;
    b[j % 8] = static_cast<uint8_t>(b[j % 8] | ((c & 15) << (4 * (j / 8))));
    b[8 + j % 4] = static_cast<uint8_t>(b[8 + j % 4] | ((c >> 4) << (2 * (j / 4))));
    const float multiplier = d * static_cast<float>(c - 32);
    if (multiplier == 0.0f) return false;
    scaled_codes<V, -4>(x + 16 * j, 16, multiplier, 3, codes + 16 * j);
  }
  std::memset(dst, 0, 32);
  for (int j = 0; j < 8; ++j) {
    for (int l = 0; l < 32; ++l) {
      dst[l] = static_cast<uint8_t>(dst[l] | ((codes[32 * j + l] >> 2) << j));
    }
  }
  pack_two_bits(codes, dst + 32);
  return true;
}

template <typename V>
bool pack_q6_k(const float* x, const float* scale, const float*, uint8_t* dst) {
  const float largest = largest_signed(scale, 16);
  if (magnitude(largest) < kTooSmall) {
    std::memset(dst, 0, 210);
    return true;
  }
  const float inverse_scale = -128.0f / largest;
  const float d = store_half(dst + 208, 1.0f / inverse_scale);
  uint8_t codes[256];
  for (int j = 0; j < 16; ++j) {
    const int sc = clamped(nearest_int(inverse_scale * scale[j]), -4194304, 127);
    dst[192 + j] = static_cast<uint8_t>(sc);
    const float multiplier = d * static_cast<float>(static_cast<int8_t>(dst[192 + j]));
    if (multiplier == 0.0f) return false;
    scaled_codes<V, -32>(x + 16 * j, 16, multiplier, 31, codes + 16 * j);
  }
  for (int h = 0; h < 2; ++h) {
    const uint8_t* c = codes + 128 * h;
    pack_nibbles(c, c + 64, 32, dst + 64 * h);
    pack_nibbles(c + 32, c + 96, 32, dst + 64 * h + 32);
    for (int l = 0; l < 32; ++l) {
      dst[128 + 32 * h + l] =
          static_cast<uint8_t>((c[l] >> 4) | ((c[l + 32] >> 4) << 2) | ((c[l + 64] >> 4) << 4) |
                               ((c[l + 96] >> 4) << 6));
    }
  }
  return true;
}

// 32 values as nibbles of their nearest levels.
template <typename V>
void pack_levels(const float* x, float inverse_scale, uint8_t* dst) {
  uint8_t codes[32];
  for (int i = 0; i < 32; i += V::kLanes) {
    const auto index = V::level_index(V::mul(V::set(inverse_scale), V::load(x + i)));
    V::store_index(codes + i, index);
  }
  pack_nibbles(codes, codes + 16, 16, dst);
}

template <typename V>
bool pack_iq4_nl(const float* x, const float* scale, const float*, uint8_t* dst) {
  store_half(dst, *scale);
  pack_levels<V>(x, inverse_of(*scale), dst + 2);
  return true;
}

template <typename V>
bool pack_iq4_xs(const float* x, const float* scale, const float*, uint8_t* dst) {
  const float d = -largest_signed(scale, 8) / 32.0f;
  const float id = inverse_of(d);
  store_half(dst, d);
  std::memset(dst + 2, 0, 6);
  for (int j = 0; j < 8; ++j) {
    const int l = clamped(nearest_int(id * scale[j]), -32, 31);
    const int u = l + 32;
    dst[2 + j / 4] = static_cast<uint8_t>(dst[2 + j / 4] | ((u >> 4) << (2 * (j % 4))));
    dst[4 + j / 2] = static_cast<uint8_t>(dst[4 + j / 2] | ((u & 15) << (4 * (j % 2))));
    pack_levels<V>(x + 32 * j, inverse_of(d * static_cast<float>(l)), dst + 8 + 16 * j);
  }
  return true;
}

}  // namespace
}  // namespace mlc
