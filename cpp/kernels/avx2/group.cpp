// Group quantization, eight elements at a time.
//
// Groups are taken in batches: neighbours of a row, or (transposed output) the same group of
// sixteen rows, so that sixteen results make whole cache lines of the output. A batch first finds
// every maximum, then all scales at once (a division takes long, but several at once take no
// longer), then quantizes its groups:
//   threshold  an f16 model and ordinary numbers: see thresholds.h, no division and no rounding
//   division   the definition, with true divisions
//   reference  a NaN is among the elements
#include "../backends.h"
#include "thresholds.h"
#include "vector.h"

namespace mlc {
namespace {

constexpr size_t kBatch = 64;  // groups of one row
constexpr size_t kRows = 16;   // rows of one group

// What one batch works on. Arrays are filled to `count`, and beyond with harmless values.
struct Batch {
  size_t count;
  size_t elements;  // that exist, of each group
  bool unrounded;   // GroupQuantizeArgs::divide_by_unrounded_scale
  bool wants_words;
  uint8_t* out;  // where the words of the first group go: below, or where they belong
  size_t out_step;
  const uint8_t* src[kBatch];
  alignas(32) uint8_t magnitudes[kBatch * 4];  // the largest |w| in the source's bits
  alignas(32) float divisors[kBatch];
  alignas(32) float reciprocals[kBatch];
  alignas(32) uint8_t scales[kBatch * 4];  // in the model's bits
  alignas(32) uint32_t words[kBatch][4];
};

template <DType From, DType Model, int Bits>
struct Scheme {
  static constexpr DType kFrom = From;
  static constexpr DType kModel = Model;
  static constexpr int kBits = Bits;
  static constexpr size_t kGroup = Bits == 4 ? 32 : 40;
  static constexpr size_t kVectors = kGroup / 8;
  static constexpr size_t kSource = width_of(From);
  static constexpr size_t kScale = width_of(Model);
  static constexpr float kMaxInt = Bits == 4 ? 7.0f : 3.0f;
};

uint32_t read_bits(const uint8_t* at, size_t width) {
  uint32_t bits = 0;
  std::memcpy(&bits, at, width);
  return bits;
}

// ---- maximum and scale
// ---------------------------------------------------------------------------

// Magnitudes compare as integers, NaNs above infinity.
template <class S>
uint32_t max_magnitude(const uint8_t* src) {
  if (S::kSource == 2) {
    const __m256i clear = _mm256_set1_epi16(0x7FFF);
    const __m256i first = _mm256_and_si256(load256(src), clear);
    const __m256i second = _mm256_and_si256(load256(src + 32), clear);
    const __m256i max = _mm256_max_epu16(first, second);
    __m128i half = _mm_max_epu16(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1));
    if (S::kGroup == 40) {
      half = _mm_max_epu16(half, _mm_and_si128(load128(src + 64), _mm256_castsi256_si128(clear)));
    }
    const __m128i ones = _mm_set1_epi16(-1);
    const __m128i least = _mm_minpos_epu16(_mm_xor_si128(half, ones));
    return ~static_cast<uint32_t>(_mm_cvtsi128_si32(least)) & 0xFFFF;
  }
  const __m256i clear = _mm256_set1_epi32(0x7FFFFFFF);
  __m256i max = _mm256_and_si256(load256(src), clear);
  for (size_t i = 1; i < S::kVectors; ++i) {
    max = _mm256_max_epi32(max, _mm256_and_si256(load256(src + i * 32), clear));
  }
  __m128i half = _mm_max_epi32(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1));
  half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4E));
  half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0xB1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(half));
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
    if (S::kModel == DType::kF16) {
      _mm256_store_ps(batch.reciprocals + i, _mm256_div_ps(_mm256_set1_ps(1.0f), divisor));
    }
  }
}

// ---- packing
// -----------------------------------------------------------------------------------------
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

// ---- the paths
// -----------------------------------------------------------------------------------------

