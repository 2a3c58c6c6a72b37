// The reference table of the GGUF block types: blocks one after the other, each through its
// function.
#include "ggml.h"

#include <cstring>

namespace mlc {
namespace {

ggml::QuantizeBlock quantize_block(GgmlType type) {
  const ggml::FindQuantizer finders[] = {kGgmlQuantize32, kGgmlQuantizeK, kGgmlQuantizeIq4};
  for (const ggml::FindQuantizer find : finders) {
    const ggml::QuantizeBlock block = find(type);
    if (block != nullptr) return block;
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
  const ggml::DequantizeBlock block = kGgmlDequantize(type);
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
