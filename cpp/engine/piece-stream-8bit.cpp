// The encodings that need a whole tensor's or row's maximum first: per-tensor fp8 and
// FasterTransformer's 4-bit layout (quantization.md sections 4 and 6).
#include <algorithm>
#include <cstring>

#include "piece-stream.h"
#include "scratch.h"

namespace mlc {

namespace {

// f16 elements that are looked at in one go.
constexpr size_t kBatch = 65536;
// Output of the row-major layout that is made at once: each strip looks at every row again.
constexpr size_t kRowMajorStrip = 8u << 20;
constexpr size_t kTileRows = 64;    // rows of K in a column-interleaved tile
constexpr size_t kTileColumns = 4;  // columns that are interleaved
constexpr size_t kPermutedBlock = 32;

// Eight codes as one little-endian word: its nibbles, from the lowest, are codes 0 2 4 6 1 3 5 7.
void pack_word(const uint8_t code[8], uint8_t* dst) {
  dst[0] = static_cast<uint8_t>(code[0] | code[2] << 4);
  dst[1] = static_cast<uint8_t>(code[4] | code[6] << 4);
  dst[2] = static_cast<uint8_t>(code[1] | code[3] << 4);
  dst[3] = static_cast<uint8_t>(code[5] | code[7] << 4);
}

// 32 neighbouring codes of a row as four words. The rows of a block are permuted, 0 1 8 9 16 17 24
// 25 2 3 10 11 and so on, and the nibbles of a word again, 0 2 4 6 1 3 5 7; together that puts
// codes i and i + 8 into byte 2 i, codes i + 16 and i + 24 into byte 2 i + 1.
void pack_block(const uint8_t* codes, uint8_t* dst) {
  for (size_t i = 0; i < 8; ++i) {
    dst[2 * i] = static_cast<uint8_t>(codes[i] | codes[i + 8] << 4);
    dst[2 * i + 1] = static_cast<uint8_t>(codes[i + 16] | codes[i + 24] << 4);
  }
}

// Four neighbouring rows of codes [4, cols] in the column-interleaved order: (k div 64, n, k mod
// 64).
void interleave(const uint8_t* codes, size_t cols, uint8_t* dst) {
  for (size_t tile = 0; tile < cols; tile += kTileRows) {
    for (size_t n = 0; n < kTileColumns; ++n) {
      for (size_t k = 0; k < kTileRows; k += kPermutedBlock, dst += kPermutedBlock / 2) {
        pack_block(codes + n * cols + tile + k, dst);
      }
    }
  }
}

}  // namespace

Status PieceStream::find_fp8_scale(const Piece& piece, float* scale) {
  const Gather& whole = piece.scale_gather.count > 0 ? piece.scale_gather : piece.gather;
  uint16_t running = 0;
  values_.measure(nullptr);  // these elements pass once more
  for (uint64_t first = 0; first < whole.count;) {
    uint64_t count = std::min<uint64_t>(kBatch, whole.count - first);
    const uint8_t* values = values_.lend(piece, whole, first, &count);
    if (values == nullptr) {
      uint8_t* staged = grow(&staged_, static_cast<size_t>(count) * 2);
      const Status status = values_.load(piece, whole, first, count, staged);
      if (!status.is_ok()) return status;
      values = staged;
    }
    kernels_.fp8.absmax(values, static_cast<size_t>(count), &running);
    first += count;
  }
  const ElementKernels& element = kernels_.element;
  float quotients[2];
  element.cast(DType::kF16, DType::kF32, reinterpret_cast<const uint8_t*>(&running),
               reinterpret_cast<uint8_t*>(quotients), 1);
  quotients[0] /= 448.0f;
  quotients[1] = 1.0f / (448.0f * 512.0f);
  uint8_t rounded[4];
  element.cast(DType::kF32, DType::kF16, reinterpret_cast<const uint8_t*>(quotients), rounded, 2);
  element.cast(DType::kF16, DType::kF32, rounded, reinterpret_cast<uint8_t*>(quotients), 2);
  *scale = quotients[0] < quotients[1] ? quotients[1] : quotients[0];
  return Status::ok();
}

Status PieceStream::make_fp8_values(const Piece& piece, Chunk* chunk) {
  if (position_ == 0) {
    fp8_scale_ = 1.0f;
    if (piece.fp8_scaled) {
      const Status status = find_fp8_scale(piece, &fp8_scale_);
      if (!status.is_ok()) return status;
      values_.measure(meter_.wants() ? &meter_ : nullptr);
    }
    claim_scales(piece);
    if (scales_ != nullptr) std::memcpy(scales_, &fp8_scale_, sizeof(fp8_scale_));
  }
  uint64_t count =
      std::min<uint64_t>(piece.gather.count - position_, std::max<size_t>(256, tile_bytes_));
  const uint8_t* values = values_.lend(piece, position_, &count);
  const bool lent = values != nullptr;
  if (!lent) {
    uint8_t* staged = grow(&staged_, static_cast<size_t>(count) * 2);
    const Status status = values_.load(piece, position_, count, staged);
    if (!status.is_ok()) return status;
    values = staged;
  }
  uint8_t* made = output(static_cast<size_t>(count));
  meter_.encode_fp8(piece.fp8, fp8_scale_, {values, made, static_cast<size_t>(count), lent});
  emit(static_cast<size_t>(count), chunk);
  return Status::ok();
}

Status PieceStream::make_fp8_scale(const Piece& piece, Chunk* chunk) {
  float scale;
  if (const LargeMemory* scales = kept_->find(piece.pair)) {
    std::memcpy(&scale, scales->data(), sizeof(scale));
    buffers_[turn_].stored_pair = piece.pair;
  } else {
    const Status status = find_fp8_scale(piece, &scale);
    if (!status.is_ok()) return status;
  }
  kernels_.element.encode_bf16(reinterpret_cast<const uint8_t*>(&scale), output(2), 1);
  emit(2, chunk);
  return Status::ok();
}

Status PieceStream::make_ft_words(const Piece& piece, Chunk* chunk) {
  const size_t cols = static_cast<size_t>(piece.cols);
  const size_t band = kTileColumns * cols / 2;  // output bytes of four rows
  const uint64_t first = position_ / band * kTileColumns;
  const uint64_t bands = std::min<uint64_t>((piece.rows - first) / kTileColumns,
                                            std::max<size_t>(1, tile_bytes_ / band));
  const size_t rows = static_cast<size_t>(bands) * kTileColumns;
  uint8_t* staged = grow(&staged_, rows * cols * 3);
  uint8_t* codes = staged + rows * cols * 2;
  const Status status = values_.load(piece, first * cols, rows * cols, staged);
  if (!status.is_ok()) return status;
  meter_.quantize_ft(rows, cols, {staged, codes, rows * cols, false});
  uint8_t* made = output(static_cast<size_t>(bands) * band);
  for (size_t index = 0; index < bands; ++index) {
    interleave(codes + index * kTileColumns * cols, cols, made + index * band);
  }
  emit(static_cast<size_t>(bands) * band, chunk);
  return Status::ok();
}

// Volta's order: [cols, rows] with the row index fastest. A strip of columns takes every row's
// codes.
Status PieceStream::make_ft_words_row_major(const Piece& piece, Chunk* chunk) {
  const size_t cols = static_cast<size_t>(piece.cols);
  const size_t rows = static_cast<size_t>(piece.rows);
  const size_t line = rows / 2;
  const size_t first = static_cast<size_t>(position_) / line;
  const size_t strip = std::min(cols - first, std::max<size_t>(1, kRowMajorStrip / rows));
  uint8_t* staged = grow(&staged_, 8 * cols * 3);
  uint8_t* codes = staged + 8 * cols * 2;
  uint8_t* made = output(strip * line);
  for (size_t row = 0; row < rows; row += 8) {
    const Status status = values_.load(piece, row * cols, 8 * cols, staged);
    if (!status.is_ok()) return status;
    meter_.quantize_ft(8, cols, {staged, codes, 8 * cols, false});
    for (size_t k = 0; k < strip; ++k) {
      uint8_t word[8];
      for (size_t n = 0; n < 8; ++n) word[n] = codes[n * cols + first + k];
      pack_word(word, made + k * line + row / 2);
    }
  }
  emit(strip * line, chunk);
  return Status::ok();
}

Status PieceStream::make_ft_scales(const Piece& piece, Chunk* chunk) {
  const size_t cols = static_cast<size_t>(piece.cols);
  const uint64_t first = position_ / 2;
  const uint64_t wanted = std::max<size_t>(1, tile_bytes_ / cols);
  const size_t rows = static_cast<size_t>(std::min<uint64_t>(piece.rows - first, wanted));
  uint8_t* staged = grow(&staged_, rows * cols * 2);
  const Status status = values_.load(piece, first * cols, rows * cols, staged);
  if (!status.is_ok()) return status;
  kernels_.ft.quantize(staged, rows, cols, nullptr, output(rows * 2), nullptr);
  emit(rows * 2, chunk);
  return Status::ok();
}

}  // namespace mlc
