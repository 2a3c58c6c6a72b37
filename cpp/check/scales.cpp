// The exhaustive argument for quantization without divisions: scales against weights, all of them.
//
// A group whose first element is m has the scale m / max_int, rounded. Every scale of a binade is
// reached by some m, and each group of the test fills its other elements with the next weights
// |w| <= m. FasterTransformer's groups are rows, and one row has them all.
#include <cstdio>
#include <cstring>

#include "context.h"

namespace mlc::check {
namespace {

struct Scheme {
  const char* name;
  DType from;  // of two bytes
  DType model;
  uint8_t bits;
  bool unrounded;
};

constexpr Scheme kF16Schemes[] = {{"q4f16", DType::kF16, DType::kF16, 4, false},
                                  {"q3f16", DType::kF16, DType::kF16, 3, false}};
constexpr Scheme kQuotientSchemes[] = {
    {"q4f32 from bf16", DType::kBf16, DType::kF32, 4, false},
    {"q4bf16 from bf16", DType::kBf16, DType::kBf16, 4, false},
    {"q4bf16 from bf16, unrounded scale", DType::kBf16, DType::kBf16, 4, true},
    {"q4f32 from f16", DType::kF16, DType::kF32, 4, false},
    {"q4bf16 from f16", DType::kF16, DType::kBf16, 4, false},
    {"q4bf16 from f16, unrounded scale", DType::kF16, DType::kBf16, 4, true},
};

// One call: the weights 0 ... `m` (bits), both signs, in groups that each begin with m.
void all_weights(Context& context, const Scheme& scheme, uint16_t m) {
  const size_t group = scheme.bits == 4 ? 32 : 40;
  const size_t others = group - 1;
  const size_t weights = 2 * (static_cast<size_t>(m) + 1);
  const size_t groups = (weights + others - 1) / others;
  Bytes source(groups * group * 2);
  for (size_t i = 0; i < groups * group; ++i) {
    const size_t weight = (i / group) * others + i % group - 1;
    uint16_t value = m;
    if (i % group != 0 && weight < weights) {
      value = static_cast<uint16_t>(weight / 2 | (weight % 2) << 15);
    }
    std::memcpy(source.data() + i * 2, &value, 2);
  }
  Bytes words[2] = {Bytes(groups * 16), Bytes(groups * 16)};
  const KernelTable* tables[2] = {&context.reference, &context.tested};
  for (size_t which = 0; which < 2; ++which) {
    GroupQuantizeArgs args = {};
    args.src = source.data();
    args.src_row_stride = source.size();
    args.rows = 1;
    args.cols = groups * group;
    args.words = words[which].data();
    args.word_row_stride = groups * 16;
    args.word_stride = 4;
    args.from = scheme.from;
    args.model = scheme.model;
    args.bits = scheme.bits;
    args.group = static_cast<uint8_t>(group);
    args.divide_by_unrounded_scale = scheme.unrounded;
    tables[which]->group.quantize(&args);
  }
  context.expect_equal({scheme.name + (": all weights at maximum " + std::to_string(m)), 4},
                       words[0], words[1]);
}

// The same as one row of FasterTransformer's.
void all_weights_in_a_row(Context& context, uint16_t m) {
  const size_t weights = 2 * (static_cast<size_t>(m) + 1);
  Bytes source(weights * 2);
  for (size_t i = 0; i < weights; ++i) {
    const uint16_t value = static_cast<uint16_t>(i / 2 | (i % 2) << 15);
    std::memcpy(source.data() + i * 2, &value, 2);
  }
  Bytes codes[2] = {Bytes(weights), Bytes(weights)};
  const KernelTable* tables[2] = {&context.reference, &context.tested};
  for (size_t which = 0; which < 2; ++which) {
    tables[which]->ft.quantize(source.data(), 1, weights, codes[which].data(), nullptr, nullptr);
  }
  context.expect_equal({"a row of all weights to " + std::to_string(m), 1}, codes[0], codes[1]);
}

// f32 and bf16 scales have exponents enough: one binade is like the others.
void quotients(Context& context, bool whole) {
  constexpr uint16_t kTwo = 0x4000;  // in either type
  for (const Scheme& scheme : kQuotientSchemes) {
    const uint16_t one = scheme.from == DType::kBf16 ? 0x3F80 : 0x3C00;
    for (uint16_t m = one; m < kTwo; m += whole ? 1 : 61) all_weights(context, scheme, m);
  }
}

}  // namespace

void check_scales(Context& context, bool whole) {
  // f16 scales and weights of one binade behave like those of any other until something is
  // subnormal: every maximum of one middle binade, and a sample of the others.
  for (uint32_t m = 0; m <= 0x7C00; ++m) {
    const bool middle = (m & 0x7C00) == 0x2C00;
    if (!whole && !(middle ? m % 8 == 0 : m % 509 == 0)) continue;
    all_weights(context, kF16Schemes[0], static_cast<uint16_t>(m));
    if (whole || m % 32 == 0) all_weights(context, kF16Schemes[1], static_cast<uint16_t>(m));
    if (whole || m % 32 == 0) all_weights_in_a_row(context, static_cast<uint16_t>(m));
    if (whole && m % 0x400 == 0) std::fprintf(stderr, "maxima to %04x done\n", m);
  }
  quotients(context, whole);
}

}  // namespace mlc::check
