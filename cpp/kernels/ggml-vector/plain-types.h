// The plain 32-value types, in vectors: see arithmetic.h.
#pragma once

#include "arithmetic.h"

namespace mlc {
namespace {

// A block of 32 values in registers.
template <typename V>
struct Block {
  static constexpr int kVectors = 32 / V::kLanes;
  Floats<V> x[kVectors];

  explicit Block(const uint8_t* src) {
    for (int v = 0; v < kVectors; ++v) x[v] = V::load_bytes(src + 4 * v * V::kLanes);
  }

  // Bit i is set where element i equals `value`.
  uint32_t equals(float value) const {
    uint32_t bits = 0;
    for (int v = 0; v < kVectors; ++v) {
      bits |= V::bits(V::equal(x[v], V::set(value))) << (v * V::kLanes);
    }
    return bits;
  }

  uint32_t equals_magnitude(float value) const {
    uint32_t bits = 0;
    for (int v = 0; v < kVectors; ++v) {
      bits |= V::bits(V::equal(V::abs(x[v]), V::set(value))) << (v * V::kLanes);
    }
    return bits;
  }

  float largest_magnitude() const {
    Floats<V> m = V::set(0.0f);
    for (int v = 0; v < kVectors; ++v) m = V::max(V::abs(x[v]), m);
    return V::largest(m);
  }
};

// Index of the lowest bit that is set; one is.
inline size_t lowest_bit(uint32_t bits) {
#if defined(_MSC_VER)
  unsigned long index;
  _BitScanForward(&index, bits);
  return index;
#else
  return static_cast<size_t>(__builtin_ctz(bits));
#endif
}

inline float element(const uint8_t* src, uint32_t where) {
  float x;
  std::memcpy(&x, src + 4 * lowest_bit(where), 4);
  return x;
}

// The signed value of largest magnitude, the first of equals; zeros give +0.
template <typename V>
float largest_signed_of(const Block<V>& block, const uint8_t* src) {
  const float m = block.largest_magnitude();
  return m == 0.0f ? 0.0f : element(src, block.equals_magnitude(m));
}

inline void pack_block(const uint8_t* codes, uint8_t* dst) {
  const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
  const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + 16));
  const __m128i mask = _mm_set1_epi8(15);
  const __m128i packed =
      _mm_or_si128(_mm_and_si128(low, mask), _mm_slli_epi16(_mm_and_si128(high, mask), 4));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(dst), packed);
}

inline void pack_fifth_bits(const uint8_t* codes, uint8_t* dst) {
  const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
  const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + 16));
  // Bit 4 of a byte moves to bit 7 of the same byte, where movemask finds it.
  const uint32_t bits = static_cast<uint32_t>(_mm_movemask_epi8(_mm_slli_epi16(low, 3))) |
                        static_cast<uint32_t>(_mm_movemask_epi8(_mm_slli_epi16(high, 3))) << 16;
  std::memcpy(dst, &bits, 4);
}

template <typename V>
void quantize_q8_0(const uint8_t* src, uint8_t* dst) {
  const Block<V> block(src);
  const float d = block.largest_magnitude() / 127.0f;
  const Floats<V> id = V::set(inverse_of(d));
  store_half(dst, d);
  for (int v = 0; v < Block<V>::kVectors; ++v) {
    V::store_rounded(dst + 2 + v * V::kLanes, V::mul(block.x[v], id));
  }
}

// Q4_0 and Q5_0: codes around `kMiddle`.
template <typename V, int kMiddle>
void quantize_centred(const uint8_t* src, uint8_t* dst) {
  const Block<V> block(src);
  const float d = largest_signed_of<V>(block, src) / -static_cast<float>(kMiddle);
  const Floats<V> id = V::set(inverse_of(d));
  const Floats<V> half = V::set(static_cast<float>(kMiddle) + 0.5f);
  uint8_t codes[32];
  for (int v = 0; v < Block<V>::kVectors; ++v) {
    V::store_truncated(codes + v * V::kLanes, V::add(V::mul(block.x[v], id), half),
                       2 * kMiddle - 1);
  }
  store_half(dst, d);
  if (kMiddle == 16) pack_fifth_bits(codes, dst + 2);
  pack_block(codes, dst + (kMiddle == 16 ? 6 : 2));
}

// Q4_1 and Q5_1: codes above the minimum.
template <typename V, int kMaxCode>
void quantize_offset(const uint8_t* src, uint8_t* dst) {
  const Block<V> block(src);
  Floats<V> low = block.x[0], high = block.x[0];
  for (int v = 1; v < Block<V>::kVectors; ++v) {
    low = V::min(block.x[v], low);
    high = V::max(block.x[v], high);
  }
  float m = V::smallest(low);
  // Zeros of both signs are equal; the first of them counts.
  const uint32_t where = block.equals(m);
  if (where != 0) m = element(src, where);
  float maximum = V::largest(high);
  if (maximum == 0.0f && m == 0.0f) maximum = m;
  const float d = (maximum - m) / static_cast<float>(kMaxCode);
  const Floats<V> id = V::set(inverse_of(d));
  uint8_t codes[32];
  for (int v = 0; v < Block<V>::kVectors; ++v) {
    const Floats<V> scaled = V::mul(V::sub(block.x[v], V::set(m)), id);
    V::store_truncated(codes + v * V::kLanes, V::add(scaled, V::set(0.5f)),
                       kMaxCode == 15 ? 15 : 255);
  }
  store_half(dst, d);
  store_half(dst + 2, m);
  if (kMaxCode == 31) pack_fifth_bits(codes, dst + 4);
  pack_block(codes, dst + (kMaxCode == 31 ? 8 : 4));
}

template <void (*kBlock)(const uint8_t*, uint8_t*)>
void each_block(const uint8_t* src, uint8_t* dst, size_t count, size_t block_bytes) {
  for (size_t i = 0; i < count; i += 32) {
    kBlock(src, dst);
    src += 128;
    dst += block_bytes;
  }
}

}  // namespace
}  // namespace mlc
