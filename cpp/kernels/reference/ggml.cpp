// The reference table of the GGUF block types: blocks one after the other, each through its
// function.
#include "ggml.h"

#include <cstring>

namespace mlc {
namespace {

ggml::QuantizeBlock quantize_block(GgmlType type) {
  switch (type) {
    case GgmlType::kQ8_0:
      return ggml::quantize_q8_0;
    case GgmlType::kQ4_0:
      return ggml::quantize_q4_0;
    case GgmlType::kQ4_1:
      return ggml::quantize_q4_1;
    case GgmlType::kQ5_0:
      return ggml::quantize_q5_0;
    case GgmlType::kQ5_1:
      return ggml::quantize_q5_1;
    case GgmlType::kQ2K:
      return ggml::quantize_q2_k;
    case GgmlType::kQ3K:
      return ggml::quantize_q3_k;
    case GgmlType::kQ4K:
      return ggml::quantize_q4_k;
    case GgmlType::kQ5K:
      return ggml::quantize_q5_k;
    case GgmlType::kQ6K:
      return ggml::quantize_q6_k;
    case GgmlType::kIq4Nl:
      return ggml::quantize_iq4_nl;
    case GgmlType::kIq4Xs:
      return ggml::quantize_iq4_xs;
    case GgmlType::kMxfp4:
      return ggml::quantize_mxfp4;
  }
  return nullptr;
}

void quantize(GgmlType type, const uint8_t* src_f32, uint8_t* dst, size_t count) {
  const GgmlLayout layout = ggml_layout(type);
  const ggml::QuantizeBlock block = quantize_block(type);
  float x[256];
  const size_t bytes = static_cast<size_t>(layout.block_elements) * 4;
  for (size_t i = 0; i < count; i += static_cast<size_t>(layout.block_elements)) {
    std::memcpy(x, src_f32, bytes);
    block(x, dst);
    src_f32 += bytes;
    dst += layout.block_bytes;
  }
}

void dequantize(GgmlType type, const uint8_t* src, uint8_t* dst_f32, size_t count) {
  const GgmlLayout layout = ggml_layout(type);
  const ggml::DequantizeBlock block = ggml::dequantize_block(type);
  float x[256];
  const size_t bytes = static_cast<size_t>(layout.block_elements) * 4;
  for (size_t i = 0; i < count; i += static_cast<size_t>(layout.block_elements)) {
    block(src, x);
    std::memcpy(dst_f32, x, bytes);
    src += layout.block_bytes;
    dst_f32 += bytes;
  }
}

}  // namespace

const GgmlKernels kGgmlReference = {dequantize, quantize};

}  // namespace mlc
