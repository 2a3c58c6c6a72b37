// Makers of group-quantized words and scales.
#include <algorithm>

#include "piece-stream.h"
#include "scratch.h"

namespace mlc {

namespace {

// Transposed words that are made at once: the wider their strip of every row, the fewer pages are
// gone through again and again.
constexpr size_t kStripBytes = 2u << 20;

uint64_t groups_per_row(const Piece& piece) { return (piece.cols + piece.group - 1) / piece.group; }

// Whether scales are kept as they are stored, in half the room of f32. Lines of transposed ones are
// made in strips, which are kept as they are made.
bool keeps_bf16(const Piece& words) { return words.store_bf16_scale && !words.transposed; }

// What is kept of words: an f32 where there is one scale, else a scale a group.
uint64_t scale_bytes(const Piece& words) {
  if (words.encoding == Encoding::kFp8Values) return sizeof(float);
  const size_t unit = keeps_bf16(words) ? 2 : dtype_bytes(words.model);
  return words.rows * groups_per_row(words) * unit;
}

// Groups that a transposed strip must be a multiple of: a source in blocks can only be cut between
// its blocks, the longest of which have 256 elements (256 = 8 * 32, 1280 = 5 * 256 = 32 * 40).
uint64_t strip_unit(const Piece& piece) {
  for (const Block& block : piece.gather.blocks) {
    if (block.type.is_block) return piece.group == 32 ? 8 : 32;
  }
  return 1;
}

// At most `wanted` groups in whole units; at least one unit.
uint64_t strip_groups(const Piece& piece, uint64_t wanted, uint64_t left) {
  const uint64_t unit = strip_unit(piece);
  return std::min(left, std::max<uint64_t>(1, wanted / unit) * unit);
}

// The rows of a view, to be quantized; the caller says where words and scales go.
GroupQuantizeArgs group_args(const Piece& piece, const RowView& view, size_t cols) {
  GroupQuantizeArgs args = {};
  args.src = view.data;
  args.src_row_stride = view.row_stride;
  args.rows = static_cast<size_t>(view.rows);
  args.cols = cols;
  args.from = view.dtype;
  args.model = piece.model;
  args.bits = piece.bits;
  args.group = piece.group;
  args.divide_by_unrounded_scale = piece.unrounded_scale;
  args.word_stride = 4;
  args.scale_stride = dtype_bytes(piece.model);
  return args;
}

}  // namespace

// Before the words are made: room for their scales, if somebody stores them and there is room.
void PieceStream::claim_scales(const Piece& words) {
  scales_ = words.pair == 0 ? nullptr : kept_->claim(words.pair, scale_bytes(words));
}

Status PieceStream::make_group_words(const Piece& piece, Chunk* chunk) {
  if (position_ == 0) claim_scales(piece);
  const size_t groups = static_cast<size_t>(groups_per_row(piece));
  const size_t row_bytes = groups * 16;
  const size_t scale_row = groups * dtype_bytes(piece.model);
  const size_t kept_unit = keeps_bf16(piece) ? 2 : dtype_bytes(piece.model);
  const uint64_t first = position_ / row_bytes;
  const uint64_t rows =
      std::min<uint64_t>(piece.rows - first, std::max<size_t>(1, tile_bytes_ / row_bytes));
  uint8_t* words = output(static_cast<size_t>(rows) * row_bytes);
  for (uint64_t done = 0; done < rows;) {
    RowView view;
    const Status status = values_.rows(piece, first + done, rows - done, 0, piece.cols, &view);
    if (!status.is_ok()) return status;
    GroupQuantizeArgs args = group_args(piece, view, static_cast<size_t>(piece.cols));
    args.words = words + done * row_bytes;
    args.word_row_stride = row_bytes;
    args.scale_row_stride = scale_row;
    uint8_t* kept = scales_ == nullptr ? nullptr : scales_ + (first + done) * groups * kept_unit;
    const bool encoded = kept != nullptr && keeps_bf16(piece);
    args.scales = encoded ? grow(&staged_, args.rows * scale_row) : kept;
    meter_.quantize(args, view.lent);
    if (encoded) kernels_.element.encode_bf16(args.scales, kept, args.rows * groups);
    done += view.rows;
  }
  emit(static_cast<size_t>(rows) * row_bytes, chunk);
  return Status::ok();
}

// Groups [first_group, first_group + groups) of every row, transposed: `words` [4 * groups, rows],
// `scales` [groups, rows].
Status PieceStream::quantize_strip(const Piece& piece, uint64_t first_group, uint64_t groups,
                                   uint8_t* words, uint8_t* scales) {
  const uint64_t col = first_group * piece.group;
  const uint64_t cols = std::min<uint64_t>(piece.cols - col, groups * piece.group);
  const size_t unit = dtype_bytes(piece.model);
  for (uint64_t row = 0; row < piece.rows;) {
    RowView view;
    const Status status = values_.rows(piece, row, piece.rows - row, col, cols, &view);
    if (!status.is_ok()) return status;
    GroupQuantizeArgs args = group_args(piece, view, static_cast<size_t>(cols));
    args.word_row_stride = 4;
    args.word_stride = static_cast<size_t>(piece.rows) * 4;
    args.scale_row_stride = unit;
    args.scale_stride = static_cast<size_t>(piece.rows) * unit;
    if (words != nullptr) args.words = words + row * 4;
    if (scales != nullptr) args.scales = scales + row * unit;
    meter_.quantize(args, view.lent);
    row += view.rows;
  }
  return Status::ok();
}

Status PieceStream::make_group_words_transposed(const Piece& piece, Chunk* chunk) {
  if (position_ == 0) claim_scales(piece);
  const size_t strip_bytes = static_cast<size_t>(piece.rows) * 16;
  const uint64_t first = position_ / strip_bytes;
  const uint64_t groups = strip_groups(piece, std::max(4 * tile_bytes_, kStripBytes) / strip_bytes,
                                       groups_per_row(piece) - first);
  uint8_t* words = output(static_cast<size_t>(groups) * strip_bytes);
  const size_t scale_line = static_cast<size_t>(piece.rows) * dtype_bytes(piece.model);
  uint8_t* scales = scales_ == nullptr ? nullptr : scales_ + first * scale_line;
  const Status status = quantize_strip(piece, first, groups, words, scales);
  emit(static_cast<size_t>(groups) * strip_bytes, chunk);
  return status;
}

Status PieceStream::store_kept_scales(const Piece& piece, const LargeMemory& scales, Chunk* chunk) {
  const size_t first = static_cast<size_t>(position_);
  if (scales.size() > piece.nbytes) {
    const size_t count = std::min(scales.size() / 4 - first / 2, tile_bytes_);
    kernels_.element.encode_bf16(scales.data() + 2 * first, output(count * 2), count);
    emit(count * 2, chunk);
  } else {
    *chunk = {scales.data() + first, std::min(scales.size() - first, 4 * tile_bytes_)};
  }
  if (first + chunk->size == piece.nbytes) buffers_[turn_].stored_pair = piece.pair;
  return Status::ok();
}

Status PieceStream::make_group_scales(const Piece& piece, Chunk* chunk) {
  if (const LargeMemory* scales = kept_->find(piece.pair)) {
    return store_kept_scales(piece, *scales, chunk);
  }
  const size_t unit = dtype_bytes(piece.model);
  const size_t stored = piece.store_bf16_scale ? 2 : unit;
  const uint64_t lines = piece.transposed ? groups_per_row(piece) : piece.rows;
  const uint64_t line = piece.transposed ? piece.rows : groups_per_row(piece);
  const uint64_t first = position_ / (line * stored);
  const uint64_t wanted = (piece.transposed ? 4 * tile_bytes_ : tile_bytes_ / 8) / (line * unit);
  const uint64_t count = piece.transposed ? strip_groups(piece, wanted, lines - first)
                                          : std::min(lines - first, std::max<uint64_t>(1, wanted));
  const size_t scales = static_cast<size_t>(count * line);
  uint8_t* made = piece.store_bf16_scale ? grow(&staged_, scales * unit) : output(scales * unit);
  Status status = Status::ok();
  if (piece.transposed) {
    status = quantize_strip(piece, first, count, nullptr, made);
  } else {
    for (uint64_t done = 0; done < count && status.is_ok();) {
      RowView view;
      status = values_.rows(piece, first + done, count - done, 0, piece.cols, &view);
      if (!status.is_ok()) break;
      GroupQuantizeArgs args = group_args(piece, view, static_cast<size_t>(piece.cols));
      args.scales = made + done * line * unit;
      args.scale_row_stride = static_cast<size_t>(line) * unit;
      kernels_.group.quantize(&args);
      done += view.rows;
    }
  }
  if (piece.store_bf16_scale) kernels_.element.encode_bf16(made, output(scales * 2), scales);
  emit(scales * stored, chunk);
  return status;
}

}  // namespace mlc
