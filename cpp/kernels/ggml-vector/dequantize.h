// Values of GGUF blocks, in vectors: codes are unpacked to bytes sixteen at a time, then scaled.
#pragma once

#include "arithmetic.h"

namespace mlc {
namespace {

inline __m128i load16(const uint8_t* src) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(src));
}

inline void store16(int8_t* dst, __m128i bytes) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(dst), bytes);
}

inline __m128i bits_at(__m128i bytes, int shift, int mask) {
  return _mm_and_si128(_mm_srli_epi16(bytes, shift), _mm_set1_epi8(static_cast<char>(mask)));
}

// 16 where bit `bit` of a byte is set, else 0.
inline __m128i sixteen_if(__m128i bytes, int bit) {
  const __m128i mask = _mm_set1_epi8(static_cast<char>(1 << bit));
  const __m128i set = _mm_cmpeq_epi8(_mm_and_si128(bytes, mask), mask);
  return _mm_and_si128(set, _mm_set1_epi8(16));
}

// Sixteen bits as sixteen bytes of 16 or 0.
inline __m128i sixteen_if_bits(uint32_t bits) {
  const __m128i bytes =
      _mm_shuffle_epi8(_mm_cvtsi32_si128(static_cast<int>(bits)),
                       _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
  const __m128i mask = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
  return _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(bytes, mask), mask), _mm_set1_epi8(16));
}

inline __m128i minus(__m128i bytes, int value) {
  return _mm_sub_epi8(bytes, _mm_set1_epi8(static_cast<char>(value)));
}

template <typename V>
void scale_codes(const int8_t* codes, int n, float multiplier, uint8_t* dst) {
  const Floats<V> d = V::set(multiplier);
  for (int i = 0; i < n; i += V::kLanes) {
    V::store_to(dst + 4 * i, V::mul(V::of_bytes(codes + i), d));
  }
}

template <typename V>
void shift_codes(const int8_t* codes, int n, float multiplier, float offset, uint8_t* dst) {
  const Floats<V> d = V::set(multiplier);
  const Floats<V> m = V::set(offset);
  for (int i = 0; i < n; i += V::kLanes) {
    V::store_to(dst + 4 * i, V::add(V::mul(V::of_bytes(codes + i), d), m));
  }
}

// As above with `- offset`, as the K types have it.
template <typename V>
void lower_codes(const int8_t* codes, int n, float multiplier, float offset, uint8_t* dst) {
  const Floats<V> d = V::set(multiplier);
  const Floats<V> m = V::set(offset);
  for (int i = 0; i < n; i += V::kLanes) {
    V::store_to(dst + 4 * i, V::sub(V::mul(V::of_bytes(codes + i), d), m));
  }
}

inline void nibbles(const uint8_t* src, int middle, int8_t* codes) {
  const __m128i packed = load16(src);
  store16(codes, minus(bits_at(packed, 0, 15), middle));
  store16(codes + 16, minus(bits_at(packed, 4, 15), middle));
}

inline void five_bits(const uint8_t* high, const uint8_t* low, int middle, int8_t* codes) {
  uint32_t word;
  std::memcpy(&word, high, 4);
  const __m128i packed = load16(low);
  store16(codes, minus(_mm_or_si128(bits_at(packed, 0, 15), sixteen_if_bits(word)), middle));
  store16(codes + 16,
          minus(_mm_or_si128(bits_at(packed, 4, 15), sixteen_if_bits(word >> 16)), middle));
}

inline void looked_up(const uint8_t* src, __m128i levels, int8_t* codes) {
  const __m128i packed = load16(src);
  store16(codes, _mm_shuffle_epi8(levels, bits_at(packed, 0, 15)));
  store16(codes + 16, _mm_shuffle_epi8(levels, bits_at(packed, 4, 15)));
}

inline __m128i nonlinear_levels() {
  return _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
}

inline __m128i mxfp4_levels() {
  return _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
}

inline float mxfp4_multiplier(uint8_t e) {
  const uint32_t bits = e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23;
  float d;
  std::memcpy(&d, &bits, 4);
  return d;
}

