// The kernels' calls as jobs in tiles.
#pragma once

#include "launch.h"
#include "pipeline.h"

namespace mlc {
namespace gpu {

// About this much source a tile: long enough that starting it costs nothing, short enough that two
// of them fit any GPU. Tests make it so small that every call has many.
#if !defined(MLC_CUDA_TILE_BYTES)
#define MLC_CUDA_TILE_BYTES (size_t{8} << 20)
#endif
constexpr size_t kTileBytes = MLC_CUDA_TILE_BYTES;

// `count` elements of fixed widths, split anywhere.
class ElementsJob : public Job {
 public:
  // `in_width`, `out_width`: bytes of an element.
  ElementsJob(const uint8_t* src, uint8_t* dst, size_t count, TileBytes width);
  size_t tiles() const override;
  TileBytes bytes(size_t tile) const override;
  void stage(size_t tile, uint8_t* in) const override;
  void collect(size_t tile, const uint8_t* out) const override;

 protected:
  ~ElementsJob() = default;
  size_t first(size_t tile) const { return tile * per_tile_; }
  size_t count(size_t tile) const;

 private:
  const uint8_t* src_;
  uint8_t* dst_;
  size_t count_;
  TileBytes width_;
  size_t per_tile_;
};

class VerbJob final : public ElementsJob {
 public:
  // `tile`: verb and dtypes.
  VerbJob(const uint8_t* src, uint8_t* dst, size_t count, const ElementTile& tile);
  cudaError_t launch(size_t tile, const uint8_t* in, uint8_t* out,
                     cudaStream_t stream) const override;

 private:
  ElementTile tile_;
};

class Fp8Job final : public ElementsJob {
 public:
  // `tile`: format and scale.
  Fp8Job(const uint8_t* src, uint8_t* dst, size_t count, const Fp8Tile& tile);
  cudaError_t launch(size_t tile, const uint8_t* in, uint8_t* out,
                     cudaStream_t stream) const override;

 private:
  Fp8Tile tile_;
};

// Whole rows a tile.
class GroupJob final : public Job {
 public:
  explicit GroupJob(const GroupQuantizeArgs& args);
  size_t tiles() const override;
  TileBytes bytes(size_t tile) const override;
  void stage(size_t tile, uint8_t* in) const override;
  cudaError_t launch(size_t tile, const uint8_t* in, uint8_t* out,
                     cudaStream_t stream) const override;
  void collect(size_t tile, const uint8_t* out) const override;

 private:
  size_t rows(size_t tile) const;
  size_t words_bytes(size_t tile) const;

  GroupQuantizeArgs args_;
  size_t groups_;
  size_t row_bytes_;
  size_t rows_per_tile_;
  bool transposed_;
};

}  // namespace gpu
}  // namespace mlc
