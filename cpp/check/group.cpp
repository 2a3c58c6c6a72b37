// Group quantization: every special value at every position of a group, short groups, both layouts.
#include <cstring>

#include "context.h"

namespace mlc::check {
namespace {

struct Scheme {
  DType from;
  DType model;
  uint8_t bits;
  bool unrounded;
};

constexpr DType kFloats[] = {DType::kBf16, DType::kF16, DType::kF32};

std::vector<Scheme> all_schemes() {
  std::vector<Scheme> schemes;
  for (DType from : kFloats) {
    for (uint8_t bits : {uint8_t{4}, uint8_t{3}}) {
      for (DType model : kFloats) schemes.push_back({from, model, bits, false});
      schemes.push_back({from, DType::kBf16, bits, true});
    }
  }
  return schemes;
}

uint8_t group_of(const Scheme& scheme) { return scheme.bits == 4 ? 32 : 40; }

std::string describe(const Scheme& scheme, const char* result) {
  return std::string("group.quantize ") + name_of(scheme.from) + " -> " + name_of(scheme.model) +
         (scheme.bits == 4 ? ", 4 bits" : ", 3 bits") +
         (scheme.unrounded ? ", unrounded, " : ", ") + result;
}

// Where results go. `gap` bytes stay free behind each row of the source and of the results.
struct Shape {
  size_t rows;
  size_t cols;
  bool transposed;
  size_t gap;
  size_t offset;
};

struct Results {
  Bytes words;
  Bytes scales;
};

GroupQuantizeArgs make_args(const Scheme& scheme, const Shape& shape, Results& results) {
  const size_t groups = (shape.cols + group_of(scheme) - 1) / group_of(scheme);
  const size_t scale = size_of(scheme.model);
  GroupQuantizeArgs args = {};
  args.src_row_stride = shape.cols * size_of(scheme.from) + shape.gap;
  args.rows = shape.rows;
  args.cols = shape.cols;
  args.words = results.words.data();
  args.scales = results.scales.data();
  args.word_row_stride = shape.transposed ? 4 : groups * 16 + shape.gap;
  args.word_stride = shape.transposed ? shape.rows * 4 + shape.gap : 4;
  args.scale_row_stride = shape.transposed ? scale : groups * scale + shape.gap;
  args.scale_stride = shape.transposed ? shape.rows * scale + shape.gap : scale;
  args.from = scheme.from;
  args.model = scheme.model;
  args.bits = scheme.bits;
  args.group = group_of(scheme);
  args.divide_by_unrounded_scale = scheme.unrounded;
  return args;
}

Results room_for(const Scheme& scheme, const Shape& shape) {
  const size_t groups = (shape.cols + group_of(scheme) - 1) / group_of(scheme);
  const size_t lines = shape.transposed ? groups : shape.rows;
  const size_t word_lines = shape.transposed ? groups * 4 : shape.rows;
  return {Bytes(shape.rows * groups * 16 + word_lines * shape.gap, shape.offset),
          Bytes(shape.rows * groups * size_of(scheme.model) + lines * shape.gap, shape.offset)};
}

Bytes source_for(const Scheme& scheme, const Shape& shape) {
  const size_t stride = shape.cols * size_of(scheme.from) + shape.gap;
  return Bytes(shape.rows == 0 ? 0 : shape.rows * stride - shape.gap, shape.offset);
}

void quantize(const GroupKernels& kernels, const Scheme& scheme, const Shape& shape,
              const Bytes& source, Results& results, bool words, bool scales) {
  GroupQuantizeArgs args = make_args(scheme, shape, results);
  args.src = source.data();
  if (!words) args.words = nullptr;
  if (!scales) args.scales = nullptr;
  kernels.quantize(&args);
}

// Both results together, and each alone.
void compare(Context& context, const Scheme& scheme, const Shape& shape, const Bytes& source) {
  Results expected = room_for(scheme, shape);
  quantize(context.reference.group, scheme, shape, source, expected, true, true);
  Results both = room_for(scheme, shape);
  quantize(context.tested.group, scheme, shape, source, both, true, true);
  Results alone = room_for(scheme, shape);
  quantize(context.tested.group, scheme, shape, source, alone, true, false);
  quantize(context.tested.group, scheme, shape, source, alone, false, true);
  for (const Results* actual : {&both, &alone}) {
    context.expect_equal({describe(scheme, "words"), 4}, expected.words, actual->words);
    context.expect_equal({describe(scheme, "scales"), size_of(scheme.model)}, expected.scales,
                         actual->scales);
  }
}

// One row a position: the special value stands there, among weights or among its like.
void sweep_special(Context& context, const Scheme& scheme, uint32_t bits, bool alone) {
  const size_t group = group_of(scheme);
  const size_t size = size_of(scheme.from);
  const Shape shape = {group, group + group / 2 + 1, false, 1, 1};
  Bytes source = source_for(scheme, shape);
  const size_t stride = shape.cols * size + shape.gap;
  for (size_t position = 0; position < group; ++position) {
    uint8_t* row = source.data() + position * stride;
    fill(context.chance, scheme.from, alone ? Spread::kZeros : Spread::kWeights, row, shape.cols);
    put_bits(scheme.from, bits, row + position * size);
    if (group + position < shape.cols) {
      put_bits(scheme.from, bits, row + (group + position) * size);
    }
  }
  compare(context, scheme, shape, source);
  compare(context, scheme, {group, shape.cols, true, 1, 1}, source);
}

void uniform_rows(Context& context, const Scheme& scheme) {
  const Shape shape = {special_bits(scheme.from).size(), 97, false, 0, 0};
  Bytes source = source_for(scheme, shape);
  for (size_t row = 0; row < shape.rows; ++row) {
    for (size_t col = 0; col < shape.cols; ++col) {
      put_bits(scheme.from, special_bits(scheme.from)[row],
               source.data() + (row * shape.cols + col) * size_of(scheme.from));
    }
  }
  compare(context, scheme, shape, source);
}

// Rows of full groups whose maximum gives the scale 2^k exactly, so that halves are exact ties.
void exact_ties(Context& context, const Scheme& scheme) {
  const float max_int = scheme.bits == 4 ? 7.0f : 3.0f;
  const size_t group = group_of(scheme);
  const Shape shape = {24, group * 3, false, 0, 0};
  Bytes source = source_for(scheme, shape);
  for (size_t row = 0; row < shape.rows; ++row) {
    const float scale = row % 2 == 0 ? 1.0f : 0.25f;
    for (size_t col = 0; col < shape.cols; ++col) {
      const bool first = col % group == row % group;
      const float half =
          static_cast<float>(
              static_cast<int>(context.chance.below(static_cast<size_t>(max_int) * 4 + 1)) -
              static_cast<int>(max_int) * 2) *
          0.5f;
      const float value = (first ? max_int : half) * scale;
      uint32_t bits;
      std::memcpy(&bits, &value, 4);
      if (scheme.from == DType::kBf16) bits >>= 16;
      if (scheme.from == DType::kF16) {
        const uint32_t magnitude = bits & 0x7FFFFFFF;
        bits = (bits >> 16 & 0x8000) | (magnitude == 0 ? 0 : (magnitude >> 13) - (112u << 10));
      }
      put_bits(scheme.from, bits, source.data() + (row * shape.cols + col) * size_of(scheme.from));
    }
  }
  compare(context, scheme, shape, source);
}

void shapes(Context& context, const Scheme& scheme) {
  for (size_t spread = 0; spread < kSpreads; ++spread) {
    for (size_t cols = 1; cols <= 130; cols += 1 + cols / 9) {
      const Shape shape = {1 + cols % 35, cols, spread % 2 == 0, cols % 3, cols % 4};
      Bytes source = source_for(scheme, shape);
      const size_t stride = cols * size_of(scheme.from) + shape.gap;
      for (size_t row = 0; row < shape.rows; ++row) {
        fill(context.chance, scheme.from, static_cast<Spread>(spread), source.data() + row * stride,
             cols);
      }
      compare(context, scheme, shape, source);
    }
  }
}

// A call may ask for the words alone, or for the scales alone.
void halves(Context& context, const Scheme& scheme) {
  const Shape shape = {3, 100, false, 0, 0};
  Bytes source = source_for(scheme, shape);
  fill(context.chance, scheme.from, Spread::kWeights, source.data(), shape.rows * shape.cols);
  Results both = room_for(scheme, shape);
  Results apart = room_for(scheme, shape);
  GroupQuantizeArgs args = make_args(scheme, shape, both);
  args.src = source.data();
  context.reference.group.quantize(&args);
  args = make_args(scheme, shape, apart);
  args.src = source.data();
  GroupQuantizeArgs words = args;
  words.scales = nullptr;
  context.tested.group.quantize(&words);
  args.words = nullptr;
  context.tested.group.quantize(&args);
  context.expect_equal({describe(scheme, "words alone"), 4}, both.words, apart.words);
  context.expect_equal({describe(scheme, "scales alone"), size_of(scheme.model)}, both.scales,
                       apart.scales);
}

}  // namespace

void check_group(Context& context) {
  for (const Scheme& scheme : all_schemes()) {
    for (uint32_t bits : special_bits(scheme.from)) {
      sweep_special(context, scheme, bits, false);
      sweep_special(context, scheme, bits, true);
    }
    uniform_rows(context, scheme);
    exact_ties(context, scheme);
    shapes(context, scheme);
    halves(context, scheme);
  }
}

void random_group(Context& context) {
  static const std::vector<Scheme> schemes = all_schemes();
  Chance& chance = context.chance;
  const Scheme& scheme = schemes[chance.below(schemes.size())];
  const Shape shape = {1 + chance.below(20), 1 + chance.below(90), chance.below(2) == 0,
                       chance.below(5), chance.below(5)};
  Bytes source = source_for(scheme, shape);
  const size_t stride = shape.cols * size_of(scheme.from) + shape.gap;
  for (size_t row = 0; row < shape.rows; ++row) {
    fill(chance, scheme.from, static_cast<Spread>(chance.below(kSpreads)),
         source.data() + row * stride, shape.cols);
  }
  compare(context, scheme, shape, source);
}

}  // namespace mlc::check
