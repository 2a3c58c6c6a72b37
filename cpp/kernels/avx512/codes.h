// Codes in the low bits of the lanes, without divisions; what is above is kMagic's.
#pragma once

#include "vector.h"

namespace mlc {
namespace {

// Explained in ../group-thresholds.h: w > T[k] * s, where k is rounded down.
template <class Steps>
class Thresholds {
 public:
  struct Group {
    __m512 reciprocal;  // of the scale; may be rough
    __m512 thresholds;  // the table times the scale
  };

  Group group(const float* scale, const float* reciprocal) const {
    return {_mm512_set1_ps(*reciprocal), _mm512_mul_ps(table_, _mm512_set1_ps(*scale))};
  }

  // A permutation over sixteen lanes looks only at the low four bits of its index.
  __m512i operator()(__m512 w, const Group& group) const {
    constexpr int kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
    const __m512i k =
        _mm512_castps_si512(_mm512_fmadd_round_ps(w, group.reciprocal, magic_, kDown));
    const __m512 threshold = _mm512_permutexvar_ps(k, group.thresholds);
    const __mmask16 above = _mm512_cmp_ps_mask(w, threshold, _CMP_GT_OQ);
    return _mm512_mask_sub_epi32(k, above, k, _mm512_set1_epi32(-1));
  }

 private:
  static constexpr ThresholdFloats<Steps> kFloats = {};
  __m512 magic_ = _mm512_set1_ps(kMagic + Steps::kZero);
  __m512 table_ = _mm512_loadu_ps(kFloats.at);
};

// Explained in ../group-quotients.h.
template <class S>
class Quotients {
 public:
  struct Group {
    __m512 divisor;
    __m512 reciprocal;
  };

  Group group(const float* divisor, const float* reciprocal) const {
    return {_mm512_set1_ps(*divisor), _mm512_set1_ps(*reciprocal)};
  }

  __m512i operator()(__m512 w, const Group& group) const {
    __m512 a = _mm512_mul_ps(w, group.reciprocal);
    for (int step = 0; step < quotient_steps(S::kFrom); ++step) {
      const __m512 left = _mm512_fnmadd_ps(a, group.divisor, w);
      a = _mm512_fmadd_ps(left, group.reciprocal, a);
    }
    const __m512 shifted = _mm512_add_ps(a, _mm512_set1_ps(S::kMaxInt));
    return _mm512_castps_si512(_mm512_add_ps(shifted, _mm512_set1_ps(kMagic)));
  }
};

template <class S>
using CodesOf = typename ByModel<S::kModel, Thresholds<typename S::Steps>, Quotients<S>>::Type;

// Such codes as numbers around zero.
template <class Steps>
inline __m512 centred(__m512i k) {
  return _mm512_sub_ps(_mm512_castsi512_ps(k), _mm512_set1_ps(kMagic + Steps::kZero));
}

}  // namespace
}  // namespace mlc
