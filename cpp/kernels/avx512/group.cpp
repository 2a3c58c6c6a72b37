// Group quantization, sixteen elements at a time: the vectors of group-batch.h.
#include "../group-places.h"
#include "codes.h"
#include "group-maxima.h"
#include "group-words.h"
#include "sums.h"

namespace mlc {
namespace {

// Vector `v` of a group; of paired ones the even places, then the odd ones.
template <class S>
__m512 load_vector(const uint8_t* src, size_t v) {
  if (!kPaired<S>) return load16<S::kFrom>(src + v * 16 * S::kSource, lanes_of<S>(v));
  const __m512i both = load512(src);
  const __m512i odd = _mm512_set1_epi32(static_cast<int>(0xFFFF0000));
  return _mm512_castsi512_ps(v == 0 ? _mm512_slli_epi32(both, 16) : _mm512_and_si512(both, odd));
}

template <class S>
__m128i pack_vectors(const __m512i* values) {
  return kPaired<S> ? pack_pairs4(values[0], values[1]) : pack<S>(values);
}

template <class S>
__m128i quantize_by_division(const uint8_t* src, float scale, float stored, Sums* sums) {
  const __m512 divisor = _mm512_set1_ps(scale);
  const __m512 max_int = _mm512_set1_ps(S::kMaxInt);
  const __m512 limit = _mm512_set1_ps(2 * S::kMaxInt);
  const __m512 magic = _mm512_set1_ps(kMagic);  // rounds, and leaves the code in the low bits
  __m512i values[kVectors<S>];
  for (size_t v = 0; v < kVectors<S>; ++v) {
    const __m512 source = load_vector<S>(src, v);
    const __m512 w = S::kFrom == S::kModel ? source : round16<S::kModel>(source);
    __m512 t = _mm512_div_ps(w, divisor);
    if (S::kModel == DType::kF16) t = round16<DType::kF16>(t);
    t = _mm512_add_ps(t, max_int);
    if (S::kModel == DType::kF16) t = round16<DType::kF16>(t);
    t = _mm512_max_ps(t, _mm512_setzero_ps());  // the second operand where t is NaN
    values[v] = _mm512_castps_si512(_mm512_add_ps(_mm512_min_ps(t, limit), magic));
    if (!S::kMeasured) continue;
    add(source, centred<typename S::Steps>(values[v]), _mm512_set1_ps(stored), sums);
  }
  return pack_vectors<S>(values);
}

template <class S, bool kLargest>
__m128i quantize_by_products(const CodesOf<S>& codes, const typename CodesOf<S>::Group& group,
                             const uint8_t* src, float stored, Sums* sums) {
  const __m512 scale = _mm512_set1_ps(stored);
  __m512i values[kVectors<S>];
  for (size_t v = 0; v < kVectors<S>; ++v) {
    const __m512 source = load_vector<S>(src, v);
    values[v] = codes(kRounds<S> ? round16<S::kModel>(source) : source, group);
    if (!S::kMeasured) continue;
    add<kLargest>(source, centred<typename S::Steps>(values[v]), scale, sums);
  }
  return pack_vectors<S>(values);
}

struct Avx512 {
  template <class S>
  static void find_magnitudes(Batch& batch) {
    mlc::find_magnitudes<S>(batch);
  }

  template <class S>
  static void find_scales(Batch& batch) {
    const size_t count = batch.count;
    const bool unrounded = batch.unrounded;
    for (size_t i = 0; i < count; i += 16) {
      const __m512 max = round16<S::kModel>(load16<S::kFrom>(batch.magnitudes + i * S::kSource));
      const __m512 exact = S::kModel == DType::kF16
                               ? _mm512_mul_ps(max, _mm512_set1_ps(kMaxIntReciprocal<S>))
                               : _mm512_div_ps(max, _mm512_set1_ps(S::kMaxInt));
      const __m512 divisor = unrounded ? exact : round16<S::kModel>(exact);
      store16<S::kModel>(batch.scales + i * S::kScale, exact);
      _mm512_storeu_ps(batch.divisors + i, divisor);
      if (S::kMeasured) _mm512_storeu_ps(batch.stored + i, round16<S::kModel>(exact));
      _mm512_storeu_ps(batch.reciprocals + i, S::kModel == DType::kF16
                                                  ? _mm512_rcp14_ps(divisor)  // rough
                                                  : _mm512_div_ps(_mm512_set1_ps(1.0f), divisor));
    }
  }

  template <class S>
  static void by_division(Batch& batch, size_t first, size_t groups) {
    Sums sums = no_sums();
    for (size_t i = first; i < first + groups; ++i) {
      store128(batch.out + i * batch.out_step,
               quantize_by_division<S>(batch.group(i), batch.divisors[i], batch.stored[i], &sums));
    }
    if (S::kMeasured) store_sums(sums, &batch.lanes);
  }

  template <class S, bool kLargest>
  static void by_products(Batch& batch) {
    const CodesOf<S> codes;
    // An f16 scale is its own divisor.
    const float* stored = S::kModel == DType::kF16 ? batch.divisors : batch.stored;
    const size_t count = batch.count;
    const size_t out_step = batch.out_step;
    uint8_t* out = batch.out;
    const uint8_t* src = batch.src;
    const size_t src_step = batch.src_step;
    const bool apart = batch.apart;
    Sums sums = no_sums();
    for (size_t i = 0; i < count; ++i, src += src_step, out += out_step) {
      if (!apart) prefetch_behind<S>(src);
      const auto group = codes.group(batch.divisors + i, batch.reciprocals + i);
      store128(out, quantize_by_products<S, kLargest>(codes, group, src, stored[i], &sums));
    }
    if (S::kMeasured) store_sums(sums, &batch.lanes);
  }

  // Word w of sixteen groups is every fourth dword: gathered from two pairs of vectors.
  static void store_transposed(const Batch& batch, uint8_t* words, size_t word_stride) {
    const uint8_t* at = reinterpret_cast<const uint8_t*>(batch.words);
    const __m512i a = load512(at);
    const __m512i b = load512(at + 64);
    const __m512i c = load512(at + 128);
    const __m512i d = load512(at + 192);
    const __m512i lanes =
        _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
    const bool past_caches = are_lines(words, word_stride);
    for (int w = 0; w < 4; ++w) {
      const __m512i index = _mm512_add_epi32(lanes, _mm512_set1_epi32(w));
      const __m512i low = _mm512_permutex2var_epi32(a, index, b);
      const __m512i high = _mm512_permutex2var_epi32(c, index, d);
      const __m512i line = _mm512_shuffle_i64x2(low, high, 0x44);
      uint8_t* to = words + static_cast<size_t>(w) * word_stride;
      if (past_caches) {
        _mm512_stream_si512(reinterpret_cast<__m512i*>(to), line);
      } else {
        _mm512_storeu_si512(to, line);
      }
    }
  }

  static void finish_lines() { _mm_sfence(); }
};

}  // namespace

const GroupKernels kAvx512Group = {quantize_in_batches<Avx512>};

}  // namespace mlc
