// The GGUF block types in vectors of `V::kLanes` floats, for any V that offers the few operations
// used here. Two shapes of parallelism, neither of which changes the order of any sum:
//   - scales are searched with one sub-block a lane, so each lane adds in index order;
//   - codes, once a scale is known, are made from neighbouring elements.
// Each including file compiles its own copy: everything has internal linkage, on purpose.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ggml-tables.h"

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

// ---- searches: one sub-block a lane ------------------------------------------------------------

template <typename V>
using Floats = typename V::Floats;

// Loads element i of kLanes neighbouring sub-blocks of n elements into columns[i].
template <typename V, int n>
void load_columns(const float* x, Floats<V>* columns) {
  for (int i = 0; i < n; ++i) columns[i] = V::gather(x + i, n);
}

template <typename V>
struct Affine {
  Floats<V> scale;
  Floats<V> minimum;  // negated, never negative
};

template <typename V, int n, bool kAbsolute>
Floats<V> affine_error(const Floats<V>* x, const Floats<V>* w, const Floats<V>* code,
                       Floats<V> scale, Floats<V> minimum) {
  Floats<V> sum = V::set(0.0f);
  for (int i = 0; i < n; ++i) {
    const Floats<V> v = V::sub(V::add(V::mul(scale, code[i]), minimum), x[i]);
    sum = V::add(sum, V::mul(w[i], kAbsolute ? V::abs(v) : V::mul(v, v)));
  }
  return sum;
}

// See search_affine in reference/ggml-quantize-k.cpp. Lanes without a result keep what they had.
template <typename V, int n, bool kAbsolute>
Affine<V> search_affine(const Floats<V>* x, const Floats<V>* w, int max_code, float first_step,
                        int steps) {
  using F = Floats<V>;
  const F zero = V::set(0.0f);
  F minimum = x[0], maximum = x[0], sum_w = w[0], sum_x = V::mul(w[0], x[0]);
  for (int i = 1; i < n; ++i) {
    minimum = V::min(x[i], minimum);
    maximum = V::max(x[i], maximum);
    sum_w = V::add(sum_w, w[i]);
    sum_x = V::add(sum_x, V::mul(w[i], x[i]));
  }
  minimum = V::min(zero, minimum);
  const auto flat = V::equal(maximum, minimum);
  const F flat_minimum = minimum;
  const F levels = V::set(static_cast<float>(max_code));
  const F first = V::div(levels, V::sub(maximum, minimum));
  F code[n];
  for (int i = 0; i < n; ++i) {
    code[i] = V::template nearest<0>(V::mul(first, V::sub(x[i], minimum)), max_code);
  }
  F scale = V::div(V::set(1.0f), first);
  F best = affine_error<V, n, kAbsolute>(x, w, code, scale, minimum);
  for (int k = 0; k <= steps; ++k) {
    const float step = (first_step + 0.1f * static_cast<float>(k)) + static_cast<float>(max_code);
    const F inverse = V::div(V::set(step), V::sub(maximum, minimum));
    F a = zero, b = zero, c = zero;
    for (int i = 0; i < n; ++i) {
      code[i] = V::template nearest<0>(V::mul(inverse, V::sub(x[i], minimum)), max_code);
      const F wl = V::mul(w[i], code[i]);
      a = V::add(a, wl);
      b = V::add(b, V::mul(wl, code[i]));
      c = V::add(c, V::mul(wl, x[i]));
    }
    const F determinant = V::sub(V::mul(sum_w, b), V::mul(a, a));
    F tried_scale = V::div(V::sub(V::mul(sum_w, c), V::mul(sum_x, a)), determinant);
    F tried_minimum = V::div(V::sub(V::mul(b, sum_x), V::mul(a, c)), determinant);
    const auto positive = V::less(zero, tried_minimum);
    tried_scale = V::blend(positive, V::div(c, b), tried_scale);
    tried_minimum = V::blend(positive, zero, tried_minimum);
    const F error = affine_error<V, n, kAbsolute>(x, w, code, tried_scale, tried_minimum);
    const auto better = V::both(V::less(zero, determinant), V::less(error, best));
    best = V::blend(better, error, best);
    scale = V::blend(better, tried_scale, scale);
    minimum = V::blend(better, tried_minimum, minimum);
  }
  return {V::blend(flat, zero, scale), V::negate(V::blend(flat, flat_minimum, minimum))};
}

template <typename V, int n>
Floats<V> largest_in_lanes(const Floats<V>* x) {
  Floats<V> m = V::set(0.0f);
  for (int i = 0; i < n; ++i) m = V::blend(V::less(V::abs(m), V::abs(x[i])), x[i], m);
  return m;
}

