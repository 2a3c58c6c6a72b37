// The arithmetic of one group or one element, for the GPU. The same source compiles for the
// processor, so that every rounding can be compared with the reference without a GPU.
//
// Integers and single IEEE operations only: nothing here depends on a GPU's own conversions.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../kernels/kernels.h"

#if defined(__CUDACC__)
#define MLC_BOTH __host__ __device__ static inline
#else
#define MLC_BOTH static inline
#endif

namespace mlc {
namespace gpu {

template <typename To, typename From>
MLC_BOTH To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From), "the same bits");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

MLC_BOTH uint32_t bits_of(float value) { return bit_cast<uint32_t>(value); }

MLC_BOTH bool is_nan_bits(uint32_t magnitude) { return magnitude > 0x7F800000u; }

// `magnitude` without its lowest `drop` bits, rounded half to even.
MLC_BOTH uint32_t drop_bits(uint32_t magnitude, int drop) {
  return (magnitude + ((1u << (drop - 1)) - 1) + (magnitude >> drop & 1)) >> drop;
}

// A magnitude (f32 bits) in a format of `mantissa` bits with exponents biased by `bias`, as if they
// had no upper end. Below the smallest normal the code counts smallest subnormals.
MLC_BOTH uint32_t narrow_magnitude(uint32_t magnitude, int mantissa, int bias) {
  if (magnitude < static_cast<uint32_t>(128 - bias) << 23) {
    const float unit = bit_cast<float>(static_cast<uint32_t>(127 + bias - 1 + mantissa) << 23);
    return static_cast<uint32_t>(rintf(bit_cast<float>(magnitude) * unit));
  }
  return drop_bits(magnitude, 23 - mantissa) - (static_cast<uint32_t>(127 - bias) << mantissa);
}

