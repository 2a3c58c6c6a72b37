#include "decode-program.h"

#include <string>
#include <utility>

namespace mlc {

namespace {

constexpr double kMaxExact = 9007199254740991.0;  // 2^53 - 1
constexpr uint32_t kFirstBlockType = 32;

// Takes numbers off the front and remembers whether all of them were what was asked for.
class Cursor {
 public:
  Cursor(const double* words, size_t count) : words_(words), left_(count) {}

  uint64_t integer(uint64_t max) {
    const double value = real();
    if (!(value >= 0 && value <= kMaxExact) ||
        value != static_cast<double>(static_cast<uint64_t>(value)) ||
        static_cast<uint64_t>(value) > max) {
      sound_ = false;
      return 0;
    }
    return static_cast<uint64_t>(value);
  }
  uint64_t integer() { return integer(static_cast<uint64_t>(kMaxExact)); }
  double real() {
    if (left_ == 0) {
      sound_ = false;
      return 0;
    }
    --left_;
    return *words_++;
  }
  bool sound() const { return sound_; }
  size_t left() const { return left_; }

 private:
  const double* words_;
  size_t left_;
  bool sound_ = true;
};

bool read_type(Cursor* in, ElementType* type) {
  const uint64_t number = in->integer(255);
  type->is_block = number >= kFirstBlockType;
  if (type->is_block) {
    type->block = static_cast<GgmlType>(number - kFirstBlockType);
    return number - kFirstBlockType < kBlockTypes;
  }
  type->dtype = static_cast<DType>(number);
  return number < kDTypes;
}

// a * b + c, or false where that leaves the exact range.
bool multiply_add(uint64_t a, uint64_t b, uint64_t* c) {
  const double value = static_cast<double>(a) * static_cast<double>(b) + static_cast<double>(*c);
  if (value > kMaxExact) return false;
  *c += a * b;
  return true;
}

bool fits_source(const Block& block, uint64_t outer, uint64_t source_size) {
  uint64_t last = 0;
  if (block.count == 0 || outer == 0) return true;
  if (!multiply_add(outer - 1, static_cast<uint64_t>(block.outer_stride), &last)) return false;
  for (size_t axis = 0; axis < block.rank; ++axis) {
    if (!multiply_add(block.extent[axis] - 1, static_cast<uint64_t>(block.stride[axis]), &last))
      return false;
  }
  const uint64_t unit = block.type.block_elements();
  uint64_t end = block.byte_offset;
  if (!multiply_add(last / unit + 1, block.type.block_bytes(), &end)) return false;
  return end <= source_size;
}

// Block types can only be cut between blocks.
bool respects_blocks(const Block& block) {
  if (!block.type.is_block) return true;
  const uint64_t unit = block.type.block_elements();
  if (block.rank == 0 || block.stride[block.rank - 1] != 1) return false;
  if (block.extent[block.rank - 1] % unit != 0 ||
      static_cast<uint64_t>(block.outer_stride) % unit != 0) {
    return false;
  }
  for (size_t axis = 0; axis + 1 < block.rank; ++axis) {
    if (static_cast<uint64_t>(block.stride[axis]) % unit != 0) return false;
  }
  return true;
}

// Merges neighbouring axes that lie one behind the other, so that a plain tensor has rank 1.
void coalesce(Block* block) {
  size_t rank = 0;
  for (size_t axis = 0; axis < block->rank; ++axis) {
    if (block->extent[axis] == 1) continue;
    const uint64_t extent = block->extent[axis];
    const int64_t stride = block->stride[axis];
    if (rank > 0 && block->stride[rank - 1] == static_cast<int64_t>(extent) * stride) {
      block->extent[rank - 1] *= extent;
      block->stride[rank - 1] = stride;
    } else {
      block->extent[rank] = extent;
      block->stride[rank] = stride;
      ++rank;
    }
  }
  if (rank == 0) {
    block->extent[0] = block->count;
    block->stride[0] = 1;
    rank = 1;
  }
  block->rank = rank;
}

bool read_block(Cursor* in, uint64_t outer, const std::vector<uint64_t>& sizes, Block* block) {
  block->source = static_cast<uint32_t>(in->integer(UINT32_MAX));
  if (!read_type(in, &block->type)) return false;
  block->byte_offset = in->integer();
  block->outer_stride = static_cast<int64_t>(in->integer());
  block->rank = static_cast<size_t>(in->integer(kMaxRank));
  block->count = 1;
  for (size_t axis = 0; axis < block->rank; ++axis) {
    block->extent[axis] = in->integer();
    block->stride[axis] = static_cast<int64_t>(in->integer());
    uint64_t product = 0;
    if (!multiply_add(block->count, block->extent[axis], &product)) return false;
    block->count = product;
  }
  if (!in->sound() || block->source >= sizes.size()) return false;
  if (!respects_blocks(*block) || !fits_source(*block, outer, sizes[block->source])) return false;
  coalesce(block);
  return true;
}

bool read_gather(Cursor* in, const std::vector<uint64_t>& sizes, Gather* gather) {
  gather->outer = in->integer();
  const uint64_t blocks = in->integer(in->left());
  if (!in->sound()) return false;
  uint64_t end = 0;
  for (uint64_t index = 0; index < blocks; ++index) {
    Block block;
    if (!read_block(in, gather->outer, sizes, &block)) return false;
    if (block.count == 0) continue;
    if (!multiply_add(block.count, 1, &end)) return false;
    gather->blocks.push_back(block);
    gather->ends.push_back(end);
  }
  return multiply_add(gather->outer, end, &gather->count);
}

bool read_piece(Cursor* in, const std::vector<uint64_t>& sizes, Piece* piece) {
  piece->encoding = static_cast<Encoding>(in->integer(static_cast<uint64_t>(Encoding::kGgml)));
  piece->transform =
      static_cast<Transform>(in->integer(static_cast<uint64_t>(Transform::kExpNegExp)));
  piece->transform_argument = static_cast<int>(in->integer(1024));
  piece->model = static_cast<DType>(in->integer(kDTypes - 1));
  piece->rows = in->integer();
  piece->cols = in->integer();
  piece->nbytes = in->integer();
  piece->pair = static_cast<uint32_t>(in->integer(UINT32_MAX));
  piece->bits = static_cast<uint8_t>(in->integer(8));
  piece->group = static_cast<uint8_t>(in->integer(255));
  const uint64_t flags = in->integer(15);
  piece->transposed = flags & 1;
  piece->unrounded_scale = flags & 2;
  piece->store_bf16_scale = flags & 4;
  piece->fp8_scaled = flags & 8;
  piece->fp8 = static_cast<Fp8>(in->integer(1));
  piece->ft_arch = static_cast<int>(in->integer(1000));
  piece->constant = static_cast<float>(in->real());
  piece->ggml = static_cast<GgmlType>(in->integer(kBlockTypes - 1));
  if (!in->sound() || !read_gather(in, sizes, &piece->gather)) return false;
  if (!read_gather(in, sizes, &piece->scale_gather)) return false;
  uint64_t elements = 0;
  return multiply_add(piece->rows, piece->cols, &elements) && elements == piece->gather.count;
}

}  // namespace

Status decode_shard(const double* words, size_t count, const std::vector<uint64_t>& source_sizes,
                    Shard* shard) {
  Cursor in(words, count);
  const uint64_t pieces = in.integer(count);
  uint64_t total = 0;
  for (uint64_t index = 0; index < pieces; ++index) {
    Piece piece;
    if (!read_piece(&in, source_sizes, &piece) || !is_sound(piece) ||
        encoded_bytes(piece) != piece.nbytes) {
      return Status::error("E_PROGRAM", "shard " + std::to_string(shard->id) + ": piece " +
                                            std::to_string(index) + " is malformed");
    }
    total += piece.nbytes;
    shard->pieces.push_back(std::move(piece));
  }
  if (!in.sound() || in.left() != 0 || total != shard->nbytes) {
    return Status::error("E_PROGRAM", "shard " + std::to_string(shard->id) + " is malformed");
  }
  return Status::ok();
}

}  // namespace mlc
