// Statistics: special values at every place of a vector, every tail, with and without a comparison.
#include <cstring>

#include "context.h"

namespace mlc::check {
namespace {

constexpr DType kFloats[] = {DType::kBf16, DType::kF16, DType::kF32};

struct Comparison {
  DType from;
  DType model;
  size_t count;
  bool compares;
};

std::string describe(const Comparison& which) {
  return std::string("statistics.compare ") + name_of(which.from) + " for " + name_of(which.model) +
         (which.compares ? "" : ", as stored");
}

Bytes result(const KernelTable& table, const Comparison& which, const Bytes& src,
             const Bytes& made) {
  Statistics statistics = {};
  table.statistics.compare(which.from, which.model, src.data(),
                           which.compares ? made.data() : nullptr, which.count, &statistics);
  Bytes bytes(sizeof statistics);
  std::memcpy(bytes.data(), &statistics, sizeof statistics);
  return bytes;
}

void compare(Context& context, const Comparison& which, const Bytes& src, const Bytes& made) {
  context.expect_equal({describe(which), 8}, result(context.reference, which, src, made),
                       result(context.tested, which, src, made));
}

void compare_random(Context& context, const Comparison& which, Spread spread) {
  Bytes src(which.count * size_of(which.from), 1);
  Bytes made(which.count * 4, 1);
  fill(context.chance, which.from, spread, src.data(), which.count);
  fill(context.chance, DType::kF32, spread, made.data(), which.count);
  compare(context, which, src, made);
}

void sweep_special(Context& context, DType from, DType model) {
  for (const uint32_t bits : special_bits(from)) {
    for (size_t position = 0; position < 33; ++position) {
      const Comparison which = {from, model, 33, true};
      Bytes src(which.count * size_of(from), 1);
      Bytes made(which.count * 4, 1);
      fill(context.chance, from, Spread::kWeights, src.data(), which.count);
      fill(context.chance, DType::kF32, Spread::kWeights, made.data(), which.count);
      put_bits(from, bits, src.data() + position * size_of(from));
      compare(context, which, src, made);
    }
  }
}

struct Groups {
  DType from;
  DType model;
  uint8_t bits;
  size_t cols;
  bool transposed;
};

constexpr size_t kRows = 3;

Bytes result(const KernelTable& table, const GroupQuantizeArgs& args) {
  Statistics statistics = {};
  table.statistics.compare_groups(&args, &statistics);
  Bytes bytes(sizeof statistics);
  std::memcpy(bytes.data(), &statistics, sizeof statistics);
  return bytes;
}

// Quantizes rows, one element of which has the bits `special` if that is not null, and compares.
void compare_groups(Context& context, const Groups& which, Spread spread, const uint32_t* special) {
  const size_t unit = size_of(which.from);
  const size_t scale = size_of(which.model);
  GroupQuantizeArgs args = {};
  args.group = which.bits == 4 ? 32 : 40;
  const size_t groups = (which.cols + args.group - 1) / args.group;
  Bytes src(kRows * which.cols * unit, 1);
  Bytes words(kRows * groups * 16, 1);
  Bytes scales(kRows * groups * scale, 1);
  fill(context.chance, which.from, spread, src.data(), kRows * which.cols);
  if (special != nullptr) {
    put_bits(which.from, *special, src.data() + context.chance.below(kRows * which.cols) * unit);
  }
  args.src = src.data();
  args.src_row_stride = which.cols * unit;
  args.rows = kRows;
  args.cols = which.cols;
  args.words = words.data();
  args.word_row_stride = which.transposed ? 4 : groups * 16;
  args.word_stride = which.transposed ? kRows * 4 : 4;
  args.scales = scales.data();
  args.scale_row_stride = which.transposed ? scale : groups * scale;
  args.scale_stride = which.transposed ? kRows * scale : scale;
  args.from = which.from;
  args.model = which.model;
  args.bits = which.bits;
  context.reference.group.quantize(&args);
  const std::string what = std::string("statistics.compare_groups ") + name_of(which.from) +
                           " for " + name_of(which.model) +
                           (which.bits == 4 ? ", 4 bits" : ", 3 bits");
  context.expect_equal({what, 8}, result(context.reference, args), result(context.tested, args));
}

void check_groups(Context& context, DType from, DType model) {
  for (const uint8_t bits : {uint8_t{3}, uint8_t{4}}) {
    for (size_t cols = 1; cols < 130; ++cols) {
      compare_groups(context, {from, model, bits, cols, cols % 2 == 0}, Spread::kWeights, nullptr);
    }
    for (const size_t cols : {4000u, 4001u, 4096u, 4128u, 9000u}) {
      compare_groups(context, {from, model, bits, cols, false}, Spread::kWeights, nullptr);
    }
    for (const uint32_t special : special_bits(from)) {
      for (const size_t cols : {64u, 75u, 160u}) {
        compare_groups(context, {from, model, bits, cols, false}, Spread::kWeights, &special);
      }
    }
    for (size_t spread = 0; spread < kSpreads; ++spread) {
      compare_groups(context, {from, model, bits, 320, true}, static_cast<Spread>(spread), nullptr);
    }
  }
}

}  // namespace

void check_statistics(Context& context) {
  for (const DType from : kFloats) {
    for (const DType model : kFloats) {
      sweep_special(context, from, model);
      check_groups(context, from, model);
      for (size_t count = 0; count < 70; ++count) {
        compare_random(context, {from, model, count, count % 3 != 0}, Spread::kAnyBits);
      }
      for (const size_t count : {4095u, 4096u, 4097u, 9000u}) {
        compare_random(context, {from, model, count, true}, Spread::kWeights);
      }
    }
  }
}

void random_statistics(Context& context) {
  const DType from = kFloats[context.chance.below(3)];
  const DType model = kFloats[context.chance.below(3)];
  const Spread spread = static_cast<Spread>(context.chance.below(kSpreads));
  const Comparison which = {from, model, context.chance.below(10000), context.chance.below(4) != 0};
  compare_random(context, which, spread);
  const uint8_t bits = context.chance.below(2) == 0 ? 4 : 3;
  const Groups groups = {from, model, bits, 1 + context.chance.below(5000),
                         context.chance.below(2) == 0};
  compare_groups(context, groups, spread, nullptr);
}

}  // namespace mlc::check
