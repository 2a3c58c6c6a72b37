// Group quantization in NEON: a group is eight or ten vectors of four f32.
#include "../backends.h"
#include "../statistics-lanes.h"
#include "floats.h"

namespace mlc {
namespace {

constexpr size_t kWords = 4;  // of 32 bits, in every group

template <int kBits>
struct Packing;

template <>
struct Packing<4> {
  static constexpr size_t kGroup = 32;
  static constexpr int kMaxInt = 7;
};

template <>
struct Packing<3> {
  static constexpr size_t kGroup = 40;
  static constexpr int kMaxInt = 3;
};

template <DType kFrom>
constexpr size_t bytes_of() {
  return kFrom == DType::kF32 ? 4 : 2;
}

template <DType kFrom>
float32x4_t load_four(const uint8_t* at) {
  if constexpr (kFrom == DType::kF32) {
    return vreinterpretq_f32_u8(vld1q_u8(at));
  } else {
    const uint16x4_t bits = vreinterpret_u16_u8(vld1_u8(at));
    return kFrom == DType::kF16 ? widen_f16(bits) : widen_bf16(bits);
  }
}

template <DType kModel>
float32x4_t round_four(float32x4_t v) {
  if constexpr (kModel == DType::kF16) return round_to_f16(v);
  if constexpr (kModel == DType::kBf16) return round_to_bf16(v);
  return v;
}

// max |w| without the NaNs; NaN if there is nothing else. Magnitudes compare like integers.
template <size_t kVectors>
float absolute_maximum(const float32x4_t* w) {
  uint32x4_t max = vdupq_n_u32(0);
  uint32x4_t any = vdupq_n_u32(0);
  for (size_t i = 0; i < kVectors; ++i) {
    const uint32x4_t magnitude = vandq_u32(bits_of(w[i]), vdupq_n_u32(0x7FFFFFFF));
    const uint32x4_t number = vcleq_u32(magnitude, vdupq_n_u32(0x7F800000));
    max = vmaxq_u32(max, vandq_u32(magnitude, number));
    any = vorrq_u32(any, number);
  }
  const uint32_t bits = vmaxvq_u32(any) != 0 ? vmaxvq_u32(max) : 0x7FC00000;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <DType kModel>
void store_scale(uint8_t* at, float32x4_t scale) {
  if constexpr (kModel == DType::kF32) {
    const float bits = vgetq_lane_f32(scale, 0);
    std::memcpy(at, &bits, sizeof bits);
  } else {
    const uint16x4_t narrow = kModel == DType::kF16 ? narrow_f16(scale) : narrow_bf16(scale);
    const uint16_t bits = vget_lane_u16(narrow, 0);
    std::memcpy(at, &bits, sizeof bits);
  }
}

// The conversion to integers rounds half to even, saturates, and makes 0 of a NaN: clamping is all
// that is left of step 3 of quantization.md section 3.
template <DType kModel, int kMaxInt>
uint32x4_t quantize_four(float32x4_t w, float32x4_t divisor) {
  float32x4_t t = vdivq_f32(w, divisor);
  if constexpr (kModel == DType::kF16) t = round_to_f16(t);
  t = vaddq_f32(t, vdupq_n_f32(static_cast<float>(kMaxInt)));
  if constexpr (kModel == DType::kF16) t = round_to_f16(t);
  const int32x4_t q = vcvtnq_s32_f32(t);
  const int32x4_t clamped = vminq_s32(vmaxq_s32(q, vdupq_n_s32(0)), vdupq_n_s32(2 * kMaxInt));
  return vreinterpretq_u32_s32(clamped);
}

static inline uint32x4_t shift(uint32x4_t v, const int32_t* bits) {
  return vshlq_u32(v, vld1q_s32(bits));
}

// The sum of each of four vectors.
static inline uint32x4_t sums(const uint32x4_t* v) {
  return vpaddq_u32(vpaddq_u32(v[0], v[1]), vpaddq_u32(v[2], v[3]));
}

// Eight codes a word, from two vectors.
static inline uint32x4_t pack(Packing<4>, const uint32x4_t* q) {
  static const int32_t kShifts[8] = {0, 4, 8, 12, 16, 20, 24, 28};
  uint32x4_t parts[kWords];
  for (size_t w = 0; w < kWords; ++w) {
    parts[w] = vaddq_u32(shift(q[2 * w], kShifts), shift(q[2 * w + 1], kShifts + 4));
  }
  return sums(parts);
}

// Ten codes a word: they do not begin where vectors begin, so they go through memory.
static inline uint32x4_t pack(Packing<3>, const uint32x4_t* q) {
  static const int32_t kShifts[8] = {0, 3, 6, 9, 12, 15, 18, 21};
  uint32_t codes[Packing<3>::kGroup];
  for (size_t i = 0; i < Packing<3>::kGroup / 4; ++i) vst1q_u32(codes + 4 * i, q[i]);
  uint32x4_t parts[kWords];
  uint32_t last[kWords];
  for (size_t w = 0; w < kWords; ++w) {
    const uint32_t* at = codes + 10 * w;
    parts[w] = vaddq_u32(shift(vld1q_u32(at), kShifts), shift(vld1q_u32(at + 4), kShifts + 4));
    last[w] = at[8] << 24 | at[9] << 27;
  }
  return vaddq_u32(sums(parts), vld1q_u32(last));
}

static inline void store_words(uint8_t* at, size_t stride, uint32x4_t words) {
  if (stride == 4) return vst1q_u8(at, vreinterpretq_u8_u32(words));
  uint32_t each[kWords];
  vst1q_u32(each, words);
  for (size_t w = 0; w < kWords; ++w) std::memcpy(at + w * stride, &each[w], sizeof each[w]);
}

// ---- statistics ----

// Sums of one batch, while nothing in it is lost.
struct Measured {
  Lanes lanes;
  Statistics counts;
  bool lost;
};

// Elements whose lanes are neighbours, from `lane` on.
struct Four {
  float32x4_t value;
  uint32x4_t code;
  size_t lane;
};

// The `i`th four of a group in vectors of neighbouring places. kShared: neighbours share a lane.
template <bool kShared>
Four four_of(const float32x4_t* values, const uint32x4_t* codes, size_t i) {
  if constexpr (!kShared) return {values[i], codes[i], 4 * i % kStatisticsLanes};
  const size_t even = i / 2 * 2;
  const size_t lane = even * 2;
  const float32x4_t* v = values + even;
  const uint32x4_t* c = codes + even;
  if (i == even) return {vuzp1q_f32(v[0], v[1]), vuzp1q_u32(c[0], c[1]), lane};
  return {vuzp2q_f32(v[0], v[1]), vuzp2q_u32(c[0], c[1]), lane};
}

static inline void add_four(const Four& four, float32x4_t scale, int max_int, Lanes* lanes) {
  const float32x4_t value = four.value;
  const int32x4_t centred = vsubq_s32(vreinterpretq_s32_u32(four.code), vdupq_n_s32(max_int));
  const float32x4_t error = vfmaq_f32(vnegq_f32(value), vcvtq_f32_s32(centred), scale);
  float* errors = lanes->squared_error + four.lane;
  float* values = lanes->squared_value + four.lane;
  vst1q_f32(errors, vfmaq_f32(vld1q_f32(errors), error, error));
  vst1q_f32(values, vfmaq_f32(vld1q_f32(values), value, value));
  vst1q_f32(lanes->errors, vmaxq_f32(vld1q_f32(lanes->errors), vabsq_f32(error)));
}

// ---- groups ----

// `count` elements exist; src has those of a whole group.
struct Group {
  size_t row;
  size_t index;
  size_t count;
  const uint8_t* src;
};

template <DType kFrom, DType kModel, int kBits>
void quantize_group(const GroupQuantizeArgs& args, const Group& group, Measured* measured) {
  using Pack = Packing<kBits>;
  constexpr size_t kVectors = Pack::kGroup / 4;
  float32x4_t source[kVectors];
  float32x4_t w[kVectors];
  for (size_t i = 0; i < kVectors; ++i) {
    source[i] = load_four<kFrom>(group.src + 4 * i * bytes_of<kFrom>());
    w[i] = kFrom == kModel ? source[i] : round_four<kModel>(source[i]);
  }
  const float max = absolute_maximum<kVectors>(w);
  const float32x4_t exact = vdupq_n_f32(max / static_cast<float>(Pack::kMaxInt));
  const float32x4_t stored = round_four<kModel>(exact);
  if (args.scales != nullptr) {
    store_scale<kModel>(
        args.scales + group.row * args.scale_row_stride + group.index * args.scale_stride, stored);
  }
  if (args.words == nullptr) return;
  const float32x4_t divisor = args.divide_by_unrounded_scale ? exact : stored;
  uint32x4_t q[kVectors];
  for (size_t i = 0; i < kVectors; ++i) {
    q[i] = quantize_four<kModel, Pack::kMaxInt>(w[i], divisor);
  }
  store_words(
      args.words + group.row * args.word_row_stride + group.index * kWords * args.word_stride,
      args.word_stride, pack(Pack{}, q));
  if (measured == nullptr) return;
  for (size_t i = 0; i < kVectors; ++i) {
    if (4 * i + 4 > group.count) {  // what is behind the last element counts as zero
      const int32x4_t places = {0, 1, 2, 3};
      const int32_t left = static_cast<int32_t>(group.count) - static_cast<int32_t>(4 * i);
      const uint32x4_t exists = vcltq_s32(places, vdupq_n_s32(left));
      source[i] = vreinterpretq_f32_u32(vandq_u32(bits_of(source[i]), exists));
      q[i] = vbslq_u32(exists, q[i], vdupq_n_u32(Pack::kMaxInt));
    }
    const uint32x4_t magnitude =
        vandq_u32(bits_of(round_four<kModel>(source[i])), vdupq_n_u32(0x7FFFFFFF));
    measured->lost = measured->lost || vmaxvq_u32(magnitude) >= 0x7F800000;
  }
  for (size_t i = 0; i < kVectors; ++i) {
    const Four four = four_of<neighbours_share(kFrom, kBits)>(source, q, i);
    add_four(four, stored, Pack::kMaxInt, &measured->lanes);
  }
  measured->counts.elements += group.count;
  measured->counts.zero_groups += vgetq_lane_f32(stored, 0) == 0;
}

template <DType kFrom, DType kModel, int kBits>
void quantize_at(const GroupQuantizeArgs& args, size_t row, size_t index, Measured* measured) {
  constexpr size_t kGroup = Packing<kBits>::kGroup;
  constexpr size_t kBytes = bytes_of<kFrom>();
  const uint8_t* src = args.src + row * args.src_row_stride + index * kGroup * kBytes;
  const size_t left = args.cols - index * kGroup;
  if (left >= kGroup) {
    return quantize_group<kFrom, kModel, kBits>(args, {row, index, kGroup, src}, measured);
  }
  // A short group is filled up with NaNs (all bits set): no maximum sees them, and their code is 0.
  uint8_t padded[kGroup * kBytes];
  std::memset(padded, 0xFF, sizeof padded);
  std::memcpy(padded, src, left * kBytes);
  quantize_group<kFrom, kModel, kBits>(args, {row, index, left, padded}, measured);
}

// Rows [row, end_row), groups [group, end_group).
struct Batch {
  size_t row;
  size_t end_row;
  size_t group;
  size_t end_group;
};

// The reference does a batch over in which something is lost.
template <DType kFrom, int kBits>
void measure_by_reference(const GroupQuantizeArgs& args, const Batch& batch) {
  constexpr size_t kGroup = Packing<kBits>::kGroup;
  const size_t first = batch.group * kGroup;
  const size_t end = batch.end_group * kGroup;
  GroupQuantizeArgs part = args;
  part.src += batch.row * args.src_row_stride + first * bytes_of<kFrom>();
  part.rows = batch.end_row - batch.row;
  part.cols = (args.cols < end ? args.cols : end) - first;
  part.words += batch.row * args.word_row_stride + batch.group * kWords * args.word_stride;
  if (args.scales != nullptr) {
    part.scales += batch.row * args.scale_row_stride + batch.group * args.scale_stride;
  }
  kReferenceGroup.quantize(&part);
}

template <DType kFrom, DType kModel, int kBits>
void quantize_batch(const GroupQuantizeArgs& args, const Batch& batch) {
  Measured measured = {};
  Measured* wanted = args.statistics == nullptr ? nullptr : &measured;
  for (size_t group = batch.group; group < batch.end_group; ++group) {
    for (size_t row = batch.row; row < batch.end_row; ++row) {
      quantize_at<kFrom, kModel, kBits>(args, row, group, wanted);
    }
  }
  if (wanted == nullptr) return;
  if (measured.lost) return measure_by_reference<kFrom, kBits>(args, batch);
  args.statistics->elements += measured.counts.elements;
  args.statistics->zero_groups += measured.counts.zero_groups;
  add_lanes(measured.lanes, args.statistics);
}

static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

template <DType kFrom, DType kModel, int kBits>
void quantize_rows(const GroupQuantizeArgs& args) {
  constexpr size_t kGroup = Packing<kBits>::kGroup;
  const size_t whole = args.cols / kGroup;
  const size_t groups = (args.cols + kGroup - 1) / kGroup;
  // Where the words of a row lie apart, those of sixteen rows share cache lines.
  const bool transposed = args.words != nullptr && args.word_row_stride == 4;
  const size_t rows = transposed ? kStatisticsRows : 1;
  const size_t together = transposed ? 1 : kStatisticsGroups;
  for (size_t row = 0; row < args.rows; row += rows) {
    for (size_t group = 0; group < groups;) {
      const size_t end = group < whole ? smaller(whole, group + together) : groups;
      quantize_batch<kFrom, kModel, kBits>(args, {row, smaller(args.rows, row + rows), group, end});
      group = end;
    }
  }
}

template <DType kFrom, DType kModel>
void quantize_model(const GroupQuantizeArgs& args) {
  if (args.bits == 4) return quantize_rows<kFrom, kModel, 4>(args);
  quantize_rows<kFrom, kModel, 3>(args);
}

template <DType kFrom>
void quantize_from(const GroupQuantizeArgs& args) {
  if (args.model == DType::kF32) return quantize_model<kFrom, DType::kF32>(args);
  if (args.model == DType::kF16) return quantize_model<kFrom, DType::kF16>(args);
  quantize_model<kFrom, DType::kBf16>(args);
}

void quantize(const GroupQuantizeArgs* args) {
  if (args->from == DType::kF32) return quantize_from<DType::kF32>(*args);
  if (args->from == DType::kF16) return quantize_from<DType::kF16>(*args);
  quantize_from<DType::kBf16>(*args);
}

}  // namespace

const GroupKernels kNeonGroup = {quantize};

}  // namespace mlc
