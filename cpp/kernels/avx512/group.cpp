// Group quantization, sixteen elements at a time: the vectors of group-batch.h.
#include "../group-batch.h"
#include "vector.h"

namespace mlc {
namespace {

// A group is two vectors, of 40 elements two and a half.
template <class S>
constexpr size_t kVectors = (S::kGroup + 15) / 16;

template <class S>
__mmask16 lanes_of(size_t vector) {
  return first_lanes(S::kGroup - vector * 16);
}

// ---- packing: values in the low nibble of the lanes; what is above is not looked at ----

// Values 0 ... 31, sixteen a vector.
__m128i pack_words4(const __m512i* v) {
  const __m256i bytes = _mm256_set_m128i(_mm512_cvtepi32_epi8(v[1]), _mm512_cvtepi32_epi8(v[0]));
  const __m256i nibbles = _mm256_and_si256(bytes, _mm256_set1_epi8(0x0F));
  return _mm256_cvtepi16_epi8(_mm256_maddubs_epi16(nibbles, _mm256_set1_epi16(0x1001)));
}

// Values 0 2 ... 30 and 1 3 ... 31.
__m128i pack_pairs4(__m512i even, __m512i odd) {
  return _mm512_cvtepi32_epi8(_mm512_or_si512(even, _mm512_slli_epi32(odd, 4)));
}

// Ten 3-bit values in bytes 0 ... 9 of each half -> dwords whose sum is the word (30 bits).
__m256i spread_words3(const uint8_t* first, const uint8_t* second) {
  const __m256i bytes = _mm256_set_m128i(load128(second), load128(first));
  const __m256i one_eight =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(1, 8, 1, 8, 1, 8, 1, 8, 1, 8, 0, 0, 0, 0, 0, 0));
  const __m256i one_64 = _mm256_broadcastsi128_si256(_mm_setr_epi16(1, 64, 1, 64, 1, 0, 0, 0));
  const __m256i pairs = _mm256_maddubs_epi16(bytes, one_eight);  // 6 bits each
  const __m256i fours = _mm256_madd_epi16(pairs, one_64);        // 12, 12 and 6 bits
  return _mm256_sllv_epi32(fours, _mm256_setr_epi32(0, 12, 24, 0, 0, 12, 24, 0));
}

__m128i pack_words3(const __m512i* v) {
  alignas(16) uint8_t bytes[48];
  for (size_t i = 0; i < 3; ++i) {
    store128(bytes + i * 16, _mm_and_si128(_mm512_cvtepi32_epi8(v[i]), _mm_set1_epi8(7)));
  }
  // Halves (word 0, word 2) and (word 1, word 3), so that the sums come out as 0 1 0 1 | 2 3 2 3.
  const __m256i sums =
      _mm256_hadd_epi32(spread_words3(bytes, bytes + 20), spread_words3(bytes + 10, bytes + 30));
  const __m256i words = _mm256_hadd_epi32(sums, sums);
  return _mm_unpacklo_epi64(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

template <class S>
__m128i pack(const __m512i* v) {
  return S::kBits == 4 ? pack_words4(v) : pack_words3(v);
}

// ---- statistics ----

// Handed on by value: sums whose address is known elsewhere would go through memory in every step.
template <class S>
struct Sums {
  __m512 squared_error[kVectors<S>];
  __m512 squared_value[kVectors<S>];
  __m512 errors;
};

template <class S>
Sums<S> no_sums() {
  Sums<S> sums;
  for (size_t i = 0; i < kVectors<S>; ++i) {
    sums.squared_error[i] = _mm512_setzero_ps();
    sums.squared_value[i] = _mm512_setzero_ps();
  }
  sums.errors = _mm512_setzero_ps();
  return sums;
}

// `code`: what is stored, times `scale`.
template <class S>
void add(size_t vector, __m512 value, __m512 code, __m512 scale, Sums<S>* sums) {
  constexpr int kLargerMagnitude = 0x0B;  // of the two, without a sign
  const __m512 error = _mm512_fmsub_ps(code, scale, value);
  sums->squared_value[vector] = _mm512_fmadd_ps(value, value, sums->squared_value[vector]);
  sums->squared_error[vector] = _mm512_fmadd_ps(error, error, sums->squared_error[vector]);
  sums->errors = _mm512_range_ps(sums->errors, error, kLargerMagnitude);
}

template <class S>
constexpr bool kPaired = S::kFrom == DType::kBf16&& S::kModel == DType::kF16&& S::kBits == 4;

void store_lanes(const __m512* sums, size_t vectors, float* lanes) {
  for (size_t i = 0; i < 3; ++i) {
    _mm512_store_ps(lanes + i * 16, i < vectors ? sums[i] : _mm512_setzero_ps());
  }
}

// Even and odd places of a group, one after the other.
void store_pairs(const __m512* sums, float* lanes) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
  _mm512_store_ps(lanes, _mm512_permutex2var_ps(sums[0], low, sums[1]));
  _mm512_store_ps(lanes + 16, _mm512_permutex2var_ps(sums[0], high, sums[1]));
  _mm512_store_ps(lanes + 32, _mm512_setzero_ps());
}

template <class S>
void store_sums(const Sums<S>& sums, bool paired, Lanes* lanes) {
  if (paired) {
    store_pairs(sums.squared_error, lanes->squared_error);
    store_pairs(sums.squared_value, lanes->squared_value);
  } else {
    store_lanes(sums.squared_error, kVectors<S>, lanes->squared_error);
    store_lanes(sums.squared_value, kVectors<S>, lanes->squared_value);
  }
  _mm512_store_ps(lanes->errors, sums.errors);
}

// ---- the paths ----

// Codes that lie in the low bits of kMagic, as numbers around zero.
template <class S>
__m512 centred(__m512i k) {
  return _mm512_sub_ps(_mm512_castsi512_ps(k), _mm512_set1_ps(kMagic + S::kMaxInt));
}

template <class S>
__m128i quantize_by_division(const uint8_t* src, float scale, float stored, Sums<S>* sums) {
  const __m512 divisor = _mm512_set1_ps(scale);
  const __m512 max_int = _mm512_set1_ps(S::kMaxInt);
  const __m512 limit = _mm512_set1_ps(2 * S::kMaxInt);
  const __m512 magic = _mm512_set1_ps(kMagic);  // rounds, and leaves the code in the low bits
  __m512i values[kVectors<S>];
  for (size_t i = 0; i < kVectors<S>; ++i) {
    const __m512 source = load16<S::kFrom>(src + i * 16 * S::kSource, lanes_of<S>(i));
    const __m512 w = S::kFrom == S::kModel ? source : round16<S::kModel>(source);
    __m512 t = _mm512_div_ps(w, divisor);
    if (S::kModel == DType::kF16) t = round16<DType::kF16>(t);
    t = _mm512_add_ps(t, max_int);
    if (S::kModel == DType::kF16) t = round16<DType::kF16>(t);
    t = _mm512_max_ps(t, _mm512_setzero_ps());  // the second operand where t is NaN
    values[i] = _mm512_castps_si512(_mm512_add_ps(_mm512_min_ps(t, limit), magic));
    if (S::kMeasured) add<S>(i, source, centred<S>(values[i]), _mm512_set1_ps(stored), sums);
  }
  return pack<S>(values);
}

// The constants of the threshold path, in registers. T[k] is explained in group-thresholds.h; here
// k is a + M rounded down. That is -1 where a is a little less than -M; the table's last entry
// makes it 0. A permutation over sixteen lanes looks only at the low four bits of its index.
template <class S>
struct Decide {
  __m512 table;
  __m512 magic = _mm512_set1_ps(kMagic + S::kMaxInt);

  Decide() {
    constexpr ThresholdFloats<S::kBits> kFloats;
    const __m512 lowest = _mm512_set1_ps(-kMaxFinite);
    table = _mm512_mask_mov_ps(_mm512_loadu_ps(kFloats.at), 0x8000, lowest);
  }

  __m512i operator()(__m512 w, __m512 reciprocal) const {
    constexpr int kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
    const __m512 a = _mm512_mul_ps(w, reciprocal);
    const __m512i k = _mm512_castps_si512(_mm512_fmadd_round_ps(w, reciprocal, magic, kDown));
    const __m512 threshold = _mm512_permutexvar_ps(k, table);
    const __mmask16 above = _mm512_cmp_ps_mask(a, threshold, _CMP_GT_OQ);
    return _mm512_mask_sub_epi32(k, above, k, _mm512_set1_epi32(-1));
  }
};

template <class S>
__m128i quantize_by_thresholds(const Decide<S>& decide, const uint8_t* src, float reciprocal,
                               float stored, Sums<S>* sums) {
  const __m512 r = _mm512_set1_ps(reciprocal);
  const __m512 scale = _mm512_set1_ps(stored);
  // Within this path's range, the rounding of a bf16 to f16 changes only numbers so small that they
  // quantize to max_int either way; that of an f32 is needed.
  if (kPaired<S>) {
    const __m512i both = load512(src);
    const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xFFFF0000));
    const __m512 even_source = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16));
    const __m512 odd_source = _mm512_castsi512_ps(_mm512_and_si512(both, upper));
    const __m512i even = decide(even_source, r);
    const __m512i odd = decide(odd_source, r);
    if (S::kMeasured) {
      add<S>(0, even_source, centred<S>(even), scale, sums);
      add<S>(1, odd_source, centred<S>(odd), scale, sums);
    }
    return pack_pairs4(even, odd);
  }
  __m512i values[kVectors<S>];
  for (size_t i = 0; i < kVectors<S>; ++i) {
    const __m512 source = load16<S::kFrom>(src + i * 16 * S::kSource, lanes_of<S>(i));
    values[i] = decide(S::kFrom == DType::kF32 ? round16<DType::kF16>(source) : source, r);
    if (S::kMeasured) add<S>(i, source, centred<S>(values[i]), scale, sums);
  }
  return pack<S>(values);
}