template <typename V>
void value_q8_0(const uint8_t* src, uint8_t* dst) {
  int8_t codes[32];
  std::memcpy(codes, src + 2, 32);
  scale_codes<V>(codes, 32, load_half(src), dst);
}

template <typename V>
void value_q4_0(const uint8_t* src, uint8_t* dst) {
  int8_t codes[32];
  nibbles(src + 2, 8, codes);
  scale_codes<V>(codes, 32, load_half(src), dst);
}

template <typename V>
void value_q4_1(const uint8_t* src, uint8_t* dst) {
  int8_t codes[32];
  nibbles(src + 4, 0, codes);
  shift_codes<V>(codes, 32, load_half(src), load_half(src + 2), dst);
}

template <typename V>
void value_q5_0(const uint8_t* src, uint8_t* dst) {
  int8_t codes[32];
  five_bits(src + 2, src + 6, 16, codes);
  scale_codes<V>(codes, 32, load_half(src), dst);
}

template <typename V>
void value_q5_1(const uint8_t* src, uint8_t* dst) {
  int8_t codes[32];
  five_bits(src + 4, src + 8, 0, codes);
  shift_codes<V>(codes, 32, load_half(src), load_half(src + 2), dst);
}

template <typename V>
void value_iq4_nl(const uint8_t* src, uint8_t* dst) {
  int8_t codes[32];
  looked_up(src + 2, nonlinear_levels(), codes);
  scale_codes<V>(codes, 32, load_half(src), dst);
}

template <typename V>
void value_mxfp4(const uint8_t* src, uint8_t* dst) {
  int8_t codes[32];
  looked_up(src + 1, mxfp4_levels(), codes);
  scale_codes<V>(codes, 32, mxfp4_multiplier(src[0]), dst);
}

template <typename V>
void value_q2_k(const uint8_t* src, uint8_t* dst) {
  const float d = load_half(src + 80);
  const float dmin = load_half(src + 82);
  for (int j = 0; j < 16; ++j) {
    int8_t codes[16];
    const __m128i packed = load16(src + 16 + 32 * (j / 8) + 16 * (j % 2));
    store16(codes, bits_at(packed, 2 * (j % 8 / 2), 3));
    const float multiplier = d * static_cast<float>(src[j] & 15);
    lower_codes<V>(codes, 16, multiplier, dmin * static_cast<float>(src[j] >> 4), dst + 64 * j);
  }
}

template <typename V>
void value_q3_k(const uint8_t* src, uint8_t* dst) {
  const float d = load_half(src + 108);
  const uint8_t* b = src + 96;
  for (int j = 0; j < 16; ++j) {
    int8_t codes[16];
    const __m128i packed = load16(src + 32 + 32 * (j / 8) + 16 * (j % 2));
    // 16 >> 2 = 4: what the high bit is worth.
    const __m128i high = bits_at(sixteen_if(load16(src + 16 * (j % 2)), j / 2), 2, 4);
    store16(codes, minus(_mm_or_si128(bits_at(packed, 2 * (j % 8 / 2), 3), high), 4));
    const int low = j < 8 ? b[j] & 15 : b[j - 8] >> 4;
    const int scale = low | (((b[8 + j % 4] >> (2 * (j / 4))) & 3) << 4);
    scale_codes<V>(codes, 16, d * static_cast<float>(scale - 32), dst + 64 * j);
  }
}

inline void sub_scales(const uint8_t* b, int j, int* scale, int* minimum) {
  *scale = j < 4 ? b[j] & 63 : (b[j + 4] & 15) | ((b[j - 4] >> 6) << 4);
  *minimum = j < 4 ? b[j + 4] & 63 : (b[j + 4] >> 4) | ((b[j] >> 6) << 4);
}

