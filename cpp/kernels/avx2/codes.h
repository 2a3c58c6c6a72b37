// Codes in the low bits of the lanes, without divisions; what is above is kMagic's.
#pragma once

#include "vector.h"

namespace mlc {
namespace {

// Explained in ../group-thresholds.h: a > T[k], where k is the nearest.
template <class Steps>
class Thresholds {
 public:
  struct Group {
    __m256 reciprocal;  // of the scale
  };

  Group group(const float* /* scale */, const float* reciprocal) const {
    return {_mm256_broadcast_ss(reciprocal)};
  }

  __m256i operator()(__m256 w, const Group& group) const {
    const __m256 a = _mm256_mul_ps(w, group.reciprocal);
    const __m256 z = _mm256_add_ps(_mm256_add_ps(a, shift_), magic_);  // low bits: k
    const __m256i k = _mm256_castps_si256(z);
    const __m256i fraction = _mm256_add_epi32(_mm256_shuffle_epi8(table_, k), base_);
    const __m256 threshold =
        _mm256_add_ps(_mm256_sub_ps(z, unmagic_), _mm256_castsi256_ps(fraction));
    const __m256 above = _mm256_cmp_ps(a, threshold, _CMP_GT_OQ);
    return _mm256_sub_epi32(k, _mm256_castps_si256(above));
  }

 private:
  __m256i table_ =
      _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(Steps::kBytes)));
  __m256 shift_ = _mm256_set1_ps(Steps::kShift);
  __m256 magic_ = _mm256_set1_ps(kMagic);
  __m256 unmagic_ = _mm256_set1_ps(kMagic + kThresholdBase + Steps::kZero);
  __m256i base_ = _mm256_set1_epi32(static_cast<int>(Steps::kBaseBits));
};

// Explained in ../group-quotients.h.
template <class S>
class Quotients {
 public:
  struct Group {
    __m256 divisor;
    __m256 reciprocal;
  };

  Group group(const float* divisor, const float* reciprocal) const {
    return {_mm256_broadcast_ss(divisor), _mm256_broadcast_ss(reciprocal)};
  }

  __m256i operator()(__m256 w, const Group& group) const {
    __m256 a = _mm256_mul_ps(w, group.reciprocal);
    for (int step = 0; step < quotient_steps(S::kFrom); ++step) {
      const __m256 left = _mm256_fnmadd_ps(a, group.divisor, w);
      a = _mm256_fmadd_ps(left, group.reciprocal, a);
    }
    const __m256 shifted = _mm256_add_ps(a, _mm256_set1_ps(S::kMaxInt));
    return _mm256_castps_si256(_mm256_add_ps(shifted, _mm256_set1_ps(kMagic)));
  }
};

template <class S>
using CodesOf = typename ByModel<S::kModel, Thresholds<typename S::Steps>, Quotients<S>>::Type;

// Such codes as numbers around zero.
template <class Steps>
inline __m256 centred(__m256i k) {
  return _mm256_sub_ps(_mm256_castsi256_ps(k), _mm256_set1_ps(kMagic + Steps::kZero));
}

}  // namespace
}  // namespace mlc
