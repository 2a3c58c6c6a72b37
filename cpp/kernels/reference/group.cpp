// Group quantization (quantization.md section 3).
#include "../backends.h"
#include "add-element.h"

namespace mlc {
namespace {

constexpr size_t kWords = 4;  // of 32 bits, in every group
constexpr size_t kMaxGroup = 40;

size_t size_of(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

float load_as_f32(DType dtype, const uint8_t* at) {
  if (dtype == DType::kF32) return load<float>(at);
  const uint16_t bits = load<uint16_t>(at);
  return dtype == DType::kF16 ? f32_from_f16(bits) : f32_from_bf16(bits);
}

float round_to(DType model, float value) {
  if (model == DType::kF16) return f32_from_f16(f16_from_f32(value));
  if (model == DType::kBf16) return f32_from_bf16(bf16_from_f32(value));
  return value;
}

// max |w|, NaNs left out; NaN if there is nothing else.
float absolute_maximum(const float* w, size_t count) {
  uint32_t max = 0;
  bool any = false;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t magnitude = bits_of(w[i]) & 0x7FFFFFFF;
    if (magnitude > 0x7F800000) continue;
    any = true;
    if (magnitude > max) max = magnitude;
  }
  return any ? f32_from_bits(max) : f32_from_bits(0x7FC00000);
}

struct Scale {
  float stored;   // rounded to the model's dtype
  float divisor;  // what the elements are divided by
};

Scale scale_of(float max, int max_int, const GroupQuantizeArgs& args) {
  const float exact = max / static_cast<float>(max_int);
  const float stored = round_to(args.model, exact);
  return {stored, args.divide_by_unrounded_scale ? exact : stored};
}

// round_half_even(w / divisor + max_int), clamped; an f16 model rounds both steps to f16, the
// others stay in f32. (f32 has more than twice f16's digits, so rounding its quotient again is
// exact.)
uint32_t quantize_one(float w, float divisor, int max_int, DType model) {
  float t = w / divisor;
  if (model == DType::kF16) t = round_to(model, t);
  t = t + static_cast<float>(max_int);
  if (model == DType::kF16) t = round_to(model, t);
  if (is_nan(t) || t <= 0) return 0;
  const uint32_t limit = 2 * static_cast<uint32_t>(max_int);
  if (t >= static_cast<float>(limit)) return limit;
  const uint32_t below = static_cast<uint32_t>(t);
  const float rest = t - static_cast<float>(below);
  const bool up = rest > 0.5f || (rest == 0.5f && (below & 1) != 0);
  return below + (up ? 1 : 0);
}

void note_scale(float scale, Statistics* out) {
  out->zero_groups += scale == 0;
  out->infinite_scales += !(magnitude_of(scale) <= kMaxFinite);
}

void quantize_group(const GroupQuantizeArgs& args, size_t row, size_t group, Lanes* lanes) {
  const size_t first = group * args.group;
  const size_t left = args.cols - first;
  const size_t count = left < args.group ? left : args.group;
  const int max_int = args.bits == 4 ? 7 : 3;
  const size_t per_word = 32u / args.bits;

  const uint8_t* src = args.src + row * args.src_row_stride + first * size_of(args.from);
  float values[kMaxGroup];
  float w[kMaxGroup];
  for (size_t i = 0; i < count; ++i) {
    values[i] = load_as_f32(args.from, src + i * size_of(args.from));
    w[i] = round_to(args.model, values[i]);
  }
  const Scale scale = scale_of(absolute_maximum(w, count), max_int, args);

  if (args.scales != nullptr) {
    uint8_t* at = args.scales + row * args.scale_row_stride + group * args.scale_stride;
    if (args.model == DType::kF32) store<float>(at, scale.stored);
    if (args.model == DType::kF16) store<uint16_t>(at, f16_from_f32(scale.stored));
    if (args.model == DType::kBf16) store<uint16_t>(at, bf16_from_f32(scale.stored));
  }
  if (args.words == nullptr) return;
  uint32_t words[kWords] = {0, 0, 0, 0};
  for (size_t i = 0; i < count; ++i) {
    const uint32_t q = quantize_one(w[i], scale.divisor, max_int, args.model);
    words[i / per_word] |= q << (i % per_word * args.bits);
    const float code = static_cast<float>(static_cast<int>(q) - max_int);
    if (args.statistics == nullptr) continue;
    ++args.statistics->elements;
    if (!is_kept(values[i], overflow_limit(args.model), args.statistics)) continue;
    const size_t lane = neighbours_share(args.from, args.bits) ? i / 2 : i % kStatisticsLanes;
    add_element({values[i], code, scale.stored}, lane, lanes);
  }
  if (args.statistics != nullptr) note_scale(scale.stored, args.statistics);
  uint8_t* at = args.words + row * args.word_row_stride + group * kWords * args.word_stride;
  for (size_t i = 0; i < kWords; ++i) store<uint32_t>(at + i * args.word_stride, words[i]);
}

// What statistics sum at once.
struct Batch {
  size_t row;
  size_t end_row;
  size_t group;
  size_t end_group;
};

void quantize_batch(const GroupQuantizeArgs& args, const Batch& batch) {
  Lanes lanes = {};
  for (size_t row = batch.row; row < batch.end_row; ++row) {
    for (size_t group = batch.group; group < batch.end_group; ++group) {
      quantize_group(args, row, group, &lanes);
    }
  }
  if (args.statistics != nullptr) add_lanes(lanes, args.statistics);
}

size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

void quantize(const GroupQuantizeArgs* args) {
  const size_t groups = (args->cols + args->group - 1) / args->group;
  const size_t whole = args->cols / args->group;
  const bool transposed = args->words != nullptr && args->word_row_stride == 4;
  const size_t rows = transposed ? kStatisticsRows : 1;
  const size_t together = transposed ? 1 : kStatisticsGroups;
  for (size_t row = 0; row < args->rows; row += rows) {
    for (size_t group = 0; group < groups;) {
      const size_t end = group < whole ? smaller(whole, group + together) : groups;
      quantize_batch(*args, {row, smaller(args->rows, row + rows), group, end});
      group = end;
    }
  }
}

}  // namespace

const GroupKernels kReferenceGroup = {quantize};

}  // namespace mlc
