#include "launch.h"

namespace mlc {
namespace gpu {
namespace {

constexpr size_t kThreads = 256;

__device__ size_t thread_index() {
  return static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__global__ void map_elements(ElementTile tile) {
  const size_t i = thread_index();
  if (i >= tile.count) return;
  if (tile.verb == Verb::kEncodeBf16) {
    reinterpret_cast<uint16_t*>(tile.dst)[i] =
        bf16_on_disk(reinterpret_cast<const uint32_t*>(tile.src)[i]);
    return;
  }
  const float value = load_element(tile.from, tile.src, i);
  store_element(tile.to, tile.dst, i, tile.verb == Verb::kAddOne ? add_one(value) : value);
}

__global__ void encode_fp8(Fp8Tile tile) {
  const size_t i = thread_index();
  if (i >= tile.count) return;
  tile.dst[i] = divide_to_fp8(tile.format, load_element(DType::kF16, tile.src_f16, i), tile.scale);
}

// Neighbouring threads write neighbouring words: along a row, or along a column if transposed.
__global__ void quantize_groups(GroupTile tile) {
  const size_t i = thread_index();
  if (i >= tile.rows * tile.groups) return;
  if (tile.transposed) {
    quantize_group(tile, i % tile.rows, i / tile.rows);
  } else {
    quantize_group(tile, i / tile.groups, i % tile.groups);
  }
}

template <typename Tile>
cudaError_t start(void (*kernel)(Tile), Tile tile, size_t threads, cudaStream_t stream) {
  if (threads == 0) return cudaSuccess;
  void* arguments[] = {&tile};
  const dim3 blocks(static_cast<unsigned>((threads + kThreads - 1) / kThreads));
  return cudaLaunchKernel(kernel, blocks, dim3(static_cast<unsigned>(kThreads)), arguments, 0,
                          stream);
}

}  // namespace

cudaError_t launch(const ElementTile& tile, cudaStream_t stream) {
  return start(map_elements, tile, tile.count, stream);
}

cudaError_t launch(const Fp8Tile& tile, cudaStream_t stream) {
  return start(encode_fp8, tile, tile.count, stream);
}

cudaError_t launch(const GroupTile& tile, cudaStream_t stream) {
  return start(quantize_groups, tile, tile.rows * tile.groups, stream);
}

}  // namespace gpu
}  // namespace mlc
