// Statistics: special values at every place of a vector, every tail, with and without a comparison.
#include <cstring>

#include "context.h"

namespace mlc::check {
namespace {

constexpr DType kFloats[] = {DType::kBf16, DType::kF16, DType::kF32};

struct Comparison {
  DType from;
  DType model;
  Stored stored;
  size_t count;
};

Stored stored_as(DType model) {
  if (model == DType::kF32) return Stored::kF32;
  return model == DType::kF16 ? Stored::kF16 : Stored::kBf16;
}

constexpr Stored kBytes[] = {Stored::kE4m3, Stored::kE5m2, Stored::kFtCode};
constexpr float kScales[] = {1.0f, 0.00390625f, 0.0173f, 65504.0f, 0.0f};

std::string describe(const char* kernel, DType from, DType model) {
  return std::string("statistics.") + kernel + " " + name_of(from) + " for " + name_of(model);
}

// Elements, and what they were rounded to or some bytes that they could have become.
void compare(Context& context, const Comparison& which, const Bytes& src) {
  const bool one_byte = which.stored > Stored::kBf16;
  Bytes made(which.count * (one_byte ? 1 : size_of(which.model)), 1);
  if (which.stored == Stored::kBf16 && which.model == DType::kF32) {
    context.reference.element.encode_bf16(src.data(), made.data(), which.count);
  } else if (one_byte) {
    for (size_t i = 0; i < which.count; ++i) {
      const size_t bound = which.stored == Stored::kFtCode ? 16 : 0x78;
      const size_t sign = which.stored == Stored::kFtCode ? 0 : context.chance.below(2) * 0x80;
      made.data()[i] = static_cast<uint8_t>(context.chance.below(bound) + sign);
    }
  } else {
    context.reference.element.cast(which.from, which.model, src.data(), made.data(), which.count);
  }
  const float scale = one_byte ? kScales[context.chance.below(5)] : 1.0f;
  const CompareArgs args = {which.from, which.model, which.stored, scale,
                            src.data(), made.data(), which.count};
  Statistics expected = {};
  Statistics actual = {};
  context.reference.statistics.compare(&args, &expected);
  context.tested.statistics.compare(&args, &actual);
  context.expect_equal({describe("compare", which.from, which.model), 8}, bytes_of(expected),
                       bytes_of(actual));
  expected = {};
  actual = {};
  context.reference.statistics.count(which.from, which.model, src.data(), which.count, &expected);
  context.tested.statistics.count(which.from, which.model, src.data(), which.count, &actual);
  context.expect_equal({describe("count", which.from, which.model), 8}, bytes_of(expected),
                       bytes_of(actual));
}

void compare_random(Context& context, const Comparison& which, Spread spread) {
  Bytes src(which.count * size_of(which.from), 1);
  fill(context.chance, which.from, spread, src.data(), which.count);
  compare(context, which, src);
}

void sweep_special(Context& context, const Comparison& which) {
  for (const uint32_t bits : special_bits(which.from)) {
    for (size_t position = 0; position < which.count; ++position) {
      Bytes src(which.count * size_of(which.from), 1);
      fill(context.chance, which.from, Spread::kWeights, src.data(), which.count);
      put_bits(which.from, bits, src.data() + position * size_of(which.from));
      compare(context, which, src);
    }
  }
}

struct Groups {
  DType from;
  DType model;
  uint8_t bits;
  size_t rows;
  size_t cols;
  bool transposed;
};

// Words, scales and statistics of one backend, one behind the other.
Bytes measured(const KernelTable& table, const Groups& which, const Bytes& src, bool scales) {
  const size_t scale = size_of(which.model);
  GroupQuantizeArgs args = {};
  args.group = which.bits == 4 ? 32 : 40;
  const size_t groups = (which.cols + args.group - 1) / args.group;
  const size_t words = which.rows * groups * 16;
  const size_t scale_bytes = which.rows * groups * scale;
  Bytes all(words + scale_bytes + sizeof(Statistics), 1);
  Statistics statistics = {};
  args.src = src.data();
  args.src_row_stride = which.cols * size_of(which.from);
  args.rows = which.rows;
  args.cols = which.cols;
  args.words = all.data();
  args.word_row_stride = which.transposed ? 4 : groups * 16;
  args.word_stride = which.transposed ? which.rows * 4 : 4;
  args.scales = scales ? all.data() + words : nullptr;
  args.scale_row_stride = which.transposed ? scale : groups * scale;
  args.scale_stride = which.transposed ? which.rows * scale : scale;
  args.from = which.from;
  args.model = which.model;
  args.bits = which.bits;
  args.divide_by_unrounded_scale = which.transposed && which.model == DType::kBf16;
  args.statistics = &statistics;
  table.group.quantize(&args);
  std::memcpy(all.data() + words + scale_bytes, &statistics, sizeof statistics);
  return all;
}

void compare_groups(Context& context, const Groups& which, const Bytes& src) {
  const bool scales = context.chance.below(4) != 0;
  const std::string what = std::string("group.quantize, measured, ") + name_of(which.from) +
                           " for " + name_of(which.model) +
                           (which.bits == 4 ? ", 4 bits" : ", 3 bits");
  context.expect_equal({what, 4}, measured(context.reference, which, src, scales),
                       measured(context.tested, which, src, scales));
}

// Rows, one element of which has the bits `special` if that is not null.
void compare_rows(Context& context, const Groups& which, Spread spread, const uint32_t* special) {
  const size_t elements = which.rows * which.cols;
  Bytes src(elements * size_of(which.from), 1);
  fill(context.chance, which.from, spread, src.data(), elements);
  if (special != nullptr) {
    const size_t at = context.chance.below(elements);
    put_bits(which.from, *special, src.data() + at * size_of(which.from));
  }
  compare_groups(context, which, src);
}

void check_groups(Context& context, DType from, DType model) {
  for (const uint8_t bits : {uint8_t{3}, uint8_t{4}}) {
    for (size_t cols = 1; cols < 130; ++cols) {
      compare_rows(context, {from, model, bits, 3, cols, cols % 2 == 0}, Spread::kWeights, nullptr);
    }
    for (const size_t cols : {2047u, 2048u, 2560u, 2561u, 6000u}) {
      compare_rows(context, {from, model, bits, 2, cols, false}, Spread::kWeights, nullptr);
    }
    for (const size_t rows : {15u, 16u, 17u, 40u}) {
      compare_rows(context, {from, model, bits, rows, 150, true}, Spread::kWeights, nullptr);
    }
    for (const uint32_t special : special_bits(from)) {
      for (const size_t cols : {64u, 75u, 160u}) {
        const Groups which = {from, model, bits, 18, cols, cols == 75};
        compare_rows(context, which, Spread::kWeights, &special);
      }
    }
    for (size_t spread = 0; spread < kSpreads; ++spread) {
      const Groups which = {from, model, bits, 18, 320, spread % 2 == 0};
      compare_rows(context, which, static_cast<Spread>(spread), nullptr);
    }
  }
}

void check_elements(Context& context, Comparison which) {
  which.count = 67;
  sweep_special(context, which);
  for (which.count = 0; which.count < 70; ++which.count) {
    compare_random(context, which, Spread::kAnyBits);
    compare_random(context, which, Spread::kWeights);
  }
  for (const size_t count : {2047u, 2048u, 2049u, 9000u}) {
    which.count = count;
    compare_random(context, which, Spread::kWeights);
  }
}

}  // namespace

void check_statistics(Context& context) {
  for (const DType from : kFloats) {
    for (const DType model : kFloats) {
      check_elements(context, {from, model, stored_as(model), 0});
      check_groups(context, from, model);
    }
  }
  check_elements(context, {DType::kF32, DType::kF32, Stored::kBf16, 0});
  for (const Stored stored : kBytes) {
    check_elements(context, {DType::kF16, DType::kF16, stored, 0});
  }
}

void random_statistics(Context& context) {
  const DType from = kFloats[context.chance.below(3)];
  const DType model = kFloats[context.chance.below(3)];
  const Spread spread = static_cast<Spread>(context.chance.below(kSpreads));
  compare_random(context, {from, model, stored_as(model), context.chance.below(10000)}, spread);
  const Stored stored = kBytes[context.chance.below(3)];
  compare_random(context, {DType::kF16, DType::kF16, stored, context.chance.below(10000)}, spread);
  const uint8_t bits = context.chance.below(2) == 0 ? 4 : 3;
  const Groups groups = {from,
                         model,
                         bits,
                         1 + context.chance.below(30),
                         1 + context.chance.below(3000),
                         context.chance.below(2) == 0};
  compare_rows(context, groups, spread, nullptr);
}

}  // namespace mlc::check