template <class S>
__m128i quantize_by_division(const uint8_t* src, float scale) {
  const __m256 divisor = _mm256_set1_ps(scale);
  const __m256 max_int = _mm256_set1_ps(S::kMaxInt);
  const __m256 limit = _mm256_set1_ps(2 * S::kMaxInt);
  __m256i values[S::kVectors];
  for (size_t i = 0; i < S::kVectors; ++i) {
    const __m256 w = round8<S::kModel>(load8<S::kFrom>(src + i * 8 * S::kSource));
    __m256 t = _mm256_div_ps(w, divisor);
    if (S::kModel == DType::kF16) t = round8<DType::kF16>(t);
    t = _mm256_add_ps(t, max_int);
    if (S::kModel == DType::kF16) t = round8<DType::kF16>(t);
    t = _mm256_max_ps(t, _mm256_setzero_ps());  // the second operand where t is NaN
    values[i] = _mm256_cvtps_epi32(_mm256_min_ps(t, limit));
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
  for (size_t i = 0; i < S::kVectors; ++i) {
    w[i] = load8<S::kFrom>(src + i * 8 * S::kSource);
    if (S::kFrom == DType::kF32) w[i] = round8<DType::kF16>(w[i]);
  }
}

// All groups of a batch; right for those whose maximum is ordinary.
template <class S>
void quantize_by_thresholds(const Batch& batch) {
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
  for (size_t group = 0; group < count; ++group, out += out_step) {
    const __m256 r = _mm256_broadcast_ss(batch.reciprocals + group);
    __m256 w[S::kVectors];
    load_for_thresholds<S>(batch.src[group], w);
    __m256i values[S::kVectors];
    for (size_t i = 0; i < S::kVectors; ++i) {
      const __m256 a = _mm256_mul_ps(w[i], r);
      const __m256 z = _mm256_add_ps(_mm256_add_ps(a, shift), magic);  // low bits: k
      const __m256i k = _mm256_castps_si256(z);
      const __m256i fraction = _mm256_add_epi32(_mm256_shuffle_epi8(table, k), base);
      const __m256 threshold =
          _mm256_add_ps(_mm256_sub_ps(z, unmagic), _mm256_castsi256_ps(fraction));
      const __m256 above = _mm256_cmp_ps(a, threshold, _CMP_GT_OQ);
      values[i] = _mm256_sub_epi32(k, _mm256_castps_si256(above));
    }
    store128(out, kPaired<S> ? pack_pairs4(values) : pack<S>(values));
  }
}

template <class S>
void quantize_by_reference(Batch& batch, size_t i) {
  GroupQuantizeArgs args = {};
  args.src = batch.src[i];
  args.rows = 1;
  args.cols = batch.elements;
  args.words = batch.out + i * batch.out_step;
  args.word_stride = 4;
  args.scales = batch.scales + i * S::kScale;
  args.from = S::kFrom;
  args.model = S::kModel;
  args.bits = S::kBits;
  args.group = S::kGroup;
  args.divide_by_unrounded_scale = batch.unrounded;
  kReferenceGroup.quantize(&args);
}

constexpr uint32_t infinity_of(DType dtype) {
  return dtype == DType::kF32 ? 0x7F800000 : dtype == DType::kF16 ? 0x7C00 : 0x7F80;
}

// Whether the path that a scheme usually takes is wrong for a group with this maximum.
template <class S>
bool is_rare(uint32_t magnitude) {
  if (S::kModel != DType::kF16) return magnitude > infinity_of(S::kFrom);
  constexpr uint32_t kLowest = lowest_ordinary(S::kFrom);
  return magnitude - kLowest > highest_ordinary(S::kFrom) - kLowest;
}

template <class S>
void redo_rare(Batch& batch) {
  for (size_t i = 0; i < batch.count; ++i) {
    const uint32_t magnitude = read_bits(batch.magnitudes + i * S::kSource, S::kSource);
    if (magnitude > infinity_of(S::kFrom)) {
      quantize_by_reference<S>(batch, i);
    } else if (is_rare<S>(magnitude)) {
      store128(batch.out + i * batch.out_step,
               quantize_by_division<S>(batch.src[i], batch.divisors[i]));
    }
  }
}

// Words and scales of a batch of whole groups.
template <class S>
void quantize_words(Batch& batch, bool rare) {
  if (S::kModel == DType::kF16) {
    quantize_by_thresholds<S>(batch);
  } else {
    for (size_t i = 0; i < batch.count; ++i) {
      store128(batch.out + i * batch.out_step,
               quantize_by_division<S>(batch.src[i], batch.divisors[i]));
    }
  }
  if (rare) redo_rare<S>(batch);
}

// Words (if wanted) and scales of a batch of whole groups.
template <class S>
void quantize_batch(Batch& batch) {
  const size_t count = batch.count;
  bool rare = false;
  bool nan = false;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t magnitude = max_magnitude<S>(batch.src[i]);
    std::memcpy(batch.magnitudes + i * S::kSource, &magnitude, S::kSource);
    rare |= is_rare<S>(magnitude);
    nan |= magnitude > infinity_of(S::kFrom);
  }
  find_scales<S>(batch);
  if (batch.wants_words) {
    quantize_words<S>(batch, rare);
  } else if (nan) {
    redo_rare<S>(batch);
  }
}

