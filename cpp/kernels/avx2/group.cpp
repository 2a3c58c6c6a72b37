// Group quantization, eight elements at a time: the vectors of group-batch.h.
#include "../group-batch.h"
#include "vector.h"

namespace mlc {
namespace {

template <class S>
constexpr size_t kVectors = S::kGroup / 8;

// ---- maximum and scale ----

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

template <class S>
void find_scales(Batch& batch) {
  const bool unrounded = batch.unrounded;
  const size_t count = batch.count;
  for (size_t i = 0; i < count; i += 8) {
    const __m256 source = load8<S::kFrom>(batch.magnitudes + i * S::kSource);
    const __m256 max = round8<S::kModel>(source);
    const __m256 exact = _mm256_div_ps(max, _mm256_set1_ps(S::kMaxInt));
    const __m256 stored = round8<S::kModel>(exact);
    const __m256 divisor = unrounded ? exact : stored;
    store8<S::kModel>(batch.scales + i * S::kScale, exact);
    _mm256_store_ps(batch.divisors + i, divisor);
    if (S::kMeasured) _mm256_store_ps(batch.stored + i, stored);
    if (S::kModel == DType::kF16) {
      _mm256_store_ps(batch.reciprocals + i, _mm256_div_ps(_mm256_set1_ps(1.0f), divisor));
    }
  }
}

// ---- packing ----
//
// v[j] holds the values 8j ... 8j+7 in the low 16 bits of its lanes; what is above is not looked
// at.

// 32 bytes; dword j of the lower lane is values 8j ... 8j+3, of the upper lane 8j+4 ... 8j+7.
__m256i pack_bytes(const __m256i* v) {
  const __m256i v02 = _mm256_blend_epi16(v[0], _mm256_slli_epi32(v[2], 16), 0xAA);
  const __m256i v13 = _mm256_blend_epi16(v[1], _mm256_slli_epi32(v[3], 16), 0xAA);
  const __m256i bytes = _mm256_or_si256(v02, _mm256_slli_epi16(v13, 8));  // byte 4i+j is v[j][i]
  const __m256i gather = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0,
                                          4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm256_shuffle_epi8(bytes, gather);
}

// Word w: nibbles 8w ... 8w+7, lowest first.
__m128i pack_words4(const __m256i* v) {
  const __m256i bytes = pack_bytes(v);
  const __m256i pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi16(0x1001));
  const __m128i packed =
      _mm_packus_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
  return _mm_shuffle_epi8(packed,
                          _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
}

// Ten 3-bit values in bytes 0 ... 9 -> dwords whose sum is the word (30 bits).
__m128i spread_word3(const uint8_t* bytes) {
  const __m128i one_eight = _mm_setr_epi8(1, 8, 1, 8, 1, 8, 1, 8, 1, 8, 0, 0, 0, 0, 0, 0);
  const __m128i one_64 = _mm_setr_epi16(1, 64, 1, 64, 1, 0, 0, 0);
  const __m128i pairs = _mm_maddubs_epi16(load128(bytes), one_eight);  // 6 bits each
  const __m128i fours = _mm_madd_epi16(pairs, one_64);                 // 12, 12 and 6 bits
  return _mm_sllv_epi32(fours, _mm_setr_epi32(0, 12, 24, 0));
}

__m128i pack_words3(const __m256i* v) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i low_bytes = _mm256_set1_epi32(0x0C080400);
  const __m256i last = _mm256_shuffle_epi8(v[4], low_bytes);
  alignas(32) uint8_t bytes[48];
  store256(bytes, _mm256_permutevar8x32_epi32(pack_bytes(v), order));
  store128(bytes + 32,
           _mm_unpacklo_epi32(_mm256_castsi256_si128(last), _mm256_extracti128_si256(last, 1)));
  const __m128i first = _mm_hadd_epi32(spread_word3(bytes), spread_word3(bytes + 10));
  const __m128i second = _mm_hadd_epi32(spread_word3(bytes + 20), spread_word3(bytes + 30));
  return _mm_hadd_epi32(first, second);
}

// Word w from v[0] (values 0 2 4 ... 14), v[1] (1 3 ... 15), v[2] (16 18 ... 30), v[3] (17 19 ...
// 31).
__m128i pack_pairs4(const __m256i* v) {
  const __m256i low = _mm256_or_si256(v[0], _mm256_slli_epi32(v[1], 4));
  const __m256i high = _mm256_or_si256(v[2], _mm256_slli_epi32(v[3], 4));
  const __m256i bytes = _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xAA);
  const __m256i gather =
      _mm256_setr_epi8(0, 4, 8, 12, 2, 6, 10, 14, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12, 2, 6,
                       10, 14, -1, -1, -1, -1, -1, -1, -1, -1);
  const __m256i halves = _mm256_shuffle_epi8(bytes, gather);
  return _mm_unpacklo_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
}

