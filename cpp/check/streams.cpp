// The kernels of one f16 array or of byte streams: fp8, FasterTransformer, MD5.
#include <cstring>
#include <limits>

#include "context.h"

namespace mlc::check {
namespace {

void compare_absmax(Context& context, const Bytes& source, uint16_t running) {
  Bytes expected(2);
  Bytes actual(2);
  uint16_t first = running;
  uint16_t second = running;
  context.reference.fp8.absmax(source.data(), source.size() / 2, &first);
  context.tested.fp8.absmax(source.data(), source.size() / 2, &second);
  std::memcpy(expected.data(), &first, 2);
  std::memcpy(actual.data(), &second, 2);
  context.expect_equal({"fp8.absmax", 2}, expected, actual);
}

void compare_encode(Context& context, Fp8 format, float scale, const Bytes& source) {
  const size_t count = source.size() / 2;
  Bytes expected(count, 1);
  Bytes actual(count, 1);
  const std::string name =
      format == Fp8::kE4m3 ? "fp8.encode e4m3, scale " : "fp8.encode e5m2, scale ";
  context.reference.fp8.encode(format, source.data(), scale, expected.data(), count, nullptr);
  context.tested.fp8.encode(format, source.data(), scale, actual.data(), count, nullptr);
  context.expect_equal({name + std::to_string(scale), 1}, expected, actual);
  Bytes measured(count, 1);
  Statistics statistics[2] = {};
  context.reference.fp8.encode(format, source.data(), scale, measured.data(), count,
                               &statistics[0]);
  context.tested.fp8.encode(format, source.data(), scale, measured.data(), count, &statistics[1]);
  context.expect_equal({name + std::to_string(scale) + ", measured", 1}, expected, measured);
  context.expect_equal({name + std::to_string(scale) + ", statistics", 8}, bytes_of(statistics[0]),
                       bytes_of(statistics[1]));
}

void compare_ft(Context& context, size_t rows, size_t cols, const Bytes& source) {
  Bytes codes[2] = {Bytes(rows * cols, 1), Bytes(rows * cols, 1)};
  Bytes scales[2] = {Bytes(rows * 2, 1), Bytes(rows * 2, 1)};
  const KernelTable* tables[2] = {&context.reference, &context.tested};
  Statistics statistics[2] = {};
  for (bool measured : {false, true}) {
    for (size_t i = 0; i < 2; ++i) {
      tables[i]->ft.quantize(source.data(), rows, cols, codes[i].data(), scales[i].data(),
                             measured ? &statistics[i] : nullptr);
    }
    context.expect_equal({"ft.quantize codes", 1}, codes[0], codes[1]);
    context.expect_equal({"ft.quantize scales", 2}, scales[0], scales[1]);
  }
  context.expect_equal({"ft.quantize statistics", 8}, bytes_of(statistics[0]),
                       bytes_of(statistics[1]));
}

// `count` streams of `blocks` blocks, each at its own alignment, from states of their own.
void compare_md5(Context& context, size_t count, size_t blocks) {
  std::vector<Bytes> data;
  std::vector<Md5State> states[2];
  for (size_t i = 0; i < count; ++i) {
    data.emplace_back(blocks * 64, i % 7);
    fill(context.chance, DType::kU8, Spread::kAnyBits, data.back().data(), blocks * 64);
    Md5State state;
    for (uint32_t& word : state.word) word = static_cast<uint32_t>(context.chance.next() >> 9);
    states[0].push_back(state);
    states[1].push_back(state);
  }
  const KernelTable* tables[2] = {&context.reference, &context.tested};
  Bytes results[2] = {Bytes(count * sizeof(Md5State)), Bytes(count * sizeof(Md5State))};
  for (size_t which = 0; which < 2; ++which) {
    std::vector<Md5State*> pointers;
    std::vector<const uint8_t*> inputs;
    for (size_t i = 0; i < count; ++i) {
      pointers.push_back(&states[which][i]);
      inputs.push_back(data[i].data());
    }
    tables[which]->md5.update(pointers.data(), inputs.data(), blocks, count);
    std::memcpy(results[which].data(), states[which].data(), count * sizeof(Md5State));
  }
  context.expect_equal({"md5.update, " + std::to_string(count) + " streams", sizeof(Md5State)},
                       results[0], results[1]);
}

// The last two make a NaN of an infinity, and of zero.
constexpr float kScales[] = {
    1.0f,        0.0625f,      0x1.24cp-9f, 0x1.d54p-4f, 0x1p-17f,
    0x1.ffcp+7f, 0x1.5554p-2f, 3.0f,        0.1f,        std::numeric_limits<float>::infinity(),
    0.0f};

}  // namespace

void check_fp8(Context& context) {
  Bytes all(65536 * 2, 1);
  for (uint32_t i = 0; i < 65536; ++i) put_bits(DType::kF16, i, all.data() + i * 2);
  for (float scale : kScales) {
    compare_encode(context, Fp8::kE4m3, scale, all);
    compare_encode(context, Fp8::kE5m2, scale, all);
  }
  compare_absmax(context, all, 0);
  // Every number by itself: beside one that is lost, the reference measures.
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    Bytes alike(17 * 2, 1);
    for (size_t i = 0; i < 17; ++i) put_bits(DType::kF16, bits, alike.data() + i * 2);
    compare_encode(context, Fp8::kE4m3, 1.0f, alike);
    compare_encode(context, Fp8::kE5m2, 1.0f, alike);
  }
  for (size_t length = 0; length <= 70; ++length) {
    Bytes source(length * 2, 1);
    fill(context.chance, DType::kF16, Spread::kWeights, source.data(), length);
    compare_absmax(context, source, length % 2 == 0 ? 0 : 0x3C00);
    compare_encode(context, Fp8::kE4m3, 0.001f, source);
    compare_encode(context, Fp8::kE5m2, 1.0f, source);
    for (size_t position = 0; position < length; ++position) {
      for (uint32_t bits : special_bits(DType::kF16)) {
        Bytes special = source;
        put_bits(DType::kF16, bits, special.data() + position * 2);
        compare_absmax(context, special, 0);
      }
    }
  }
}

