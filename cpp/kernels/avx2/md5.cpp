// MD5 in AVX2: eight streams a group, two groups interleaved.
#include <immintrin.h>

#include "../backends.h"
#include "../md5-lanes.h"

namespace mlc {

namespace {

struct Avx2Lanes {
  using Vector = __m256i;
  static constexpr size_t kLanes = 8;

  static Vector load(const uint32_t* words) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
  }
  static void store(uint32_t* words, Vector v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words), v);
  }
  static Vector constant(const uint32_t* word) {
    return _mm256_set1_epi32(static_cast<int>(*word));
  }
  static Vector add(Vector a, Vector b) { return _mm256_add_epi32(a, b); }

  // 16 bytes of stream i in the lower half, the same of stream i + 4 in the upper half.
  static Vector load_pair(const uint8_t* low, const uint8_t* high) {
    const __m128i lower = _mm_loadu_si128(reinterpret_cast<const __m128i*>(low));
    const __m128i upper = _mm_loadu_si128(reinterpret_cast<const __m128i*>(high));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(lower), upper, 1);
  }

  // Four words of eight streams become four vectors of eight lanes. Streams i and i + 4 share a
  // register from the start, so a 4 x 4 transposition of words in each half is all there is to do:
  //   rows    a0 a1 a2 a3   b0 b1 b2 b3   c0 c1 c2 c3   d0 d1 d2 d3
  //   unpack  a0 b0 a1 b1   a2 b2 a3 b3   c0 d0 c1 d1   c2 d2 c3 d3
  //   unpack  a0 b0 c0 d0   a1 b1 c1 d1   a2 b2 c2 d2   a3 b3 c3 d3
  static MLC_ALWAYS_INLINE void load_quarter(const uint8_t* const* data, size_t offset,
                                             Vector* words) {
    const Vector a = load_pair(data[0] + offset, data[4] + offset);
    const Vector b = load_pair(data[1] + offset, data[5] + offset);
    const Vector c = load_pair(data[2] + offset, data[6] + offset);
    const Vector d = load_pair(data[3] + offset, data[7] + offset);
    const Vector ab_low = _mm256_unpacklo_epi32(a, b);
    const Vector ab_high = _mm256_unpackhi_epi32(a, b);
    const Vector cd_low = _mm256_unpacklo_epi32(c, d);
    const Vector cd_high = _mm256_unpackhi_epi32(c, d);
    words[0] = _mm256_unpacklo_epi64(ab_low, cd_low);
    words[1] = _mm256_unpackhi_epi64(ab_low, cd_low);
    words[2] = _mm256_unpacklo_epi64(ab_high, cd_high);
    words[3] = _mm256_unpackhi_epi64(ab_high, cd_high);
  }

  static MLC_ALWAYS_INLINE void load_block(const uint8_t* const* data, size_t offset,
                                           Vector* words) {
    for (size_t quarter = 0; quarter < 4; ++quarter) {
      load_quarter(data, offset + 16 * quarter, words + 4 * quarter);
    }
  }

  template <int kBits>
  static Vector rotate(Vector v) {
    if constexpr (kBits == 16) {
      // Swapping the halves of each word is one shuffle instead of two shifts and an or.
      const Vector halves = _mm256_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13,
                                             2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
      return _mm256_shuffle_epi8(v, halves);
    } else {
      return _mm256_or_si256(_mm256_slli_epi32(v, kBits), _mm256_srli_epi32(v, 32 - kBits));
    }
  }

  template <int kRound>
  static Vector add_mix(Vector sum, Vector b, Vector c, Vector d) {
    if constexpr (kRound == 0) {
      return add(sum, _mm256_xor_si256(d, _mm256_and_si256(b, _mm256_xor_si256(c, d))));
    } else if constexpr (kRound == 1) {
      // Two disjoint parts, of which only one waits for the newest word, b.
      return add(add(sum, _mm256_andnot_si256(d, c)), _mm256_and_si256(b, d));
    } else if constexpr (kRound == 2) {
      return add(sum, _mm256_xor_si256(b, _mm256_xor_si256(c, d)));
    } else {
      const Vector not_d = _mm256_xor_si256(d, _mm256_set1_epi32(-1));
      return add(sum, _mm256_xor_si256(c, _mm256_or_si256(b, not_d)));
    }
  }
};

}  // namespace

// A step of one group waits about six cycles for itself and occupies the three vector ports for
// three and a half: two groups are half as fast again as one.
const Md5Kernels kAvx2Md5 = {2 * Avx2Lanes::kLanes, update_lanes<Avx2Lanes, 2>};

}  // namespace mlc
