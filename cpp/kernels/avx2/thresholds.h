// Codes by thresholds, explained in ../group-thresholds.h: a > T[k], where k is the nearest.
#pragma once

#include "vector.h"

namespace mlc {

template <class Steps>
struct Decide {
  __m256i table =
      _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(Steps::kBytes)));
  __m256 shift = _mm256_set1_ps(Steps::kShift);
  __m256 magic = _mm256_set1_ps(kMagic);
  __m256 unmagic = _mm256_set1_ps(kMagic + kThresholdBase + Steps::kZero);
  __m256i base = _mm256_set1_epi32(static_cast<int>(Steps::kBaseBits));

  // In the low bits of the lanes; what is above is kMagic's.
  __m256i operator()(__m256 w, __m256 reciprocal) const {
    const __m256 a = _mm256_mul_ps(w, reciprocal);
    const __m256 z = _mm256_add_ps(_mm256_add_ps(a, shift), magic);  // low bits: k
    const __m256i k = _mm256_castps_si256(z);
    const __m256i fraction = _mm256_add_epi32(_mm256_shuffle_epi8(table, k), base);
    const __m256 threshold =
        _mm256_add_ps(_mm256_sub_ps(z, unmagic), _mm256_castsi256_ps(fraction));
    const __m256 above = _mm256_cmp_ps(a, threshold, _CMP_GT_OQ);
    return _mm256_sub_epi32(k, _mm256_castps_si256(above));
  }
};

// Such codes as numbers around zero.
template <class Steps>
static inline __m256 centred(__m256i k) {
  return _mm256_sub_ps(_mm256_castsi256_ps(k), _mm256_set1_ps(kMagic + Steps::kZero));
}

}  // namespace mlc