// See search_symmetric in reference/ggml-quantize-k.cpp.
template <typename V>
Floats<V> search_symmetric(const Floats<V>* x) {
  using F = Floats<V>;
  const F zero = V::set(0.0f);
  const F m = largest_in_lanes<V, 16>(x);
  F wx[16], w[16];
  for (int i = 0; i < 16; ++i) {
    w[i] = V::mul(x[i], x[i]);
    wx[i] = V::mul(w[i], x[i]);
  }
  F scale = zero, best = zero;
  for (int k = -10; k <= 9; ++k) {
    if (k == 0) continue;
    const float t = k == -10 ? 0.0f : 0.1f * static_cast<float>(k);
    const F inverse = V::div(V::set(-(32.0f + t)), m);
    F a = zero, b = zero;
    for (int i = 0; i < 16; ++i) {
      const F l = V::template nearest<-32>(V::mul(inverse, x[i]), 31);
      a = V::add(a, V::mul(wx[i], l));
      b = V::add(b, V::mul(V::mul(w[i], l), l));
    }
    const F ratio = V::div(a, b);
    if (k == -10) {
      scale = V::blend(V::equal(b, zero), zero, ratio);
      best = V::mul(scale, a);
      continue;
    }
    const auto better = V::both(V::less(zero, b), V::less(V::mul(best, b), V::mul(a, a)));
    scale = V::blend(better, ratio, scale);
    best = V::blend(better, V::mul(ratio, a), best);
  }
  return V::blend(V::less(V::abs(m), V::set(kTooSmall)), zero, scale);
}

// See descend_3bit in reference/ggml-quantize-k.cpp. A lane that has settled stays as it is.
template <typename V>
Floats<V> descend_3bit(const Floats<V>* x) {
  using F = Floats<V>;
  const F zero = V::set(0.0f);
  const F m = largest_in_lanes<V, 16>(x);
  const F inverse = V::div(V::set(-4.0f), m);
  F w[16], wx[16], code[16];
  F a = zero, b = zero;
  for (int i = 0; i < 16; ++i) {
    w[i] = V::mul(x[i], x[i]);
    wx[i] = V::mul(w[i], x[i]);
    code[i] = V::template nearest<-4>(V::mul(inverse, x[i]), 3);
    a = V::add(a, V::mul(wx[i], code[i]));
    b = V::add(b, V::mul(V::mul(w[i], code[i]), code[i]));
  }
  bool changed = true;
  for (int pass = 0; pass < 5 && changed; ++pass) {
    changed = false;
    for (int i = 0; i < 16; ++i) {
      F rest_a = V::sub(a, V::mul(wx[i], code[i]));
      F rest_b = V::sub(b, V::mul(V::mul(w[i], code[i]), code[i]));
      const auto possible = V::less(zero, rest_a);
      const F next = V::template nearest<-4>(V::div(V::mul(x[i], rest_b), rest_a), 3);
      rest_a = V::add(rest_a, V::mul(wx[i], next));
      rest_b = V::add(rest_b, V::mul(V::mul(w[i], next), next));
      const auto moved = V::both(possible, V::differs(next, code[i]));
      const auto gains = V::both(V::less(zero, rest_b), V::less(V::mul(V::mul(a, a), rest_b),
                                                                V::mul(V::mul(rest_a, rest_a), b)));
      const auto better = V::both(moved, gains);
      if (!V::any(better)) continue;
      code[i] = V::blend(better, next, code[i]);
      a = V::blend(better, rest_a, a);
      b = V::blend(better, rest_b, b);
      changed = true;
    }
  }
  const F scale = V::blend(V::less(zero, b), V::div(a, b), zero);
  return V::blend(V::less(V::abs(m), V::set(kTooSmall)), zero, scale);
}

// See search_scale in reference/ggml-quantize-iq4.cpp.
template <typename V>
Floats<V> search_levels(const Floats<V>* x) {
  using F = Floats<V>;
  const F zero = V::set(0.0f);
  const F m = largest_in_lanes<V, 32>(x);
  F scale = zero, best = zero;
  for (int t = -8; t <= 7; ++t) {
    // The first try is 1 / (-m / -127), which rounds differently from 127 / m.
    const F inverse = t == -8 ? V::div(V::set(1.0f), V::div(V::negate(m), V::set(-127.0f)))
                              : V::div(V::set(static_cast<float>(t) + -127.0f), m);
    F a = zero, b = zero;
    for (int i = 0; i < 32; ++i) {
      const F q = V::level(V::level_index(V::mul(inverse, x[i])));
      const F wq = V::mul(V::mul(x[i], x[i]), q);
      a = V::add(a, V::mul(wq, x[i]));
      b = V::add(b, V::mul(wq, q));
    }
    const F ratio = V::div(a, b);
    const auto valid = V::less(zero, b);
    if (t == -8) {
      scale = V::blend(valid, ratio, zero);
      best = V::mul(scale, a);
      continue;
    }
    const auto better = V::both(valid, V::less(V::mul(best, b), V::mul(a, a)));
    scale = V::blend(better, ratio, scale);
    best = V::blend(better, V::mul(ratio, a), best);
  }
  return V::blend(V::less(V::abs(m), V::set(kTooSmall)), zero, scale);
}

// ---- codes and packing: neighbouring elements ----

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

// ---- whole runs of blocks ----