template <typename V, bool kFiveBits>
void value_q45_k(const uint8_t* src, uint8_t* dst) {
  const float d = load_half(src);
  const float dmin = load_half(src + 2);
  for (int j = 0; j < 8; ++j) {
    int scale, minimum;
    sub_scales(src + 4, j, &scale, &minimum);
    int8_t codes[32];
    for (int half = 0; half < 32; half += 16) {
      const __m128i packed = load16(src + (kFiveBits ? 48 : 16) + 32 * (j / 2) + half);
      __m128i code = bits_at(packed, 4 * (j % 2), 15);
      if (kFiveBits) code = _mm_or_si128(code, sixteen_if(load16(src + 16 + half), j));
      store16(codes + half, code);
    }
    lower_codes<V>(codes, 32, d * static_cast<float>(scale), dmin * static_cast<float>(minimum),
                   dst + 128 * j);
  }
}

template <typename V>
void value_q6_k(const uint8_t* src, uint8_t* dst) {
  const float d = load_half(src + 208);
  for (int j = 0; j < 16; ++j) {
    const int h = j / 8;
    const int plane = j % 8 / 2;
    const int at = 16 * (j % 2);
    int8_t codes[16];
    const __m128i low = bits_at(load16(src + 64 * h + 32 * (plane % 2) + at), 4 * (plane / 2), 15);
    const __m128i high = bits_at(load16(src + 128 + 32 * h + at), 2 * plane, 3);
    store16(codes, minus(_mm_or_si128(low, _mm_slli_epi16(high, 4)), 32));
    const float multiplier = d * static_cast<float>(static_cast<int8_t>(src[192 + j]));
    scale_codes<V>(codes, 16, multiplier, dst + 64 * j);
  }
}

template <typename V>
void value_iq4_xs(const uint8_t* src, uint8_t* dst) {
  const float d = load_half(src);
  const int scales_h = src[2] | (src[3] << 8);
  for (int j = 0; j < 8; ++j) {
    const int low = (src[4 + j / 2] >> (4 * (j % 2))) & 15;
    const int u = low | (((scales_h >> (2 * j)) & 3) << 4);
    int8_t codes[32];
    looked_up(src + 8 + 16 * j, nonlinear_levels(), codes);
    scale_codes<V>(codes, 32, d * static_cast<float>(u - 32), dst + 128 * j);
  }
}

template <void (*kBlock)(const uint8_t*, uint8_t*)>
void values_of(const uint8_t* src, uint8_t* dst, size_t blocks, size_t block_bytes,
               size_t value_bytes) {
  for (size_t i = 0; i < blocks; ++i) kBlock(src + i * block_bytes, dst + i * value_bytes);
}

template <typename V>
void dequantize_vectors(GgmlType type, const uint8_t* src, uint8_t* dst, size_t count) {
  const size_t small = count / 32, super = count / kSuperBlock;
  switch (type) {
    case GgmlType::kQ8_0:
      return values_of<value_q8_0<V>>(src, dst, small, 34, 128);
    case GgmlType::kQ4_0:
      return values_of<value_q4_0<V>>(src, dst, small, 18, 128);
    case GgmlType::kQ4_1:
      return values_of<value_q4_1<V>>(src, dst, small, 20, 128);
    case GgmlType::kQ5_0:
      return values_of<value_q5_0<V>>(src, dst, small, 22, 128);
    case GgmlType::kQ5_1:
      return values_of<value_q5_1<V>>(src, dst, small, 24, 128);
    case GgmlType::kIq4Nl:
      return values_of<value_iq4_nl<V>>(src, dst, small, 18, 128);
    case GgmlType::kMxfp4:
      return values_of<value_mxfp4<V>>(src, dst, small, 17, 128);
    case GgmlType::kQ2K:
      return values_of<value_q2_k<V>>(src, dst, super, 84, 1024);
    case GgmlType::kQ3K:
      return values_of<value_q3_k<V>>(src, dst, super, 110, 1024);
    case GgmlType::kQ4K:
      return values_of<value_q45_k<V, false>>(src, dst, super, 144, 1024);
    case GgmlType::kQ5K:
      return values_of<value_q45_k<V, true>>(src, dst, super, 176, 1024);
    case GgmlType::kQ6K:
      return values_of<value_q6_k<V>>(src, dst, super, 210, 1024);
    case GgmlType::kIq4Xs:
      return values_of<value_iq4_xs<V>>(src, dst, super, 136, 1024);
  }
}

}  // namespace
}  // namespace mlc