void check_ft(Context& context) {
  for (size_t cols = 1; cols <= 140; ++cols) {
    for (size_t spread = 0; spread < kSpreads; ++spread) {
      Bytes source(3 * cols * 2, 1);
      fill(context.chance, DType::kF16, static_cast<Spread>(spread), source.data(), 3 * cols);
      compare_ft(context, 3, cols, source);
    }
  }
  for (size_t position = 0; position < 70; ++position) {
    for (uint32_t bits : special_bits(DType::kF16)) {
      Bytes source(70 * 2, 1);
      fill(context.chance, DType::kF16, Spread::kWeights, source.data(), 70);
      put_bits(DType::kF16, bits, source.data() + position * 2);
      compare_ft(context, 1, 70, source);
    }
  }
}

void check_md5(Context& context) {
  for (size_t count = 1; count <= context.tested.md5.lanes; ++count) {
    for (size_t blocks : {size_t{0}, size_t{1}, size_t{2}, size_t{7}, size_t{64}}) {
      compare_md5(context, count, blocks);
    }
  }
}

void random_fp8(Context& context) {
  Chance& chance = context.chance;
  Bytes source(chance.below(200) * 2, chance.below(4));
  fill(chance, DType::kF16, static_cast<Spread>(chance.below(kSpreads)), source.data(),
       source.size() / 2);
  compare_absmax(context, source, static_cast<uint16_t>(chance.below(0x7C01)));
  const float scale = kScales[chance.below(sizeof kScales / sizeof kScales[0])];
  compare_encode(context, chance.below(2) == 0 ? Fp8::kE4m3 : Fp8::kE5m2, scale, source);
}

void random_ft(Context& context) {
  Chance& chance = context.chance;
  const size_t rows = 1 + chance.below(4);
  const size_t cols = 1 + chance.below(200);
  Bytes source(rows * cols * 2, chance.below(4));
  fill(chance, DType::kF16, static_cast<Spread>(chance.below(kSpreads)), source.data(),
       rows * cols);
  compare_ft(context, rows, cols, source);
}

void random_md5(Context& context) {
  compare_md5(context, 1 + context.chance.below(context.tested.md5.lanes), context.chance.below(6));
}

}  // namespace mlc::check
