// What conversion lost.

#include "../backends.h"
#include "float-bits.h"

namespace mlc {
namespace {

size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

constexpr size_t kLanes = 16;
constexpr size_t kBlock = 4096;
constexpr size_t kBlock3 = 4000;
constexpr float kMaxFinite = 3.4028234663852886e38f;

float load_as_f32(DType dtype, const uint8_t* src, size_t index) {
  if (dtype == DType::kF32) return load<float>(src + index * 4);
  const uint16_t bits = load<uint16_t>(src + index * 2);
  return dtype == DType::kF16 ? f32_from_f16(bits) : f32_from_bf16(bits);
}

// The smallest magnitude that becomes infinite in `model`.
float overflow_limit(DType model) {
  if (model == DType::kF16) return 65520.0f;
  return f32_from_bits(model == DType::kBf16 ? 0x7F7F8000 : 0x7F800000);
}

struct Sums {
  float squared_error[kLanes] = {};
  float squared_value[kLanes] = {};
  float max_error = 0;
};

void add_element(float value, float made, size_t lane, float limit, Sums* sums, Statistics* out) {
  const float magnitude = f32_from_bits(bits_of(value) & 0x7FFFFFFF);
  if (!(magnitude < limit)) {
    ++(magnitude <= kMaxFinite ? out->overflowed : out->non_finite);
    return;
  }
  sums->squared_value[lane] += value * value;
  const float error = f32_from_bits(bits_of(made - value) & 0x7FFFFFFF);
  if (!(error <= kMaxFinite)) return;
  sums->squared_error[lane] += error * error;
  if (sums->max_error < error) sums->max_error = error;
}

void add_lanes(const Sums& sums, Statistics* out) {
  for (size_t lane = 0; lane < kLanes; ++lane) {
    out->squared_error += static_cast<double>(sums.squared_error[lane]);
    out->squared_value += static_cast<double>(sums.squared_value[lane]);
  }
  if (out->max_error < sums.max_error) out->max_error = sums.max_error;
}

void compare(DType from, DType model, const uint8_t* src, const uint8_t* made_f32, size_t count,
             Statistics* out) {
  const float limit = overflow_limit(model);
  out->elements += count;
  for (size_t first = 0; first < count; first += kBlock) {
    const size_t end = smaller(count, first + kBlock);
    Sums sums;
    for (size_t i = first; i < end; ++i) {
      const float value = load_as_f32(from, src, i);
      const float made = made_f32 == nullptr ? value : load<float>(made_f32 + i * 4);
      add_element(value, made, i % kLanes, limit, &sums, out);
    }
    add_lanes(sums, out);
  }
}

float decode(const GroupQuantizeArgs& args, size_t row, size_t col) {
  const size_t per_word = args.bits == 4 ? 8 : 10;
  const uint32_t mask = (1u << args.bits) - 1;
  const int max_int = args.bits == 4 ? 7 : 3;
  const uint8_t* words = args.words + row * args.word_row_stride;
  const uint8_t* scales = args.scales + row * args.scale_row_stride;
  const uint32_t word = load<uint32_t>(words + col / per_word * args.word_stride);
  const int code = static_cast<int>(word >> (col % per_word * args.bits) & mask);
  const float scale = load_as_f32(args.model, scales + col / args.group * args.scale_stride, 0);
  return static_cast<float>(code - max_int) * scale;
}

void compare_groups(const GroupQuantizeArgs* args, Statistics* out) {
  const float limit = overflow_limit(args->model);
  const size_t block = args->bits == 4 ? kBlock : kBlock3;
  for (size_t row = 0; row < args->rows; ++row) {
    const uint8_t* src = args->src + row * args->src_row_stride;
    out->elements += args->cols;
    for (size_t first = 0; first < args->cols; first += block) {
      Sums sums;
      for (size_t i = first; i < smaller(args->cols, first + block); ++i) {
        const float value = load_as_f32(args->from, src, i);
        add_element(value, decode(*args, row, i), (i - first) % kLanes, limit, &sums, out);
      }
      add_lanes(sums, out);
    }
    for (size_t col = 0; col < args->cols; col += args->group) {
      const uint8_t* scales = args->scales + row * args->scale_row_stride;
      const float scale =
          load_as_f32(args->model, scales + col / args->group * args->scale_stride, 0);
      out->zero_groups += scale == 0;
      out->infinite_scales += !(f32_from_bits(bits_of(scale) & 0x7FFFFFFF) <= kMaxFinite);
    }
  }
}

}  // namespace

const StatisticsKernels kReferenceStatistics = {compare, compare_groups};

}  // namespace mlc