template <class S>
__m128i pack(const __m256i* v) {
  return S::kBits == 4 ? pack_words4(v) : pack_words3(v);
}

// ---- statistics ----

// Handed on by value: sums whose address is known elsewhere would go through memory in every step.
template <class S>
struct Sums {
  __m256 squared_error[kVectors<S>];
  __m256 squared_value[kVectors<S>];
  __m256 errors;
};

template <class S>
Sums<S> no_sums() {
  Sums<S> sums;
  for (size_t i = 0; i < kVectors<S>; ++i) {
    sums.squared_error[i] = _mm256_setzero_ps();
    sums.squared_value[i] = _mm256_setzero_ps();
  }
  sums.errors = _mm256_setzero_ps();
  return sums;
}

// `code`: what is stored, times `scale`.
template <class S>
void add(size_t vector, __m256 value, __m256 code, __m256 scale, Sums<S>* sums) {
  const __m256 error = _mm256_fmsub_ps(code, scale, value);
  sums->squared_value[vector] = _mm256_fmadd_ps(value, value, sums->squared_value[vector]);
  sums->squared_error[vector] = _mm256_fmadd_ps(error, error, sums->squared_error[vector]);
  sums->errors = _mm256_max_ps(sums->errors, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), error));
}

// `paired`: even and odd places of a group are apart, in two pairs of vectors.
template <class S>
void store_lanes(const __m256* sums, bool paired, float* lanes) {
  for (size_t i = 0; i < 6; ++i) {
    _mm256_store_ps(lanes + i * 8, i < kVectors<S> ? sums[i] : _mm256_setzero_ps());
  }
  if (!paired) return;
  for (size_t i = 0; i < 4; i += 2) {
    const __m256 low = _mm256_unpacklo_ps(sums[i], sums[i + 1]);
    const __m256 high = _mm256_unpackhi_ps(sums[i], sums[i + 1]);
    _mm256_store_ps(lanes + i * 8, _mm256_permute2f128_ps(low, high, 0x20));
    _mm256_store_ps(lanes + i * 8 + 8, _mm256_permute2f128_ps(low, high, 0x31));
  }
}

template <class S>
void store_sums(const Sums<S>& sums, bool paired, Lanes* lanes) {
  store_lanes<S>(sums.squared_error, paired, lanes->squared_error);
  store_lanes<S>(sums.squared_value, paired, lanes->squared_value);
  _mm256_store_ps(lanes->errors, sums.errors);
  _mm256_store_ps(lanes->errors + 8, _mm256_setzero_ps());
}

// ---- the paths ----

// Codes that lie in the low bits of kMagic, as numbers around zero.
template <class S>
__m256 centred(__m256i k) {
  return _mm256_sub_ps(_mm256_castsi256_ps(k), _mm256_set1_ps(kMagic + S::kMaxInt));
}

template <class S>
__m128i quantize_by_division(const uint8_t* src, float scale, float stored, Sums<S>* sums) {
  const __m256 divisor = _mm256_set1_ps(scale);
  const __m256 max_int = _mm256_set1_ps(S::kMaxInt);
  const __m256 limit = _mm256_set1_ps(2 * S::kMaxInt);
  const __m256 magic = _mm256_set1_ps(kMagic);  // rounds, and leaves the code in the low bits
  __m256i values[kVectors<S>];
  for (size_t i = 0; i < kVectors<S>; ++i) {
    const __m256 source = load8<S::kFrom>(src + i * 8 * S::kSource);
    const __m256 w = S::kFrom == S::kModel ? source : round8<S::kModel>(source);
    __m256 t = _mm256_div_ps(w, divisor);
    if (S::kModel == DType::kF16) t = round8<DType::kF16>(t);
    t = _mm256_add_ps(t, max_int);
    if (S::kModel == DType::kF16) t = round8<DType::kF16>(t);
    t = _mm256_max_ps(t, _mm256_setzero_ps());  // the second operand where t is NaN
    values[i] = _mm256_castps_si256(_mm256_add_ps(_mm256_min_ps(t, limit), magic));
    if (S::kMeasured) add<S>(i, source, centred<S>(values[i]), _mm256_set1_ps(stored), sums);
  }
  return pack<S>(values);
}

