// Starts the GPU's kernels: one thread an element or a group.
#pragma once

#include <cuda_runtime.h>

#include "arithmetic.h"

namespace mlc {
namespace gpu {

enum class Verb : uint8_t { kCast, kAddOne, kEncodeBf16 };

// `count` elements at `src` to as many at `dst`, both on the device.
struct ElementTile {
  Verb verb;
  DType from;
  DType to;
  const uint8_t* src;
  uint8_t* dst;
  size_t count;
};

struct Fp8Tile {
  Fp8 format;
  float scale;
  const uint8_t* src_f16;
  uint8_t* dst;
  size_t count;
};

cudaError_t launch(const ElementTile& tile, cudaStream_t stream);
cudaError_t launch(const Fp8Tile& tile, cudaStream_t stream);
cudaError_t launch(const GroupTile& tile, cudaStream_t stream);

}  // namespace gpu
}  // namespace mlc
