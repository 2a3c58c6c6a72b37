// Makes the stored bytes of a shard's pieces, in order, tile by tile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kept-scales.h"
#include "program.h"
#include "values.h"

namespace mlc {

// Bytes that are valid until the next call, or the one after that.
struct Chunk {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

class PieceStream {
 public:
  PieceStream(const std::vector<Piece>& pieces, const Sources& sources, const KernelTable& kernels,
              KeptScales* kept, size_t tile_bytes)
      : pieces_(pieces),
        kernels_(kernels),
        kept_(kept),
        values_(sources, kernels, 2 * tile_bytes),
        meter_(kernels),
        tile_bytes_(tile_bytes) {}
  ~PieceStream();
  PieceStream(const PieceStream&) = delete;
  PieceStream& operator=(const PieceStream&) = delete;

  // Before the first bytes: keeps statistics of every piece from now on.
  void measure() { meter_.open(pieces_.size()); }
  // One a piece; empty when nothing is measured.
  const std::vector<Statistics>& statistics() const { return meter_.statistics(); }

  // Before the first bytes: a chunk stays valid while the next one is made.
  void keep_two_chunks() { chunks_ = 2; }

  // The piece that is being made, and how many of its bytes are.
  size_t index() const { return index_; }
  uint64_t position() const { return position_; }
  bool finished() const { return index_ == pieces_.size(); }
  // The next bytes; about `tile_bytes` of them, at least one unit of the encoding.
  Status next(Chunk* chunk);

 private:
  using Maker = Status (PieceStream::*)(const Piece&, Chunk*);

  static Maker maker_of(const Piece& piece);
  void measure_piece(const Piece& piece);
  void emit(size_t bytes, Chunk* chunk);
  uint8_t* output(size_t bytes);
  void begin_chunk();

  Status make_raw(const Piece& piece, Chunk* chunk);
  Status make_raw_bf16(const Piece& piece, Chunk* chunk);
  Status make_group_words(const Piece& piece, Chunk* chunk);
  Status make_group_words_transposed(const Piece& piece, Chunk* chunk);
  Status make_group_scales(const Piece& piece, Chunk* chunk);
  Status store_kept_scales(const Piece& piece, const LargeMemory& scales, Chunk* chunk);
  Status make_fp8_values(const Piece& piece, Chunk* chunk);
  Status make_fp8_scale(const Piece& piece, Chunk* chunk);
  Status make_ft_words(const Piece& piece, Chunk* chunk);
  Status make_ft_words_row_major(const Piece& piece, Chunk* chunk);
  Status make_ft_scales(const Piece& piece, Chunk* chunk);
  Status make_constant(const Piece& piece, Chunk* chunk);
  Status make_ggml(const Piece& piece, Chunk* chunk);

  Status quantize_strip(const Piece& piece, uint64_t first_group, uint64_t groups, uint8_t* words,
                        uint8_t* scales);
  void claim_scales(const Piece& words);
  Status find_fp8_scale(const Piece& piece, float* scale);

  const std::vector<Piece>& pieces_;
  const KernelTable& kernels_;
  KeptScales* kept_;
  ValueLoader values_;
  Meter meter_;
  size_t tile_bytes_;
  size_t index_ = 0;
  uint64_t position_ = 0;  // bytes of the current piece made so far
  // What chunks lie in, by turns.
  struct Buffer {
    std::vector<uint8_t> bytes;
    uint32_t stored_pair = 0;  // whose kept scales are stored once the chunk is done with
  };
  Buffer buffers_[2];
  size_t chunks_ = 1;  // buffers in use
  size_t turn_ = 0;
  std::vector<uint8_t> staged_;
  uint8_t* scales_ = nullptr;  // where the scales of the words that are made are kept, if they are
  float fp8_scale_ = 0;
};

}  // namespace mlc
