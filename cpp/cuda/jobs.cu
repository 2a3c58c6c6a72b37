#include <cstring>

#include "jobs.h"

namespace mlc {
namespace gpu {
namespace {

constexpr size_t kWordBytes = 4;

size_t at_least_one(size_t count) { return count == 0 ? 1 : count; }

size_t part(size_t all, size_t first, size_t most) {
  return all - first < most ? all - first : most;
}

// A matrix in the caller's memory: where element [outer, inner] lies, in bytes.
struct Strided {
  uint8_t* base;
  size_t outer_stride;
  size_t inner_stride;
};

struct Extent {
  size_t outer;
  size_t inner;
  size_t width;  // bytes of an element
};

// From `src`, which has no gaps.
void scatter(const uint8_t* src, const Extent& extent, const Strided& to) {
  const size_t run_bytes = extent.inner * extent.width;
  if (to.inner_stride == extent.width && to.outer_stride == run_bytes) {
    std::memcpy(to.base, src, extent.outer * run_bytes);
    return;
  }
  for (size_t o = 0; o < extent.outer; ++o) {
    uint8_t* const row = to.base + o * to.outer_stride;
    const uint8_t* const from = src + o * run_bytes;
    if (to.inner_stride == extent.width) {
      std::memcpy(row, from, run_bytes);
      continue;
    }
    for (size_t i = 0; i < extent.inner; ++i) {
      std::memcpy(row + i * to.inner_stride, from + i * extent.width, extent.width);
    }
  }
}

}  // namespace

// ---- elements ----

ElementsJob::ElementsJob(const uint8_t* src, uint8_t* dst, size_t count, TileBytes width)
    : src_(src), dst_(dst), count_(count), width_(width), per_tile_(kTileBytes / width.in) {}

size_t ElementsJob::tiles() const { return (count_ + per_tile_ - 1) / per_tile_; }

size_t ElementsJob::count(size_t tile) const { return part(count_, first(tile), per_tile_); }

TileBytes ElementsJob::bytes(size_t tile) const {
  return {count(tile) * width_.in, count(tile) * width_.out};
}

void ElementsJob::stage(size_t tile, uint8_t* in) const {
  std::memcpy(in, src_ + first(tile) * width_.in, bytes(tile).in);
}

void ElementsJob::collect(size_t tile, const uint8_t* out) const {
  std::memcpy(dst_ + first(tile) * width_.out, out, bytes(tile).out);
}

VerbJob::VerbJob(const uint8_t* src, uint8_t* dst, size_t count, const ElementTile& tile)
    : ElementsJob(src, dst, count, {size_of(tile.from), size_of(tile.to)}), tile_(tile) {}

cudaError_t VerbJob::launch(size_t tile, const uint8_t* in, uint8_t* out,
                            cudaStream_t stream) const {
  ElementTile work = tile_;
  work.src = in;
  work.dst = out;
  work.count = count(tile);
  return gpu::launch(work, stream);
}

Fp8Job::Fp8Job(const uint8_t* src, uint8_t* dst, size_t count, const Fp8Tile& tile)
    : ElementsJob(src, dst, count, {2, 1}), tile_(tile) {}

cudaError_t Fp8Job::launch(size_t tile, const uint8_t* in, uint8_t* out,
                           cudaStream_t stream) const {
  Fp8Tile work = tile_;
  work.src_f16 = in;
  work.dst = out;
  work.count = count(tile);
  return gpu::launch(work, stream);
}

// ---- groups ----

GroupJob::GroupJob(const GroupQuantizeArgs& args)
    : args_(args),
      groups_((args.cols + args.group - 1) / args.group),
      row_bytes_(args.cols * size_of(args.from)),
      rows_per_tile_(at_least_one(kTileBytes / at_least_one(row_bytes_))),
      transposed_(args.words != nullptr ? args.word_stride != kWordBytes
                                        : args.scale_stride != size_of(args.model)) {}

size_t GroupJob::tiles() const {
  return groups_ == 0 ? 0 : (args_.rows + rows_per_tile_ - 1) / rows_per_tile_;
}

size_t GroupJob::rows(size_t tile) const {
  return part(args_.rows, tile * rows_per_tile_, rows_per_tile_);
}

size_t GroupJob::words_bytes(size_t tile) const { return rows(tile) * groups_ * 4 * kWordBytes; }

TileBytes GroupJob::bytes(size_t tile) const {
  return {rows(tile) * row_bytes_, words_bytes(tile) + rows(tile) * groups_ * size_of(args_.model)};
}

void GroupJob::stage(size_t tile, uint8_t* in) const {
  const uint8_t* src = args_.src + tile * rows_per_tile_ * args_.src_row_stride;
  if (args_.src_row_stride == row_bytes_) {
    std::memcpy(in, src, rows(tile) * row_bytes_);
    return;
  }
  for (size_t row = 0; row < rows(tile); ++row) {
    std::memcpy(in + row * row_bytes_, src + row * args_.src_row_stride, row_bytes_);
  }
}

cudaError_t GroupJob::launch(size_t tile, const uint8_t* in, uint8_t* out,
                             cudaStream_t stream) const {
  GroupTile work;
  work.src = in;
  work.words = out;
  work.scales = out + words_bytes(tile);
  work.rows = rows(tile);
  work.cols = args_.cols;
  work.groups = groups_;
  work.from = args_.from;
  work.model = args_.model;
  work.bits = args_.bits;
  work.group = args_.group;
  work.divide_by_unrounded_scale = args_.divide_by_unrounded_scale;
  work.transposed = transposed_;
  return gpu::launch(work, stream);
}

void GroupJob::collect(size_t tile, const uint8_t* out) const {
  const size_t first_row = tile * rows_per_tile_;
  const size_t count = rows(tile);
  if (args_.words != nullptr) {
    uint8_t* const base = args_.words + first_row * args_.word_row_stride;
    if (transposed_) {
      scatter(out, {groups_ * 4, count, kWordBytes},
              {base, args_.word_stride, args_.word_row_stride});
    } else {
      scatter(out, {count, groups_ * 4, kWordBytes},
              {base, args_.word_row_stride, args_.word_stride});
    }
  }
  if (args_.scales != nullptr) {
    uint8_t* const base = args_.scales + first_row * args_.scale_row_stride;
    const size_t width = size_of(args_.model);
    const uint8_t* const scales = out + words_bytes(tile);
    if (transposed_) {
      scatter(scales, {groups_, count, width}, {base, args_.scale_stride, args_.scale_row_stride});
    } else {
      scatter(scales, {count, groups_, width}, {base, args_.scale_row_stride, args_.scale_stride});
    }
  }
}

}  // namespace gpu
}  // namespace mlc
