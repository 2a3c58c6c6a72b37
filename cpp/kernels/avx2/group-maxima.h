// The largest magnitudes of groups, eight groups at a time.
#pragma once

#include "vector.h"

namespace mlc {
namespace {

// The magnitudes of a group, of which eight or (2 bytes) sixteen places are left. They compare as
// integers, NaNs above infinity.
template <class S>
__m256i magnitudes_of(const uint8_t* src) {
  if (S::kSource == 2) {
    const __m256i clear = _mm256_set1_epi16(0x7FFF);
    const __m256i max = _mm256_max_epu16(_mm256_and_si256(load256(src), clear),
                                         _mm256_and_si256(load256(src + 32), clear));
    if (S::kGroup == 32) return max;
    const __m128i rest = _mm_and_si128(load128(src + 64), _mm256_castsi256_si128(clear));
    return _mm256_max_epu16(max, _mm256_inserti128_si256(_mm256_setzero_si256(), rest, 0));
  }
  const __m256i clear = _mm256_set1_epi32(0x7FFFFFFF);
  __m256i max = _mm256_and_si256(load256(src), clear);
  for (size_t i = 1; i < kVectors<S>; ++i) {
    max = _mm256_max_epu32(max, _mm256_and_si256(load256(src + i * 32), clear));
  }
  return max;
}

template <class S>
__m256i larger_of(__m256i a, __m256i b) {
  return S::kSource == 4 ? _mm256_max_epu32(a, b) : _mm256_max_epu16(a, b);
}

// Two groups a vector, then four, then eight: half of the places left are folded onto the others.
template <class S>
__m256i fold_halves(__m256i a, __m256i b) {
  return larger_of<S>(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}
template <class S>
__m256i fold_quarters(__m256i a, __m256i b) {
  return larger_of<S>(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}
template <class S>
__m256i fold_eighths(__m256i a, __m256i b) {
  const __m256 x = _mm256_castsi256_ps(a);
  const __m256 y = _mm256_castsi256_ps(b);
  const __m256i max = larger_of<S>(_mm256_castps_si256(_mm256_shuffle_ps(x, y, 0x88)),
                                   _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0xDD)));
  if (S::kSource == 4) return max;
  const __m256i lower = _mm256_and_si256(max, _mm256_set1_epi32(0xFFFF));
  return _mm256_max_epu16(_mm256_srli_epi32(max, 16), lower);
}

// The maxima of eight groups from `first` on, in order; of the last one where there are fewer.
template <class S>
__m256i maxima_of_eight(const Batch& batch, size_t first) {
  __m256i max[8];
  for (size_t i = 0; i < 8; ++i) {
    max[i] = magnitudes_of<S>(batch.group(at_most(first + i, batch.count - 1)));
  }
  __m256i halves[4];
  for (size_t i = 0; i < 4; ++i) halves[i] = fold_halves<S>(max[i], max[i + 4]);
  return fold_eighths<S>(fold_quarters<S>(halves[0], halves[1]),
                         fold_quarters<S>(halves[2], halves[3]));
}

template <class S>
void find_magnitudes(Batch& batch) {
  __m256i least = _mm256_set1_epi32(-1);
  __m256i most = _mm256_setzero_si256();
  for (size_t i = 0; i < batch.count; i += 8) {
    const __m256i max = maxima_of_eight<S>(batch, i);
    least = _mm256_min_epu32(least, max);
    most = _mm256_max_epu32(most, max);
    if (S::kSource == 4) {
      store256(batch.magnitudes + i * 4, max);
    } else {
      store128(batch.magnitudes + i * 2,
               _mm_packus_epi32(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1)));
    }
  }
  uint32_t lanes[2][8];
  store256(reinterpret_cast<uint8_t*>(lanes[0]), least);
  store256(reinterpret_cast<uint8_t*>(lanes[1]), most);
  batch.least = lanes[0][0];
  batch.most = lanes[1][0];
  for (size_t i = 1; i < 8; ++i) {
    batch.least = lanes[0][i] < batch.least ? lanes[0][i] : batch.least;
    batch.most = lanes[1][i] > batch.most ? lanes[1][i] : batch.most;
  }
}

}  // namespace
}  // namespace mlc
