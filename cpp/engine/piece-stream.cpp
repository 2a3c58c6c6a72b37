#include "piece-stream.h"

#include <algorithm>

namespace mlc {

namespace {

// Scales larger than this are made by a second look at the source instead of being kept.
constexpr uint64_t kMaxKeptScales = 4u << 20;

uint8_t* grow(std::vector<uint8_t>* buffer, size_t bytes) {
  if (buffer->size() < bytes) buffer->resize(bytes);
  return buffer->data();
}

uint64_t groups_per_row(const Piece& piece) { return (piece.cols + piece.group - 1) / piece.group; }

uint64_t scale_bytes(const Piece& words) {
  return words.rows * groups_per_row(words) * dtype_bytes(words.model);
}

}  // namespace

uint8_t* PieceStream::output(size_t bytes) { return grow(&output_, bytes); }

void PieceStream::emit(size_t bytes, Chunk* chunk) { *chunk = {output_.data(), bytes, false}; }

PieceStream::Maker PieceStream::maker_of(const Piece& piece) {
  switch (piece.encoding) {
    case Encoding::kRaw: return &PieceStream::make_raw;
    case Encoding::kRawBf16: return &PieceStream::make_raw_bf16;
    case Encoding::kGroupWords:
      return piece.transposed ? &PieceStream::make_group_words_transposed : &PieceStream::make_group_words;
    case Encoding::kGroupScales: return &PieceStream::make_group_scales;
    case Encoding::kFp8Values: return &PieceStream::make_fp8_values;
    case Encoding::kFp8Scale: return &PieceStream::make_fp8_scale;
    case Encoding::kFtWords:
      return piece.ft_arch < 75 ? &PieceStream::make_ft_words_row_major : &PieceStream::make_ft_words;
    case Encoding::kFtScales: return &PieceStream::make_ft_scales;
    case Encoding::kConstant: return &PieceStream::make_constant;
    case Encoding::kGgml: return &PieceStream::make_ggml;
  }
  return nullptr;
}

Status PieceStream::next(Chunk* chunk) {
  const Piece& piece = pieces_[index_];
  const Status status = (this->*maker_of(piece))(piece, chunk);
  if (!status.is_ok()) return status;
  position_ += chunk->size;
  if (position_ == piece.nbytes) {
    ++index_;
    position_ = 0;
  }
  return Status::ok();
}

// ---- plain values ----------------------------------------------------------------------------

Status PieceStream::make_raw(const Piece& piece, Chunk* chunk) {
  const size_t unit = dtype_bytes(piece.model);
  const uint64_t first = position_ / unit;
  uint64_t count = piece.gather.count - first;
  if (const uint8_t* data = values_.lend(piece, first, &count)) {
    *chunk = {data, std::min(static_cast<size_t>(count) * unit, 4 * tile_bytes_), true};
    return Status::ok();
  }
  // Whole blocks of 256 elements, which every source type can be cut into.
  count = std::min<uint64_t>(piece.gather.count - first, std::max<size_t>(256, tile_bytes_ / unit / 256 * 256));
  const Status status = values_.load(piece, first, count, output(static_cast<size_t>(count) * unit));
  emit(static_cast<size_t>(count) * unit, chunk);
  return status;
}

Status PieceStream::make_raw_bf16(const Piece& piece, Chunk* chunk) {
  const uint64_t first = position_ / 2;
  uint64_t count =
      std::min<uint64_t>(piece.gather.count - first, std::max<size_t>(256, tile_bytes_ / 4 / 256 * 256));
  const uint8_t* values = values_.lend(piece, first, &count);
  if (values == nullptr) {
    uint8_t* staged = grow(&staged_, static_cast<size_t>(count) * 4);
    const Status status = values_.load(piece, first, count, staged);
    if (!status.is_ok()) return status;
    values = staged;
  }
  kernels_.element.encode_bf16(values, output(static_cast<size_t>(count) * 2), static_cast<size_t>(count));
  emit(static_cast<size_t>(count) * 2, chunk);
  return Status::ok();
}

Status PieceStream::make_constant(const Piece& piece, Chunk* chunk) {
  kernels_.element.encode_bf16(reinterpret_cast<const uint8_t*>(&piece.constant), output(2), 1);
  emit(2, chunk);
  return Status::ok();
}

Status PieceStream::make_ggml(const Piece& piece, Chunk* chunk) {
  ElementType type;
  type.is_block = true;
  type.block = piece.ggml;
  const uint64_t unit = type.block_elements();
  const uint64_t first = position_ / type.block_bytes() * unit;
  // Multiples of 256 elements: a source may be in other blocks than the result.
  const uint64_t wanted = std::max<uint64_t>(256, tile_bytes_ / type.block_bytes() * unit / 256 * 256);
  uint64_t count = std::min<uint64_t>(piece.gather.count - first, wanted);
  const uint8_t* values = values_.lend(piece, first, &count);
  if (values == nullptr || count % unit != 0) {
    count = std::min<uint64_t>(piece.gather.count - first, wanted);
    uint8_t* staged = grow(&staged_, static_cast<size_t>(count) * 4);
    const Status status = values_.load(piece, first, count, staged);
    if (!status.is_ok()) return status;
    values = staged;
  }
  const size_t bytes = type.bytes(static_cast<size_t>(count));
  kernels_.ggml.quantize(piece.ggml, values, output(bytes), static_cast<size_t>(count));
  emit(bytes, chunk);
  return Status::ok();
}

// ---- group quantization ------------------------------------------------------------------------

void PieceStream::begin_kept_scales(const Piece& piece) {
  const bool wanted = index_ + 1 < pieces_.size() && pieces_[index_ + 1].scales_of_previous &&
                      scale_bytes(piece) <= kMaxKeptScales;
  kept_scales_.resize(wanted ? static_cast<size_t>(scale_bytes(piece)) : 0);
}

// Quantizes rows [row, row + rows); `words` and `scales` (either may be null) lie row by row.
static GroupQuantizeArgs group_args(const Piece& piece, const RowView& view, size_t cols) {
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

Status PieceStream::make_group_words(const Piece& piece, Chunk* chunk) {
  if (position_ == 0) begin_kept_scales(piece);
  const size_t groups = static_cast<size_t>(groups_per_row(piece));
  const size_t row_bytes = groups * 16;
  const size_t scale_row = groups * dtype_bytes(piece.model);
  const uint64_t first = position_ / row_bytes;
  const uint64_t rows = std::min<uint64_t>(piece.rows - first, std::max<size_t>(1, tile_bytes_ / row_bytes));
  uint8_t* words = output(static_cast<size_t>(rows) * row_bytes);
  for (uint64_t done = 0; done < rows;) {
    RowView view;
    const Status status = values_.rows(piece, first + done, rows - done, 0, piece.cols, &view);
    if (!status.is_ok()) return status;
    GroupQuantizeArgs args = group_args(piece, view, static_cast<size_t>(piece.cols));
    args.words = words + done * row_bytes;
    args.word_row_stride = row_bytes;
    if (!kept_scales_.empty()) args.scales = kept_scales_.data() + (first + done) * scale_row;
    args.scale_row_stride = scale_row;
    kernels_.group.quantize(&args);
    done += view.rows;
  }
  emit(static_cast<size_t>(rows) * row_bytes, chunk);
  return Status::ok();
}

// Groups [first_group, first_group + groups) of every row, transposed: `words` [4 * groups, rows],
// `scales` [groups, rows].
Status PieceStream::quantize_strip(const Piece& piece, uint64_t first_group, uint64_t groups, uint8_t* words,
                                   uint8_t* scales) {
  const uint64_t col = first_group * piece.group;
  const uint64_t cols = std::min<uint64_t>(piece.cols - col, groups * piece.group);
  const size_t unit = dtype_bytes(piece.model);
  for (uint64_t row = 0; row < piece.rows;) {
    RowView view;
    const Status status = values_.rows(piece, row, piece.rows - row, col, cols, &view);
    if (!status.is_ok()) return status;
    GroupQuantizeArgs args = group_args(piece, view, static_cast<size_t>(cols));
    if (words != nullptr) args.words = words + row * 4;
    args.word_row_stride = 4;
    args.word_stride = static_cast<size_t>(piece.rows) * 4;
    if (scales != nullptr) args.scales = scales + row * unit;
    args.scale_row_stride = unit;
    args.scale_stride = static_cast<size_t>(piece.rows) * unit;
    kernels_.group.quantize(&args);
    row += view.rows;
  }
  return Status::ok();
}

Status PieceStream::make_group_words_transposed(const Piece& piece, Chunk* chunk) {
  if (position_ == 0) begin_kept_scales(piece);
  const size_t strip_bytes = static_cast<size_t>(piece.rows) * 16;
  const uint64_t first = position_ / strip_bytes;
  const uint64_t groups =
      std::min<uint64_t>(groups_per_row(piece) - first, std::max<size_t>(1, 4 * tile_bytes_ / strip_bytes));
  uint8_t* words = output(static_cast<size_t>(groups) * strip_bytes);
  uint8_t* scales = kept_scales_.empty()
                        ? nullptr
                        : kept_scales_.data() + first * piece.rows * dtype_bytes(piece.model);
  const Status status = quantize_strip(piece, first, groups, words, scales);
  emit(static_cast<size_t>(groups) * strip_bytes, chunk);
  return status;
}

Status PieceStream::make_kept_scales(const Piece& piece, Chunk* chunk) {
  const size_t bytes = kept_scales_.size();
  if (piece.store_bf16_scale) {
    kernels_.element.encode_bf16(kept_scales_.data(), output(bytes / 2), bytes / 4);
    emit(bytes / 2, chunk);
  } else {
    *chunk = {kept_scales_.data(), bytes, false};
  }
  return Status::ok();
}

Status PieceStream::make_group_scales(const Piece& piece, Chunk* chunk) {
  if (piece.scales_of_previous && !kept_scales_.empty()) return make_kept_scales(piece, chunk);
  const size_t unit = dtype_bytes(piece.model);
  const size_t stored = piece.store_bf16_scale ? 2 : unit;
  const uint64_t lines = piece.transposed ? groups_per_row(piece) : piece.rows;
  const uint64_t line = piece.transposed ? piece.rows : groups_per_row(piece);
  const uint64_t first = position_ / (line * stored);
  const uint64_t count =
      std::min<uint64_t>(lines - first, std::max<uint64_t>(1, tile_bytes_ / 8 / (line * unit)));
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

size_t PieceStream::scratch_bytes() const {
  return output_.capacity() + staged_.capacity() + kept_scales_.capacity() + values_.scratch_bytes();
}

}  // namespace mlc
