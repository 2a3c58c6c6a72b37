// The largest magnitudes of groups, sixteen groups at a time.
#pragma once

#include "vector.h"

namespace mlc {
namespace {

// The magnitudes of a group, of which sixteen or (2 bytes) thirty-two places are left.
template <class S>
__m512i magnitudes_of(const uint8_t* src) {
  if (S::kSource == 4) {
    const __m512i clear = _mm512_set1_epi32(0x7FFFFFFF);
    __m512i max = _mm512_and_si512(load512(src), clear);
    for (size_t i = 1; i < kVectors<S>; ++i) {
      const __m512i bits = _mm512_maskz_loadu_epi32(lanes_of<S>(i), src + i * 64);
      max = _mm512_max_epu32(max, _mm512_and_si512(bits, clear));
    }
    return max;
  }
  const __m512i max = _mm512_and_si512(load512(src), _mm512_set1_epi16(0x7FFF));
  if (S::kGroup == 32) return max;
  const __m128i rest = _mm_and_si128(load128(src + 64), _mm_set1_epi16(0x7FFF));
  return _mm512_max_epu16(max, _mm512_inserti32x4(_mm512_setzero_si512(), rest, 0));
}

template <class S>
__m512i larger_of(__m512i a, __m512i b) {
  return S::kSource == 4 ? _mm512_max_epu32(a, b) : _mm512_max_epu16(a, b);
}

// Halves of a and of b, quarters of two groups each, become one vector.
template <class S>
__m512i fold_halves(__m512i a, __m512i b) {
  return larger_of<S>(_mm512_shuffle_i64x2(a, b, 0x44), _mm512_shuffle_i64x2(a, b, 0xEE));
}
template <class S>
__m512i fold_quarters(__m512i a, __m512i b) {
  return larger_of<S>(_mm512_shuffle_i64x2(a, b, 0x88), _mm512_shuffle_i64x2(a, b, 0xDD));
}
template <class S>
__m512i fold_eighths(__m512i a, __m512i b) {
  return larger_of<S>(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}
template <class S>
__m512i fold_dwords(__m512i a, __m512i b) {
  const __m512 x = _mm512_castsi512_ps(a);
  const __m512 y = _mm512_castsi512_ps(b);
  const __m512i even = _mm512_castps_si512(_mm512_shuffle_ps(x, y, 0x88));
  const __m512i odd = _mm512_castps_si512(_mm512_shuffle_ps(x, y, 0xDD));
  const __m512i max = larger_of<S>(even, odd);
  if (S::kSource == 4) return max;
  return _mm512_max_epu16(_mm512_srli_epi32(max, 16),
                          _mm512_and_si512(max, _mm512_set1_epi32(0xFFFF)));
}

// The maxima of groups first, first + 4, first + 8, first + 12, a quarter each.
template <class S>
__m512i maxima_of_four(const Batch& batch, size_t first) {
  __m512i max[4];
  for (size_t i = 0; i < 4; ++i) {
    max[i] = magnitudes_of<S>(batch.group(at_most(first + 4 * i, batch.count - 1)));
  }
  return fold_quarters<S>(fold_halves<S>(max[0], max[1]), fold_halves<S>(max[2], max[3]));
}

// The maxima of sixteen groups from `first` on, in order; of the last one where there are fewer.
template <class S>
__m512i maxima_of_sixteen(const Batch& batch, size_t first) {
  const __m512i lower =
      fold_eighths<S>(maxima_of_four<S>(batch, first), maxima_of_four<S>(batch, first + 1));
  const __m512i upper =
      fold_eighths<S>(maxima_of_four<S>(batch, first + 2), maxima_of_four<S>(batch, first + 3));
  return fold_dwords<S>(lower, upper);
}

template <class S>
void find_magnitudes(Batch& batch) {
  __m512i least = _mm512_set1_epi32(-1);
  __m512i most = _mm512_setzero_si512();
  for (size_t i = 0; i < batch.count; i += 16) {
    const __m512i max = maxima_of_sixteen<S>(batch, i);
    least = _mm512_min_epu32(least, max);
    most = _mm512_max_epu32(most, max);
    if (S::kSource == 4) {
      _mm512_storeu_si512(batch.magnitudes + i * 4, max);
    } else {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(batch.magnitudes + i * 2),
                          _mm512_cvtepi32_epi16(max));
    }
  }
  batch.least = _mm512_reduce_min_epu32(least);
  batch.most = _mm512_reduce_max_epu32(most);
}

}  // namespace
}  // namespace mlc
