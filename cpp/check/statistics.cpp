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

Bytes result(const KernelTable& table, const Comparison& which, const Bytes& src, const Bytes& made) {
  Statistics statistics = {};
  table.statistics.compare(which.from, which.model, src.data(), which.compares ? made.data() : nullptr,
                           which.count, &statistics);
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
  DType model;
  uint8_t bits;
  size_t cols;
  size_t gap;
};

void decode(Context& context, const Groups& which, Spread spread) {
  const uint8_t group = which.bits == 4 ? 32 : 40;
  const size_t groups = (which.cols + group - 1) / group;
  const size_t scale = size_of(which.model);
  Bytes words(groups * 4 * (4 + which.gap), 1);
  Bytes scales(groups * (scale + which.gap), 1);
  for (size_t i = 0; i < words.size(); ++i) words.data()[i] = static_cast<uint8_t>(context.chance.next() >> 24);
  for (size_t i = 0; i < groups; ++i) {
    fill(context.chance, which.model, spread, scales.data() + i * (scale + which.gap), 1);
  }
  const GroupDecodeArgs args = {words.data(),       4 + which.gap, scales.data(), scale + which.gap,
                                which.cols,         which.model,   which.bits,    group};
  Bytes expected(which.cols * 4, 1);
  Bytes actual(which.cols * 4, 1);
  context.reference.statistics.decode_groups(&args, expected.data());
  context.tested.statistics.decode_groups(&args, actual.data());
  const std::string what = std::string("statistics.decode_groups ") + name_of(which.model) +
                           (which.bits == 4 ? ", 4 bits" : ", 3 bits");
  context.expect_equal({what, 4}, expected, actual);
}

}  // namespace

void check_statistics(Context& context) {
  for (const DType from : kFloats) {
    for (const DType model : kFloats) {
      sweep_special(context, from, model);
      for (size_t count = 0; count < 70; ++count) {
        compare_random(context, {from, model, count, count % 3 != 0}, Spread::kAnyBits);
      }
      for (const size_t count : {4095u, 4096u, 4097u, 9000u}) {
        compare_random(context, {from, model, count, true}, Spread::kWeights);
      }
    }
  }
  for (const DType model : kFloats) {
    for (const uint8_t bits : {uint8_t{3}, uint8_t{4}}) {
      for (size_t cols = 1; cols < 130; ++cols) {
        decode(context, {model, bits, cols, cols % 4}, cols % 2 == 0 ? Spread::kWeights : Spread::kHuge);
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
  decode(context, {model, bits, 1 + context.chance.below(500), context.chance.below(8)}, Spread::kWeights);
}

}  // namespace mlc::check
