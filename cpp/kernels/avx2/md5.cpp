// MD5 in AVX2: eight streams a group, two groups interleaved.
#include <immintrin.h>

#include "../backends.h"
#include "../md5-lanes.h"
#include "md5-rows.h"

namespace mlc {

namespace {

struct Avx2Lanes : EightStreams {
  static void pin(Vector& v) { MLC_PIN("x", v); }

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
      Vector early = add(sum, _mm256_andnot_si256(d, c));
      pin(early);
      return add(early, _mm256_and_si256(b, d));
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