// What a type needs: how many elements a sub-block has, how its scales are searched, how a block of
// `kSubBlocks` of them is packed.
template <typename V>
struct Q4K {
  static constexpr GgmlType kType = GgmlType::kQ4K;
  static constexpr int kSubBlocks = 8, kElements = 32, kBytes = 144;
  static Affine<V> search(const Floats<V>* x) {
    Floats<V> w[32];
    Floats<V> squares = V::set(0.0f);
    for (int i = 0; i < 32; ++i) squares = V::add(squares, V::mul(x[i], x[i]));
    const Floats<V> average = V::sqrt(V::div(squares, V::set(32.0f)));
    for (int i = 0; i < 32; ++i) w[i] = V::add(average, V::abs(x[i]));
    return search_affine<V, 32, false>(x, w, 15, -1.0f, 20);
  }
  static constexpr auto pack = pack_q45_k<V, false>;
};

template <typename V>
struct Q5K {
  static constexpr GgmlType kType = GgmlType::kQ5K;
  static constexpr int kSubBlocks = 8, kElements = 32, kBytes = 176;
  static Affine<V> search(const Floats<V>* x) {
    Floats<V> w[32];
    Floats<V> squares = V::set(0.0f);
    for (int i = 0; i < 32; ++i) squares = V::add(squares, V::mul(x[i], x[i]));
    const Floats<V> average = V::sqrt(V::div(squares, V::set(32.0f)));
    for (int i = 0; i < 32; ++i) w[i] = V::add(average, V::abs(x[i]));
    return search_affine<V, 32, false>(x, w, 31, -0.5f, 15);
  }
  static constexpr auto pack = pack_q45_k<V, true>;
};

template <typename V>
struct Q2K {
  static constexpr GgmlType kType = GgmlType::kQ2K;
  static constexpr int kSubBlocks = 16, kElements = 16, kBytes = 84;
  static Affine<V> search(const Floats<V>* x) {
    Floats<V> w[16];
    for (int i = 0; i < 16; ++i) w[i] = V::abs(x[i]);
    return search_affine<V, 16, true>(x, w, 3, -0.5f, 15);
  }
  static constexpr auto pack = pack_q2_k<V>;
};

template <typename V>
struct Q3K {
  static constexpr GgmlType kType = GgmlType::kQ3K;
  static constexpr int kSubBlocks = 16, kElements = 16, kBytes = 110;
  static Affine<V> search(const Floats<V>* x) { return {descend_3bit<V>(x), V::set(0.0f)}; }
  static constexpr auto pack = pack_q3_k<V>;
};

template <typename V>
struct Q6K {
  static constexpr GgmlType kType = GgmlType::kQ6K;
  static constexpr int kSubBlocks = 16, kElements = 16, kBytes = 210;
  static Affine<V> search(const Floats<V>* x) { return {search_symmetric<V>(x), V::set(0.0f)}; }
  static constexpr auto pack = pack_q6_k<V>;
};

template <typename V>
struct Iq4Nl {
  static constexpr GgmlType kType = GgmlType::kIq4Nl;
  static constexpr int kSubBlocks = 1, kElements = 32, kBytes = 18;
  static Affine<V> search(const Floats<V>* x) { return {search_levels<V>(x), V::set(0.0f)}; }
  static constexpr auto pack = pack_iq4_nl<V>;
};

template <typename V>
struct Iq4Xs {
  static constexpr GgmlType kType = GgmlType::kIq4Xs;
  static constexpr int kSubBlocks = 8, kElements = 32, kBytes = 136;
  static Affine<V> search(const Floats<V>* x) { return {search_levels<V>(x), V::set(0.0f)}; }
  static constexpr auto pack = pack_iq4_xs<V>;
};

// Searches as many blocks at once as fill the lanes; the last ones may be fewer.
template <typename V, typename Type>
void quantize_searched(const uint8_t* src, uint8_t* dst, size_t count) {
  constexpr int kPerBlock = Type::kSubBlocks * Type::kElements;
  constexpr int kBlocks = V::kLanes > Type::kSubBlocks ? V::kLanes / Type::kSubBlocks : 1;
  constexpr int kSubBlocks = kBlocks * Type::kSubBlocks;
  const size_t total = count / kPerBlock;
  for (size_t done = 0; done < total; done += kBlocks) {
    const size_t blocks = total - done < kBlocks ? total - done : kBlocks;
    float x[kBlocks * kPerBlock];
    if (blocks < kBlocks) std::memset(x, 0, sizeof(x));
    std::memcpy(x, src, blocks * kPerBlock * 4);
    float scale[kSubBlocks], minimum[kSubBlocks];
    for (int j = 0; j < kSubBlocks; j += V::kLanes) {
      Floats<V> columns[Type::kElements];
      load_columns<V, Type::kElements>(x + j * Type::kElements, columns);
      const Affine<V> fit = Type::search(columns);
      V::store(scale + j, fit.scale);
      V::store(minimum + j, fit.minimum);
    }
    for (size_t b = 0; b < blocks; ++b) {
      const float* own = x + b * kPerBlock;
      const size_t first = b * Type::kSubBlocks;
      if (!Type::pack(own, scale + first, minimum + first, dst)) {
        kGgmlReference.quantize(Type::kType, src, dst, kPerBlock);
      }
      src += kPerBlock * 4;
      dst += Type::kBytes;
    }
  }
}

}  // namespace
}  // namespace mlc
