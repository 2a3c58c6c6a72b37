// Casts and verbs: every 16-bit pattern, every f32 beside a rounding boundary, every short length.
#include <cstring>
#include <functional>

#include "context.h"

namespace mlc::check {
namespace {

constexpr DType kSources[] = {DType::kF64, DType::kF32, DType::kF16, DType::kBf16, DType::kF8E4m3,
                              DType::kI8,  DType::kU8,  DType::kI16, DType::kU16,  DType::kI32,
                              DType::kU32, DType::kI64, DType::kU64, DType::kBool};
constexpr DType kTargets[] = {DType::kF32, DType::kF16, DType::kBf16};

// A kernel of one array, as the checks see it.
struct Elementwise {
  std::string name;
  DType from;
  DType to;
  std::function<void(const ElementKernels&, const uint8_t*, uint8_t*, size_t)> call;
};

std::vector<Elementwise> all_kernels() {
  std::vector<Elementwise> list;
  for (DType from : kSources) {
    for (DType to : kTargets) {
      list.push_back({"element.cast", from, to,
                      [from, to](const ElementKernels& kernels, const uint8_t* src, uint8_t* dst,
                                 size_t count) { kernels.cast(from, to, src, dst, count); }});
    }
  }
  for (DType dtype : kTargets) {
    list.push_back({"element.add_one", dtype, dtype,
                    [dtype](const ElementKernels& kernels, const uint8_t* src, uint8_t* dst,
                            size_t count) { kernels.add_one(dtype, src, dst, count); }});
    for (int shift : {0, 1, 5, 24, 126, 127, 200}) {
      list.push_back(
          {"element.divide_pow2 " + std::to_string(shift), dtype, dtype,
           [dtype, shift](const ElementKernels& kernels, const uint8_t* src, uint8_t* dst,
                          size_t count) { kernels.divide_pow2(dtype, shift, src, dst, count); }});
    }
  }
  list.push_back({"element.exp_neg_exp", DType::kF32, DType::kF32,
                  [](const ElementKernels& kernels, const uint8_t* src, uint8_t* dst,
                     size_t count) { kernels.exp_neg_exp(src, dst, count); }});
  list.push_back({"element.encode_bf16", DType::kF32, DType::kBf16,
                  [](const ElementKernels& kernels, const uint8_t* src, uint8_t* dst,
                     size_t count) { kernels.encode_bf16(src, dst, count); }});
  return list;
}

void compare(Context& context, const Elementwise& kernel, const Bytes& source, size_t offset) {
  const size_t count = source.size() / size_of(kernel.from);
  Bytes expected(count * size_of(kernel.to));
  Bytes actual(count * size_of(kernel.to), offset);
  kernel.call(context.reference.element, source.data(), expected.data(), count);
  kernel.call(context.tested.element, source.data(), actual.data(), count);
  const std::string what = kernel.name + " " + name_of(kernel.from) + " -> " + name_of(kernel.to);
  context.expect_equal({what, size_of(kernel.to)}, expected, actual);
}

// Every pattern of 16 bits; of f32, every upper half with the lower halves where roundings turn.
Bytes all_patterns(DType from) {
  const size_t size = size_of(from);
  if (from != DType::kF32) {
    Bytes source(size_t{65536} * size, 1);
    for (uint32_t i = 0; i < 65536; ++i) {
      const uint64_t wide = uint64_t{i} << 48 | i;
      const uint64_t word = size == 8 ? wide : i;
      std::memcpy(source.data() + i * size, &word, size);
    }
    return source;
  }
  constexpr uint32_t kLow[] = {0,      1,      0x0FFF, 0x1000, 0x1001, 0x2FFF, 0x3000,
                               0x3001, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x5A5A};
  constexpr size_t kLows = sizeof kLow / sizeof kLow[0];
  Bytes source(65536 * kLows * 4, 1);
  for (uint32_t high = 0; high < 65536; ++high) {
    for (size_t i = 0; i < kLows; ++i) {
      put_bits(from, high << 16 | kLow[i], source.data() + (high * kLows + i) * 4);
    }
  }
  return source;
}

// Each special value at each position of arrays of each length.
void sweep_lengths(Context& context, const Elementwise& kernel) {
  const size_t size = size_of(kernel.from);
  const bool is_float =
      kernel.from == DType::kF32 || kernel.from == DType::kF16 || kernel.from == DType::kBf16;
  for (size_t length = 0; length <= 70; ++length) {
    Bytes source(length * size, length % 5);
    fill(context.chance, kernel.from, length % 2 == 0 ? Spread::kAnyBits : Spread::kWeights,
         source.data(), length);
    if (is_float && length > 0) {
      const std::vector<uint32_t>& special = special_bits(kernel.from);
      for (size_t i = 0; i < special.size(); ++i) {
        put_bits(kernel.from, special[i], source.data() + (i + length / 2) % length * size);
        compare(context, kernel, source, length % 3);
      }
    }
    compare(context, kernel, source, length % 3);
  }
}

}  // namespace

void check_element(Context& context) {
  for (const Elementwise& kernel : all_kernels()) {
    compare(context, kernel, all_patterns(kernel.from), 1);
    sweep_lengths(context, kernel);
  }
}

void random_element(Context& context) {
  static const std::vector<Elementwise> kernels = all_kernels();
  Chance& chance = context.chance;
  const Elementwise& kernel = kernels[chance.below(kernels.size())];
  Bytes source(chance.below(200) * size_of(kernel.from), chance.below(5));
  fill(chance, kernel.from, static_cast<Spread>(chance.below(kSpreads)), source.data(),
       source.size() / size_of(kernel.from));
  compare(context, kernel, source, chance.below(5));
}

}  // namespace mlc::check