// Short groups: filled up with zeros, which change no maximum; their values are cleared afterwards.
template <class S>
void quantize_short_batch(Batch& batch) {
  alignas(32) uint8_t padded[kRows][S::kGroup * S::kSource];
  for (size_t i = 0; i < batch.count; ++i) {
    std::memset(padded[i], 0, sizeof padded[i]);
    std::memcpy(padded[i], batch.src[i], batch.elements * S::kSource);
    batch.src[i] = padded[i];
  }
  quantize_batch<S>(batch);
  constexpr size_t kPerWord = 32 / S::kBits;
  for (size_t w = 0; w < 4; ++w) {
    const size_t before = w * kPerWord;
    const size_t kept = batch.elements < before ? 0 : batch.elements - before;
    const uint32_t mask = kept >= kPerWord ? ~0u : (1u << (kept * S::kBits)) - 1;
    for (size_t i = 0; i < batch.count; ++i) batch.words[i][w] &= mask;
  }
}

// ---- results to their places
// -----------------------------------------------------------------------------

// Sixteen groups of neighbouring rows: each of the four words makes 64 neighbouring bytes.
void store_transposed(const Batch& batch, uint8_t* words, size_t word_stride) {
  for (size_t i = 0; i < kRows; i += 4) {
    const __m128i* rows = reinterpret_cast<const __m128i*>(batch.words[i]);
    const __m128i low01 = _mm_unpacklo_epi32(_mm_load_si128(rows), _mm_load_si128(rows + 1));
    const __m128i low23 = _mm_unpacklo_epi32(_mm_load_si128(rows + 2), _mm_load_si128(rows + 3));
    const __m128i high01 = _mm_unpackhi_epi32(_mm_load_si128(rows), _mm_load_si128(rows + 1));
    const __m128i high23 = _mm_unpackhi_epi32(_mm_load_si128(rows + 2), _mm_load_si128(rows + 3));
    store128(words + i * 4, _mm_unpacklo_epi64(low01, low23));
    store128(words + word_stride + i * 4, _mm_unpackhi_epi64(low01, low23));
    store128(words + 2 * word_stride + i * 4, _mm_unpacklo_epi64(high01, high23));
    store128(words + 3 * word_stride + i * 4, _mm_unpackhi_epi64(high01, high23));
  }
}

// From one group of the batch to the next: one group on, or one row on.
struct Step {
  size_t words;
  size_t scales;
};

template <class S>
void store_batch(const Batch& batch, const GroupQuantizeArgs& args, Step step, uint8_t* words,
                 uint8_t* scales) {
  if (words == nullptr || words == batch.out) {
    // Not wanted, or already there.
  } else if (step.words == 4 && batch.count == kRows) {
    store_transposed(batch, words, args.word_stride);
  } else {
    for (size_t i = 0; i < batch.count; ++i) {
      for (size_t w = 0; w < 4; ++w) {
        std::memcpy(words + i * step.words + w * args.word_stride, &batch.words[i][w], 4);
      }
    }
  }
  if (scales != nullptr && step.scales == S::kScale) {
    std::memcpy(scales, batch.scales, batch.count * S::kScale);
  } else if (scales != nullptr) {
    for (size_t i = 0; i < batch.count; ++i) {
      std::memcpy(scales + i * step.scales, batch.scales + i * S::kScale, S::kScale);
    }
  }
}