// ---- maxima ----

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

// Asks for what lies a page behind the sixteen groups of a row: processors guess only within pages,
// and a page is quantized faster than memory answers.
template <class S>
void prefetch_behind(const Batch& batch, size_t first) {
  constexpr size_t kPage = 4096;
  constexpr size_t kGroupBytes = S::kGroup * S::kSource;
  if (batch.src_step != kGroupBytes) return;
  const char* behind = reinterpret_cast<const char*>(batch.group(first)) + kPage;
  for (size_t at = 0; at < 16 * kGroupBytes; at += 64) _mm_prefetch(behind + at, _MM_HINT_T0);
}

// ---- the vectors of group-batch.h ----

struct Avx512 {
  template <class S>
  static void find_magnitudes(Batch& batch) {
    __m512i least = _mm512_set1_epi32(-1);
    __m512i most = _mm512_setzero_si512();
    for (size_t i = 0; i < batch.count; i += 16) {
      prefetch_behind<S>(batch, i);
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

  template <class S>
  static void find_scales(Batch& batch) {
    const size_t count = batch.count;
    const bool unrounded = batch.unrounded;
    for (size_t i = 0; i < count; i += 16) {
      const __m512 max = round16<S::kModel>(load16<S::kFrom>(batch.magnitudes + i * S::kSource));
      const __m512 exact = _mm512_div_ps(max, _mm512_set1_ps(S::kMaxInt));
      const __m512 divisor = unrounded ? exact : round16<S::kModel>(exact);
      store16<S::kModel>(batch.scales + i * S::kScale, exact);
      _mm512_storeu_ps(batch.divisors + i, divisor);
      if (S::kMeasured) _mm512_storeu_ps(batch.stored + i, round16<S::kModel>(exact));
      if (S::kModel == DType::kF16) {
        _mm512_storeu_ps(batch.reciprocals + i, _mm512_div_ps(_mm512_set1_ps(1.0f), divisor));
      }
    }
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
    const Decide<S> decide;
    const size_t count = batch.count;
    const size_t out_step = batch.out_step;
    uint8_t* out = batch.out;
    const uint8_t* src = batch.src;
    const size_t src_step = batch.src_step;
    Sums<S> sums = no_sums<S>();
    for (size_t i = 0; i < count; ++i, src += src_step, out += out_step) {
      store128(out, quantize_by_thresholds<S>(decide, src, batch.reciprocals[i], batch.stored[i],
                                              &sums));
    }
    if (S::kMeasured) store_sums<S>(sums, kPaired<S>, &batch.lanes);
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
