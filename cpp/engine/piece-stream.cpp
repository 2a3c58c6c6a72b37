#include "piece-stream.h"

#include <algorithm>

#include "scratch.h"

namespace mlc {

PieceStream::~PieceStream() {
  for (const Buffer& buffer : buffers_) kept_->free(buffer.stored_pair);
}

// The chunk that lay in the buffer whose turn it is, is done with.
void PieceStream::begin_chunk() {
  turn_ = (turn_ + 1) % chunks_;
  Buffer& buffer = buffers_[turn_];
  if (buffer.stored_pair != 0) kept_->free(buffer.stored_pair);
  buffer.stored_pair = 0;
}

uint8_t* PieceStream::output(size_t bytes) { return grow(&buffers_[turn_].bytes, bytes); }

void PieceStream::emit(size_t bytes, Chunk* chunk) {
  *chunk = {buffers_[turn_].bytes.data(), bytes};
}

PieceStream::Maker PieceStream::maker_of(const Piece& piece) {
  switch (piece.encoding) {
    case Encoding::kRaw:
      return &PieceStream::make_raw;
    case Encoding::kRawBf16:
      return &PieceStream::make_raw_bf16;
    case Encoding::kGroupWords:
      return piece.transposed ? &PieceStream::make_group_words_transposed
                              : &PieceStream::make_group_words;
    case Encoding::kGroupScales:
      return &PieceStream::make_group_scales;
    case Encoding::kFp8Values:
      return &PieceStream::make_fp8_values;
    case Encoding::kFp8Scale:
      return &PieceStream::make_fp8_scale;
    case Encoding::kFtWords:
      return piece.ft_arch < 75 ? &PieceStream::make_ft_words_row_major
                                : &PieceStream::make_ft_words;
    case Encoding::kFtScales:
      return &PieceStream::make_ft_scales;
    case Encoding::kConstant:
      return &PieceStream::make_constant;
    case Encoding::kGgml:
      return &PieceStream::make_ggml;
  }
  return nullptr;
}

// Which of the elements that pass are noted: all that are stored as they are rounded, and of what
// is quantized those that the quantizer gets, once.
void PieceStream::measure_piece(const Piece& piece) {
  bool wanted = meter_.is_open();
  Meter::Wanted what = Meter::Wanted::kCounts;
  switch (piece.encoding) {
    case Encoding::kRaw:
      what = Meter::Wanted::kAll;
      break;
    case Encoding::kRawBf16:
    case Encoding::kGroupWords:
    case Encoding::kFp8Values:
    case Encoding::kGgml:
      break;
    // Volta's order looks at every row once a strip; the first strip is counted.
    case Encoding::kFtWords:
      wanted = wanted && (piece.ft_arch >= 75 || position_ == 0);
      break;
    default:
      wanted = false;
  }
  meter_.begin(index_, wanted ? what : Meter::Wanted::kNothing);
  values_.measure(meter_.wants() ? &meter_ : nullptr);
}

Status PieceStream::next(Chunk* chunk) {
  const Piece& piece = pieces_[index_];
  begin_chunk();
  if (meter_.is_open()) measure_piece(piece);
  const Status status = (this->*maker_of(piece))(piece, chunk);
  if (!status.is_ok()) return status;
  position_ += chunk->size;
  if (position_ == piece.nbytes) {
    ++index_;
    position_ = 0;
  }
  return Status::ok();
}

// ---- plain values ----

Status PieceStream::make_raw(const Piece& piece, Chunk* chunk) {
  const size_t unit = dtype_bytes(piece.model);
  const uint64_t first = position_ / unit;
  uint64_t count = piece.gather.count - first;
  if (const uint8_t* data = values_.lend(piece, first, &count)) {
    *chunk = {data, std::min(static_cast<size_t>(count) * unit, 4 * tile_bytes_)};
    meter_.cast(piece.model, piece.model, data, data, chunk->size / unit);
    return Status::ok();
  }
  // Whole blocks of 256 elements, which every source type can be cut into.
  count = std::min<uint64_t>(piece.gather.count - first,
                             std::max<size_t>(256, tile_bytes_ / unit / 256 * 256));
  const Status status =
      values_.load(piece, first, count, output(static_cast<size_t>(count) * unit));
  emit(static_cast<size_t>(count) * unit, chunk);
  return status;
}

Status PieceStream::make_raw_bf16(const Piece& piece, Chunk* chunk) {
  const uint64_t first = position_ / 2;
  uint64_t count = std::min<uint64_t>(piece.gather.count - first,
                                      std::max<size_t>(256, tile_bytes_ / 4 / 256 * 256));
  const uint8_t* values = values_.lend(piece, first, &count);
  const bool lent = values != nullptr;
  if (!lent) {
    uint8_t* staged = grow(&staged_, static_cast<size_t>(count) * 4);
    const Status status = values_.load(piece, first, count, staged);
    if (!status.is_ok()) return status;
    values = staged;
  }
  uint8_t* made = output(static_cast<size_t>(count) * 2);
  kernels_.element.encode_bf16(values, made, static_cast<size_t>(count));
  meter_.stored_bf16({values, made, static_cast<size_t>(count), lent});
  emit(static_cast<size_t>(count) * 2, chunk);
  return Status::ok();
}

Status PieceStream::make_constant(const Piece& piece, Chunk* chunk) {
  kernels_.element.encode_bf16(reinterpret_cast<const uint8_t*>(&piece.constant), output(2), 1);
  emit(2, chunk);
  return Status::ok();
}

Status PieceStream::make_ggml(const Piece& piece, Chunk* chunk) {
  const ElementType type = block_type(piece.ggml);
  const uint64_t unit = type.block_elements();
  const uint64_t first = position_ / type.block_bytes() * unit;
  // Multiples of 256 elements: a source may be in other blocks than the result.
  const uint64_t wanted =
      std::max<uint64_t>(256, tile_bytes_ / type.block_bytes() * unit / 256 * 256);
  uint64_t count = std::min<uint64_t>(piece.gather.count - first, wanted);
  const uint8_t* values = values_.lend(piece, first, &count);
  const bool lent = values != nullptr && count % unit == 0;
  if (!lent) {
    count = std::min<uint64_t>(piece.gather.count - first, wanted);
    uint8_t* staged = grow(&staged_, static_cast<size_t>(count) * 4);
    const Status status = values_.load(piece, first, count, staged);
    if (!status.is_ok()) return status;
    values = staged;
  }
  const size_t bytes = type.bytes(static_cast<size_t>(count));
  uint8_t* made = output(bytes);
  kernels_.ggml.quantize(piece.ggml, values, made, static_cast<size_t>(count));
  meter_.ggml(piece.ggml, {values, made, static_cast<size_t>(count), lent});
  emit(bytes, chunk);
  return Status::ok();
}

}  // namespace mlc
