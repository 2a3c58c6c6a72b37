// Group quantization, eight elements at a time: the vectors of group-batch.h.
#include "../group-places.h"
#include "codes.h"
#include "group-maxima.h"
#include "group-words.h"
#include "sums.h"

namespace mlc {
namespace {

template <class S>
void find_scales(Batch& batch) {
  const bool unrounded = batch.unrounded;
  const size_t count = batch.count;
  for (size_t i = 0; i < count; i += 8) {
    const __m256 source = load8<S::kFrom>(batch.magnitudes + i * S::kSource);
    const __m256 max = round8<S::kModel>(source);
    const __m256 exact = S::kModel == DType::kF16
                             ? _mm256_mul_ps(max, _mm256_set1_ps(kMaxIntReciprocal<S>))
                             : _mm256_div_ps(max, _mm256_set1_ps(S::kMaxInt));
    const __m256 stored = round8<S::kModel>(exact);
    const __m256 divisor = unrounded ? exact : stored;
    store8<S::kModel>(batch.scales + i * S::kScale, exact);
    _mm256_store_ps(batch.divisors + i, divisor);
    if (S::kMeasured) _mm256_store_ps(batch.stored + i, stored);
    _mm256_store_ps(batch.reciprocals + i, _mm256_div_ps(_mm256_set1_ps(1.0f), divisor));
  }
}

// Vector `v` of a group; of paired ones the even places of a half, then the odd ones.
template <class S>
__m256 load_vector(const uint8_t* src, size_t v) {
  if (!kPaired<S>) return load8<S::kFrom>(src + v * 8 * S::kSource);
  const __m256i both = load256(src + v / 2 * 32);
  const __m256i odd = _mm256_set1_epi32(static_cast<int>(0xFFFF0000));
  return _mm256_castsi256_ps(v % 2 == 0 ? _mm256_slli_epi32(both, 16)
                                        : _mm256_and_si256(both, odd));
}

template <class S>
__m128i pack_vectors(const __m256i* values) {
  return kPaired<S> ? pack_pairs4(values) : pack<S>(values);
}

// `codes`: of vector `v`, whose elements are `source`.
template <class S, bool kLargest>
void measure(size_t v, __m256 source, __m256i codes, const float* stored, Sums* sums) {
  const size_t half = kPaired<S> ? v / 2 : v % 2;  // of the lanes
  const __m256 numbers = centred<typename S::Steps>(codes);
  add<kLargest>(half, source, numbers, _mm256_broadcast_ss(stored), sums);
}

template <class S>
__m128i quantize_by_division(const uint8_t* src, float scale, const float* stored, Sums* sums) {
  const __m256 divisor = _mm256_set1_ps(scale);
  const __m256 max_int = _mm256_set1_ps(S::kMaxInt);
  const __m256 limit = _mm256_set1_ps(2 * S::kMaxInt);
  const __m256 magic = _mm256_set1_ps(kMagic);  // rounds, and leaves the code in the low bits
  __m256i values[kVectors<S>];
  for (size_t v = 0; v < kVectors<S>; ++v) {
    const __m256 source = load_vector<S>(src, v);
    const __m256 w = S::kFrom == S::kModel ? source : round8<S::kModel>(source);
    __m256 t = _mm256_div_ps(w, divisor);
    if (S::kModel == DType::kF16) t = round8<DType::kF16>(t);
    t = _mm256_add_ps(t, max_int);
    if (S::kModel == DType::kF16) t = round8<DType::kF16>(t);
    t = _mm256_max_ps(t, _mm256_setzero_ps());  // the second operand where t is NaN
    values[v] = _mm256_castps_si256(_mm256_add_ps(_mm256_min_ps(t, limit), magic));
    if (S::kMeasured) measure<S, true>(v, source, values[v], stored, sums);
  }
  return pack_vectors<S>(values);
}

// All groups of a batch; right for those whose maximum is ordinary.
template <class S, bool kLargest>
void quantize_by_products(Batch& batch) {
  const CodesOf<S> codes;
  // An f16 scale is its own divisor.
  const float* stored = S::kModel == DType::kF16 ? batch.divisors : batch.stored;
  const size_t count = batch.count;
  uint8_t* out = batch.out;
  const size_t out_step = batch.out_step;
  const uint8_t* src = batch.src;
  const size_t src_step = batch.src_step;
  const bool apart = batch.apart;
  Sums sums = no_sums();
  for (size_t i = 0; i < count; ++i, src += src_step, out += out_step) {
    if (!apart) prefetch_behind<S>(src);
    const auto group = codes.group(batch.divisors + i, batch.reciprocals + i);
    __m256 source[kVectors<S>];
    for (size_t v = 0; v < kVectors<S>; ++v) source[v] = load_vector<S>(src, v);
    __m256i values[kVectors<S>];
    for (size_t v = 0; v < kVectors<S>; ++v) {
      values[v] = codes(kRounds<S> ? round8<S::kModel>(source[v]) : source[v], group);
      if (S::kMeasured) measure<S, kLargest>(v, source[v], values[v], stored + i, &sums);
    }
    store128(out, pack_vectors<S>(values));
  }
  if (S::kMeasured) store_sums(sums, &batch.lanes);
}

// Sixteen groups of neighbouring rows: each of the four words makes 64 neighbouring bytes.
// `store(at, value)` stores sixteen of them.
template <class Store>
void store_transposed(const Batch& batch, uint8_t* words, size_t word_stride, Store store) {
  for (size_t i = 0; i < kRows; i += 4) {
    const __m128i* rows = reinterpret_cast<const __m128i*>(batch.words[i]);
    const __m128i low01 = _mm_unpacklo_epi32(_mm_load_si128(rows), _mm_load_si128(rows + 1));
    const __m128i low23 = _mm_unpacklo_epi32(_mm_load_si128(rows + 2), _mm_load_si128(rows + 3));
    const __m128i high01 = _mm_unpackhi_epi32(_mm_load_si128(rows), _mm_load_si128(rows + 1));
    const __m128i high23 = _mm_unpackhi_epi32(_mm_load_si128(rows + 2), _mm_load_si128(rows + 3));
    uint8_t* at = words + i * 4;
    store(at, _mm_unpacklo_epi64(low01, low23));
    store(at + word_stride, _mm_unpackhi_epi64(low01, low23));
    store(at + 2 * word_stride, _mm_unpacklo_epi64(high01, high23));
    store(at + 3 * word_stride, _mm_unpackhi_epi64(high01, high23));
  }
}

struct Avx2 {
  template <class S>
  static void find_magnitudes(Batch& batch) {
    mlc::find_magnitudes<S>(batch);
  }
  template <class S>
  static void find_scales(Batch& batch) {
    mlc::find_scales<S>(batch);
  }
  template <class S>
  static void by_division(Batch& batch, size_t first, size_t groups) {
    Sums sums = no_sums();
    for (size_t i = first; i < first + groups; ++i) {
      store128(batch.out + i * batch.out_step,
               quantize_by_division<S>(batch.group(i), batch.divisors[i], batch.stored + i, &sums));
    }
    if (S::kMeasured) store_sums(sums, &batch.lanes);
  }
  template <class S, bool kLargest>
  static void by_products(Batch& batch) {
    quantize_by_products<S, kLargest>(batch);
  }
  static void store_transposed(const Batch& batch, uint8_t* words, size_t word_stride) {
    if (!are_lines(words, word_stride)) {
      return mlc::store_transposed(batch, words, word_stride, store128);
    }
    mlc::store_transposed(batch, words, word_stride, [](uint8_t* at, __m128i value) {
      _mm_stream_si128(reinterpret_cast<__m128i*>(at), value);
    });
  }
  static void finish_lines() { _mm_sfence(); }
};

}  // namespace

const GroupKernels kAvx2Group = {quantize_in_batches<Avx2>};

}  // namespace mlc