MLC_BOTH uint16_t f16_from_f32(float value) {
  const uint32_t bits = bits_of(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (is_nan_bits(magnitude)) {
    return static_cast<uint16_t>(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
  }
  const uint32_t code = narrow_magnitude(magnitude, 10, 15);
  return static_cast<uint16_t>(sign | (code < 0x7C00 ? code : 0x7C00));
}

MLC_BOTH float f32_from_f16(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = half >> 10 & 0x1F;
  const uint32_t mantissa = half & 0x3FF;
  if (exponent == 0x1F) {
    const uint32_t quiet = mantissa == 0 ? 0 : 0x400000;
    return bit_cast<float>(sign | 0x7F800000 | mantissa << 13 | quiet);
  }
  if (exponent == 0) {
    return bit_cast<float>(sign | bits_of(static_cast<float>(mantissa) * 0x1p-24f));
  }
  return bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

MLC_BOTH uint16_t bf16_from_f32(float value) {
  const uint32_t bits = bits_of(value);
  if (is_nan_bits(bits & 0x7FFFFFFF)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

MLC_BOTH float f32_from_bf16(uint16_t half) {
  return bit_cast<float>(static_cast<uint32_t>(half) << 16);
}

// The tensor cache's rule for f32 on disk.
MLC_BOTH uint16_t bf16_on_disk(uint32_t bits) {
  const bool rounds = (bits & 0x7FFFFFFF) < 0x7F7F0000;
  return static_cast<uint16_t>((bits + (rounds ? 0x7FFF + (bits >> 16 & 1) : 0)) >> 16);
}

// kF32, kF16 and kBf16 only, like everything below.
MLC_BOTH size_t size_of(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

// Element `index` of an array that is aligned to its elements.
MLC_BOTH float load_element(DType dtype, const uint8_t* base, size_t index) {
  if (dtype == DType::kF32) return reinterpret_cast<const float*>(base)[index];
  const uint16_t half = reinterpret_cast<const uint16_t*>(base)[index];
  return dtype == DType::kF16 ? f32_from_f16(half) : f32_from_bf16(half);
}

MLC_BOTH void store_element(DType dtype, uint8_t* base, size_t index, float value) {
  if (dtype == DType::kF32) {
    reinterpret_cast<float*>(base)[index] = value;
  } else {
    const uint16_t half = dtype == DType::kF16 ? f16_from_f32(value) : bf16_from_f32(value);
    reinterpret_cast<uint16_t*>(base)[index] = half;
  }
}

MLC_BOTH float round_to(DType model, float value) {
  if (model == DType::kF16) return f32_from_f16(f16_from_f32(value));
  if (model == DType::kBf16) return f32_from_bf16(bf16_from_f32(value));
  return value;
}

// A GPU's sum makes every NaN the same one; the reference keeps a NaN's bits and makes it quiet.
MLC_BOTH float add_one(float value) {
  const uint32_t bits = bits_of(value);
  if (is_nan_bits(bits & 0x7FFFFFFF)) return bit_cast<float>(bits | 0x400000);
  return value + 1.0f;
}

// The sign is the dividend's: processors and GPUs differ in a NaN's that a division makes or hands
// on.
MLC_BOTH uint8_t divide_to_fp8(Fp8 format, float value, float scale) {
  const uint32_t sign = bits_of(value) >> 24 & 0x80;
  const uint32_t magnitude = bits_of(value / scale) & 0x7FFFFFFF;
  const bool e4m3 = format == Fp8::kE4m3;
  if (is_nan_bits(magnitude)) return static_cast<uint8_t>(sign | (e4m3 ? 0x7F : 0x7E));
  const uint32_t largest = e4m3 ? 0x7E : 0x7B;
  const uint32_t code =
      e4m3 ? narrow_magnitude(magnitude, 3, 7) : narrow_magnitude(magnitude, 2, 15);
  return static_cast<uint8_t>(sign | (code < largest ? code : largest));
}

// ---- group quantization ----

// Rows that lie on the device without gaps. `transposed`: words [4 * groups, rows] and scales
// [groups, rows] instead of [rows, 4 * groups] and [rows, groups].
struct GroupTile {
  const uint8_t* src;
  uint8_t* words;
  uint8_t* scales;
  size_t rows;
  size_t cols;
  size_t groups;
  DType from;
  DType model;
  int bits;
  int group;
  bool divide_by_unrounded_scale;
  bool transposed;
};

// max |w| of `count` elements from `first` on, NaNs left out; NaN if there is nothing else.
MLC_BOTH float group_maximum(const GroupTile& tile, size_t first, int count) {
  uint32_t max = 0;
  bool any = false;
  for (int i = 0; i < count; ++i) {
    const float w = round_to(tile.model, load_element(tile.from, tile.src, first + i));
    const uint32_t magnitude = bits_of(w) & 0x7FFFFFFF;
    if (is_nan_bits(magnitude)) continue;
    any = true;
    if (magnitude > max) max = magnitude;
  }
  return bit_cast<float>(any ? max : 0x7FC00000u);
}

MLC_BOTH uint32_t quantize_one(const GroupTile& tile, float w, float divisor, int max_int) {
  float t = w / divisor;
  if (tile.model == DType::kF16) t = round_to(DType::kF16, t);
  t = t + static_cast<float>(max_int);
  if (tile.model == DType::kF16) t = round_to(DType::kF16, t);
  if (!(t > 0)) return 0;
  const float limit = static_cast<float>(2 * max_int);
  return static_cast<uint32_t>(rintf(t < limit ? t : limit));
}

// Does group `group` of row `row`, and nothing else.
MLC_BOTH void quantize_group(const GroupTile& tile, size_t row, size_t group) {
  const int max_int = tile.bits == 4 ? 7 : 3;
  const int per_word = 32 / tile.bits;
  const size_t start = group * static_cast<size_t>(tile.group);
  const size_t left = tile.cols - start;
  const int count = left < static_cast<size_t>(tile.group) ? static_cast<int>(left) : tile.group;
  const size_t first = row * tile.cols + start;

  const float exact = group_maximum(tile, first, count) / static_cast<float>(max_int);
  const bool no_number = is_nan_bits(bits_of(exact) & 0x7FFFFFFF);
  const float scale = no_number ? bit_cast<float>(0x7FC00000u) : round_to(tile.model, exact);
  const float divisor = tile.divide_by_unrounded_scale ? exact : scale;
  store_element(tile.model, tile.scales,
                tile.transposed ? group * tile.rows + row : row * tile.groups + group, scale);

  uint32_t* words = reinterpret_cast<uint32_t*>(tile.words);
  for (int w = 0; w < 4; ++w) {
    uint32_t word = 0;
    for (int i = 0; i < per_word && w * per_word + i < count; ++i) {
      const size_t at = first + static_cast<size_t>(w * per_word + i);
      const float value = round_to(tile.model, load_element(tile.from, tile.src, at));
      word |= quantize_one(tile, value, divisor, max_int) << (i * tile.bits);
    }
    const size_t column = group * 4 + static_cast<size_t>(w);
    words[tile.transposed ? column * tile.rows + row : row * tile.groups * 4 + column] = word;
  }
}

}  // namespace gpu
}  // namespace mlc