// `count` groups from (row, group) on: of one row, or (`down`) of as many rows.
struct Place {
  size_t row;
  size_t group;
  size_t count;
  bool down;
};

template <class S>
void run_batch(const GroupQuantizeArgs& args, const Place& place) {
  const size_t first = place.group * S::kGroup;
  const size_t left = args.cols - first;
  uint8_t* words = args.words == nullptr ? nullptr
                                         : args.words + place.row * args.word_row_stride +
                                               place.group * 4 * args.word_stride;
  uint8_t* scales = args.scales == nullptr ? nullptr
                                           : args.scales + place.row * args.scale_row_stride +
                                                 place.group * args.scale_stride;
  const Step steps = {place.down ? args.word_row_stride : 4 * args.word_stride,
                      place.down ? args.scale_row_stride : args.scale_stride};
  const uint8_t* src = args.src + place.row * args.src_row_stride + first * S::kSource;
  const size_t step = place.down ? args.src_row_stride : S::kGroup * S::kSource;

  Batch batch;
  std::memset(batch.magnitudes, 0, sizeof batch.magnitudes);
  batch.count = place.count;
  batch.elements = left < S::kGroup ? left : S::kGroup;
  batch.unrounded = args.divide_by_unrounded_scale;
  batch.wants_words = words != nullptr;
  for (size_t i = 0; i < place.count; ++i) batch.src[i] = src + i * step;
  const bool in_place = words != nullptr && args.word_stride == 4 && batch.elements == S::kGroup;
  batch.out = in_place ? words : reinterpret_cast<uint8_t*>(batch.words);
  batch.out_step = in_place ? steps.words : sizeof batch.words[0];
  if (batch.elements == S::kGroup) {
    quantize_batch<S>(batch);
  } else {
    quantize_short_batch<S>(batch);
  }
  store_batch<S>(batch, args, steps, words, scales);
}

size_t at_most(size_t count, size_t limit) { return count < limit ? count : limit; }

template <class S>
void run(const GroupQuantizeArgs& args) {
  const size_t whole = args.cols / S::kGroup;
  const size_t groups = (args.cols + S::kGroup - 1) / S::kGroup;
  const bool down = args.word_row_stride == 4 && args.words != nullptr;
  if (down) {
    for (size_t row = 0; row < args.rows; row += kRows) {
      for (size_t group = 0; group < groups; ++group) {
        run_batch<S>(args, {row, group, at_most(args.rows - row, kRows), true});
      }
    }
    return;
  }
  for (size_t row = 0; row < args.rows; ++row) {
    for (size_t group = 0; group < whole; group += kBatch) {
      run_batch<S>(args, {row, group, at_most(whole - group, kBatch), false});
    }
    if (whole < groups) run_batch<S>(args, {row, whole, 1, false});
  }
}

template <DType From, DType Model>
void run_bits(const GroupQuantizeArgs& args) {
  if (args.bits == 4) {
    run<Scheme<From, Model, 4>>(args);
  } else {
    run<Scheme<From, Model, 3>>(args);
  }
}

template <DType From>
void run_model(const GroupQuantizeArgs& args) {
  if (args.model == DType::kF16) return run_bits<From, DType::kF16>(args);
  if (args.model == DType::kBf16) return run_bits<From, DType::kBf16>(args);
  run_bits<From, DType::kF32>(args);
}

void quantize(const GroupQuantizeArgs* args) {
  if (args->from == DType::kBf16) return run_model<DType::kBf16>(*args);
  if (args->from == DType::kF16) return run_model<DType::kF16>(*args);
  run_model<DType::kF32>(*args);
}

}  // namespace

const GroupKernels kAvx2Group = {quantize};

}  // namespace mlc
