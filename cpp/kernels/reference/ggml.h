// The reference's parts, one function a block and type; `x` and `dst` hold one block's float32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../ggml-tables.h"

namespace mlc {

struct GgmlLayout {
  int block_elements;
  int block_bytes;
};

static constexpr GgmlLayout ggml_layout(GgmlType type) {
  switch (type) {
    case GgmlType::kQ8_0:
      return {32, 34};
    case GgmlType::kQ4_0:
      return {32, 18};
    case GgmlType::kQ4_1:
      return {32, 20};
    case GgmlType::kQ5_0:
      return {32, 22};
    case GgmlType::kQ5_1:
      return {32, 24};
    case GgmlType::kQ2K:
      return {256, 84};
    case GgmlType::kQ3K:
      return {256, 110};
    case GgmlType::kQ4K:
      return {256, 144};
    case GgmlType::kQ5K:
      return {256, 176};
    case GgmlType::kQ6K:
      return {256, 210};
    case GgmlType::kIq4Nl:
      return {32, 18};
    case GgmlType::kIq4Xs:
      return {256, 136};
    case GgmlType::kMxfp4:
      return {32, 17};
  }
  return {0, 0};
}

namespace ggml {

using QuantizeBlock = void (*)(const float* x, uint8_t* dst);
using DequantizeBlock = void (*)(const uint8_t* src, float* dst);

// One table a file: a block of any type that the file knows, null for the others.
using FindQuantizer = QuantizeBlock (*)(GgmlType type);
using FindDequantizer = DequantizeBlock (*)(GgmlType type);

}  // namespace ggml

extern const ggml::FindQuantizer kGgmlQuantize32;
extern const ggml::FindQuantizer kGgmlQuantizeK;
extern const ggml::FindQuantizer kGgmlQuantizeIq4;
extern const ggml::FindDequantizer kGgmlDequantize;

}  // namespace mlc
