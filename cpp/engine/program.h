// What a run has to do, as plain data: shards of pieces of values. Nothing here knows a model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "element-type.h"

namespace mlc {

constexpr size_t kMaxRank = 6;

// A strided view of one source tensor. Strides count elements; 0 repeats.
struct Block {
  uint32_t source;
  ElementType type;
  uint64_t byte_offset;
  int64_t outer_stride;
  size_t rank;
  uint64_t extent[kMaxRank];
  int64_t stride[kMaxRank];
  uint64_t count;  // product of the extents
};

// A value's elements in row-major order: `outer` times, one block after the other.
struct Gather {
  uint64_t outer = 1;
  std::vector<Block> blocks;
  std::vector<uint64_t> ends;  // running sum of the blocks' counts
  uint64_t count = 0;          // outer * ends.back()
};

enum class Transform : uint8_t { kNone, kAddOneInSource, kAddOneInF32, kDividePow2, kExpNegExp };

enum class Encoding : uint8_t {
  kRaw,          // elements in `model`'s bits
  kRawBf16,      // f32 elements in the tensor cache's bf16 storage form
  kGroupWords,   // packed group-quantized words
  kGroupScales,  // their scales
  kFp8Values,
  kFp8Scale,
  kFtWords,
  kFtScales,
  kConstant,  // f32 `constant`, stored as bf16
  kGgml,
};

// One output tensor: rows x cols elements of a value, encoded.
struct Piece {
  Encoding encoding;
  Transform transform;
  int transform_argument;
  DType model;
  uint64_t rows;
  uint64_t cols;
  uint64_t nbytes;
  uint32_t pair;  // the same in words and in the scales that are made with them; 0: none
  uint8_t bits;
  uint8_t group;
  bool transposed;        // KN
  bool unrounded_scale;   // bf16 KN
  bool store_bf16_scale;  // f32 scales are stored as bf16; of words: so are those that are kept
  Fp8 fp8;
  bool fp8_scaled;
  int ft_arch;
  float constant;
  GgmlType ggml;
  Gather gather;
  // kFp8Values, kFp8Scale: the whole value whose maximum sets the scale, where `gather` is only a
  // worker's part of it. Empty: `gather` itself.
  Gather scale_gather;
};

// A run of output bytes that is made, hashed and written in order.
struct Shard {
  uint32_t id;
  std::string path;
  uint64_t file_offset;
  bool truncate;
  uint64_t nbytes;
  bool measured = false;  // keep statistics of the pieces
  std::vector<Piece> pieces;
  std::vector<uint32_t> waits_for;  // shards that make scales which this one stores
  uint64_t nbytes_behind = 0;       // of the shards that wait for this one

  uint64_t nbytes_in_all() const { return nbytes + nbytes_behind; }
};

// Whether a piece is what the makers of piece-stream.cpp rely on.
bool is_sound(const Piece& piece);
// What the encoding makes of rows x cols elements; must equal the planned size.
uint64_t encoded_bytes(const Piece& piece);

bool makes_scales(Encoding encoding);
// Whether `scales` are those that making `words` makes.
bool are_scales_of(const Piece& scales, const Piece& words);

}  // namespace mlc