// A group's weights as the threshold path may see them: within its range, the rounding of a bf16 to
// f16 changes only numbers so small that they quantize to max_int either way. bf16 and 4 bits: even
// and odd neighbours apart, for pack_pairs4.
template <class S>
constexpr bool kPaired = S::kFrom == DType::kBf16&& S::kBits == 4;

template <class S>
void load_for_thresholds(const uint8_t* src, __m256* w) {
  if (kPaired<S>) {
    const __m256i odd = _mm256_set1_epi32(static_cast<int>(0xFFFF0000));
    for (size_t i = 0; i < 4; i += 2) {
      const __m256i both = load256(src + i * 16);
      w[i] = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
      w[i + 1] = _mm256_castsi256_ps(_mm256_and_si256(both, odd));
    }
    return;
  }
  for (size_t i = 0; i < kVectors<S>; ++i) w[i] = load8<S::kFrom>(src + i * 8 * S::kSource);
}

// All groups of a batch; right for those whose maximum is ordinary.
template <class S>
void quantize_by_thresholds(Batch& batch) {
  using Steps = Thresholds<S::kBits>;
  const __m256i table =
      _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(Steps::kBytes)));
  const __m256 shift = _mm256_set1_ps(Steps::kShift);
  const __m256 magic = _mm256_set1_ps(kMagic);
  const __m256 unmagic = _mm256_set1_ps(kMagic + kThresholdBase + S::kMaxInt);
  const __m256i base = _mm256_set1_epi32(static_cast<int>(Steps::kBaseBits));
  const size_t count = batch.count;
  uint8_t* out = batch.out;
  const size_t out_step = batch.out_step;
  const uint8_t* src = batch.src;
  const size_t src_step = batch.src_step;
  Sums<S> sums = no_sums<S>();
  for (size_t group = 0; group < count; ++group, src += src_step, out += out_step) {
    const __m256 r = _mm256_broadcast_ss(batch.reciprocals + group);
    __m256 w[kVectors<S>];
    load_for_thresholds<S>(src, w);
    __m256i values[kVectors<S>];
    for (size_t i = 0; i < kVectors<S>; ++i) {
      const __m256 rounded = S::kFrom == DType::kF32 ? round8<DType::kF16>(w[i]) : w[i];
      const __m256 a = _mm256_mul_ps(rounded, r);
      const __m256 z = _mm256_add_ps(_mm256_add_ps(a, shift), magic);  // low bits: k
      const __m256i k = _mm256_castps_si256(z);
      const __m256i fraction = _mm256_add_epi32(_mm256_shuffle_epi8(table, k), base);
      const __m256 threshold =
          _mm256_add_ps(_mm256_sub_ps(z, unmagic), _mm256_castsi256_ps(fraction));
      const __m256 above = _mm256_cmp_ps(a, threshold, _CMP_GT_OQ);
      values[i] = _mm256_sub_epi32(k, _mm256_castps_si256(above));
      if (!S::kMeasured) continue;
      add<S>(i, w[i], centred<S>(values[i]), _mm256_broadcast_ss(batch.stored + group), &sums);
    }
    store128(out, kPaired<S> ? pack_pairs4(values) : pack<S>(values));
  }
  if (S::kMeasured) store_sums<S>(sums, kPaired<S>, &batch.lanes);
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
    Sums<S> sums = no_sums<S>();
    for (size_t i = first; i < first + groups; ++i) {
      store128(batch.out + i * batch.out_step,
               quantize_by_division<S>(batch.group(i), batch.divisors[i], batch.stored[i], &sums));
    }
    if (S::kMeasured) store_sums<S>(sums, false, &batch.lanes);
  }
  template <class S>
  static void by_thresholds(Batch& batch) {
    quantize_by_thresholds<S>(batch);
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
