// MD5 in AVX-512: one, eight or sixteen streams. Each of the four functions of RFC 1321 is one
// ternary-logic instruction, a rotation another: a step waits four cycles, where plain registers
// need five.
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own _mm512_undefined_epi32 trips this warning (GCC bug 105593, since fixed).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include "../avx2/md5-rows.h"
#include "../backends.h"
#include "../md5-lanes.h"

namespace mlc {

namespace {

// The truth tables of F, G, H and I: bit 4b + 2c + d is the value.
constexpr int kTruthTable[4] = {0xca, 0xe4, 0x96, 0x39};

// Faster for a single stream than the plain registers.
struct OneLane {
  using Vector = __m128i;
  static constexpr size_t kLanes = 1;

  static Vector load(const uint32_t* word) { return _mm_set1_epi32(static_cast<int>(*word)); }
  static void store(uint32_t* word, Vector v) {
    *word = static_cast<uint32_t>(_mm_cvtsi128_si32(v));
  }
  static Vector constant(const uint32_t* word) { return load(word); }
  static Vector add(Vector a, Vector b) { return _mm_add_epi32(a, b); }
  static void pin(Vector& v) { MLC_PIN("v", v); }

  static void load_block(const uint8_t* const* data, size_t offset, Vector* words) {
    for (size_t w = 0; w < 16; ++w) {
      int word;
      std::memcpy(&word, data[0] + offset + 4 * w, 4);
      words[w] = _mm_set1_epi32(word);
    }
  }

  template <int kBits>
  static Vector rotate(Vector v) {
    return _mm_rol_epi32(v, kBits);
  }
  template <int kRound>
  static Vector add_mix(Vector sum, Vector b, Vector c, Vector d) {
    return add(sum, _mm_ternarylogic_epi32(b, c, d, kTruthTable[kRound]));
  }
};

struct EightLanes : EightStreams {
  static void pin(Vector& v) { MLC_PIN("v", v); }

  template <int kBits>
  static Vector rotate(Vector v) {
    return _mm256_rol_epi32(v, kBits);
  }
  template <int kRound>
  static Vector add_mix(Vector sum, Vector b, Vector c, Vector d) {
    return add(sum, _mm256_ternarylogic_epi32(b, c, d, kTruthTable[kRound]));
  }
};

struct SixteenLanes {
  using Vector = __m512i;
  static constexpr size_t kLanes = 16;

  static Vector load(const uint32_t* words) { return _mm512_loadu_si512(words); }
  static void store(uint32_t* words, Vector v) { _mm512_storeu_si512(words, v); }
  static Vector constant(const uint32_t* word) {
    return _mm512_set1_epi32(static_cast<int>(*word));
  }
  static Vector add(Vector a, Vector b) { return _mm512_add_epi32(a, b); }
  static void pin(Vector& v) { MLC_PIN("v", v); }

  // Blocks of four streams become four registers of words in quarters:
  //   rows    a0 a1 a2 a3 | a4 ...    of streams a, b, c, d
  //   result  a0 b0 c0 d0 | a4 b4 c4 d4 | a8 ... | a12 ...,    a1 b1 c1 d1 | a5 ... and so on
  static MLC_ALWAYS_INLINE void load_four(const uint8_t* const* data, size_t offset, Vector* out) {
    const Vector a = _mm512_loadu_si512(data[0] + offset);
    const Vector b = _mm512_loadu_si512(data[1] + offset);
    const Vector c = _mm512_loadu_si512(data[2] + offset);
    const Vector d = _mm512_loadu_si512(data[3] + offset);
    const Vector ab_low = _mm512_unpacklo_epi32(a, b);
    const Vector ab_high = _mm512_unpackhi_epi32(a, b);
    const Vector cd_low = _mm512_unpacklo_epi32(c, d);
    const Vector cd_high = _mm512_unpackhi_epi32(c, d);
    out[0] = _mm512_unpacklo_epi64(ab_low, cd_low);
    out[1] = _mm512_unpackhi_epi64(ab_low, cd_low);
    out[2] = _mm512_unpacklo_epi64(ab_high, cd_high);
    out[3] = _mm512_unpackhi_epi64(ab_high, cd_high);
  }

  // Transposes the 4 x 4 quarters (128 bits each) of four registers: words w, w + 4, w + 8, w + 12.
  static MLC_ALWAYS_INLINE void transpose_quarters(Vector a, Vector b, Vector c, Vector d,
                                                   Vector* words) {
    const Vector ab_even = _mm512_shuffle_i32x4(a, b, 0x88);
    const Vector ab_odd = _mm512_shuffle_i32x4(a, b, 0xdd);
    const Vector cd_even = _mm512_shuffle_i32x4(c, d, 0x88);
    const Vector cd_odd = _mm512_shuffle_i32x4(c, d, 0xdd);
    words[0] = _mm512_shuffle_i32x4(ab_even, cd_even, 0x88);
    words[4] = _mm512_shuffle_i32x4(ab_odd, cd_odd, 0x88);
    words[8] = _mm512_shuffle_i32x4(ab_even, cd_even, 0xdd);
    words[12] = _mm512_shuffle_i32x4(ab_odd, cd_odd, 0xdd);
  }

  static MLC_ALWAYS_INLINE void load_block(const uint8_t* const* data, size_t offset,
                                           Vector* words) {
    Vector rows[4][4];
    for (size_t four = 0; four < 4; ++four) load_four(data + 4 * four, offset, rows[four]);
    for (size_t w = 0; w < 4; ++w) {
      transpose_quarters(rows[0][w], rows[1][w], rows[2][w], rows[3][w], words + w);
    }
  }

  template <int kBits>
  static Vector rotate(Vector v) {
    return _mm512_rol_epi32(v, kBits);
  }

  template <int kRound>
  static Vector add_mix(Vector sum, Vector b, Vector c, Vector d) {
    return add(sum, _mm512_ternarylogic_epi32(b, c, d, kTruthTable[kRound]));
  }
};

void update(Md5State* const* states, const uint8_t* const* data, size_t blocks, size_t count) {
  if (count == 1) {
    update_groups<OneLane, 1>(states, data, blocks, count);
  } else if (count <= EightLanes::kLanes) {
    update_groups<EightLanes, 1>(states, data, blocks, count);
  } else {
    update_groups<SixteenLanes, 1>(states, data, blocks, count);
  }
}

}  // namespace

// Eight lanes go as fast as one. Sixteen occupy the two 512-bit ports and take a third longer; a
// second group of them gains nothing that its streams do not cost in cache.
const Md5Kernels kAvx512Md5 = {SixteenLanes::kLanes, update};

}  // namespace mlc
