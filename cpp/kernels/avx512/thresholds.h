// Codes by thresholds, explained in ../group-thresholds.h: w > T[k] * s, where k is rounded down.
#pragma once

#include "vector.h"

namespace mlc {

template <class Steps>
struct Decide {
  static constexpr ThresholdFloats<Steps> kFloats = {};
  __m512 magic = _mm512_set1_ps(kMagic + Steps::kZero);
  __m512 table = _mm512_loadu_ps(kFloats.at);

  // `thresholds`: the table times the scale; the reciprocal of the scale may be rough. In the low
  // bits of the lanes; what is above is kMagic's. A permutation over sixteen lanes looks only at the
  // low four bits of its index.
  __m512i operator()(__m512 w, __m512 reciprocal, __m512 thresholds) const {
    constexpr int kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
    const __m512i k = _mm512_castps_si512(_mm512_fmadd_round_ps(w, reciprocal, magic, kDown));
    const __m512 threshold = _mm512_permutexvar_ps(k, thresholds);
    const __mmask16 above = _mm512_cmp_ps_mask(w, threshold, _CMP_GT_OQ);
    return _mm512_mask_sub_epi32(k, above, k, _mm512_set1_epi32(-1));
  }
};

// Such codes as numbers around zero.
template <class Steps>
static inline __m512 centred(__m512i k) {
  return _mm512_sub_ps(_mm512_castsi512_ps(k), _mm512_set1_ps(kMagic + Steps::kZero));
}

}  // namespace mlc
