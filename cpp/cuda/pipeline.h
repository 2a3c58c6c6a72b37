// Carries host memory through the GPU in tiles: while one tile is computed and copied, the host
// fills or empties the other's buffers.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace mlc {
namespace gpu {

struct TileBytes {
  size_t in;
  size_t out;
};

// Work that falls into tiles. The first tile is the largest.
class Job {
 public:
  virtual size_t tiles() const = 0;
  virtual TileBytes bytes(size_t tile) const = 0;
  // Fills the tile's input from the caller's memory.
  virtual void stage(size_t tile, uint8_t* in) const = 0;
  // Enqueues the tile's kernel, from device memory to device memory.
  virtual cudaError_t launch(size_t tile, const uint8_t* in, uint8_t* out,
                             cudaStream_t stream) const = 0;
  // Takes the tile's result to the caller's memory.
  virtual void collect(size_t tile, const uint8_t* out) const = 0;

 protected:
  ~Job() = default;
};

// Runs all tiles of `job` on `device` and waits for them. After an error the caller's output may
// hold some of the result.
cudaError_t run(const Job& job, int device);

}  // namespace gpu
}  // namespace mlc
