// Element types of tensors, and their sizes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../kernels/kernels.h"

namespace mlc {

// How many there are of each.
constexpr size_t kDTypes = 14;
constexpr size_t kBlockTypes = 13;

// An element type of a source: a DType, or a GGUF block type.
struct ElementType {
  bool is_block = false;
  DType dtype = DType::kF32;
  GgmlType block = GgmlType::kQ8_0;

  size_t block_elements() const;
  size_t block_bytes() const;
  // Bytes of `count` elements, a whole number of blocks.
  size_t bytes(size_t count) const { return count / block_elements() * block_bytes(); }
};

size_t dtype_bytes(DType dtype);
ElementType block_type(GgmlType block);

}  // namespace mlc
