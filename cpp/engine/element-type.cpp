#include "element-type.h"

namespace mlc {

namespace {

struct BlockShape {
  uint16_t elements;
  uint16_t bytes;
};

// Indexed by GgmlType.
constexpr BlockShape kBlockShapes[] = {
    {32, 34},   {32, 18},   {32, 20},   {32, 22}, {32, 24},   {256, 84}, {256, 110},
    {256, 144}, {256, 176}, {256, 210}, {32, 18}, {256, 136}, {32, 17},
};
static_assert(sizeof(kBlockShapes) / sizeof(kBlockShapes[0]) == kBlockTypes, "one a type");

// Indexed by DType.
constexpr uint8_t kDTypeBytes[] = {8, 4, 2, 2, 1, 1, 1, 2, 2, 4, 4, 8, 8, 1};
static_assert(sizeof(kDTypeBytes) == kDTypes, "one a type");

}  // namespace

size_t dtype_bytes(DType dtype) { return kDTypeBytes[static_cast<size_t>(dtype)]; }

ElementType block_type(GgmlType block) {
  ElementType type;
  type.is_block = true;
  type.block = block;
  return type;
}

size_t ElementType::block_elements() const {
  return is_block ? kBlockShapes[static_cast<size_t>(block)].elements : 1;
}

size_t ElementType::block_bytes() const {
  return is_block ? kBlockShapes[static_cast<size_t>(block)].bytes : dtype_bytes(dtype);
}

}  // namespace mlc
