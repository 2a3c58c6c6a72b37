// The elements of a value: found in the sources, transformed, rounded once to the model dtype.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "meter.h"
#include "program.h"
#include "sources.h"

namespace mlc {

// Elements that lie one behind the other (or a fixed stride apart) in one source.
struct Span {
  const Block* block;
  uint64_t byte_offset;
  uint64_t count;
  int64_t stride;  // elements from one to the next
  // For a span along an inner axis with gaps: how many such spans start at the elements right
  // behind.
  uint64_t neighbours;
};

// The longest span of `gather` that starts at flat element `first`.
Span span_at(const Gather& gather, uint64_t first);

// A block of rows in memory, all of one element type.
struct RowView {
  const uint8_t* data;
  DType dtype;
  size_t row_stride;  // bytes
  uint64_t rows;
  bool lent;  // the source's own elements, not yet rounded to the model dtype
};

// Loads values for one lane: owns the scratch memory that this takes.
class ValueLoader {
 public:
  // `staged_bytes`: about as much of rows that cannot be read where they lie is loaded at once.
  ValueLoader(const Sources& sources, const KernelTable& kernels, size_t staged_bytes)
      : sources_(sources), kernels_(kernels), staged_bytes_(staged_bytes) {}

  // Elements [first, first + count) of `gather` as the piece wants them: transformed and in its
  // model dtype. Written to `dst`.
  Status load(const Piece& piece, const Gather& gather, uint64_t first, uint64_t count,
              uint8_t* dst);
  Status load(const Piece& piece, uint64_t first, uint64_t count, uint8_t* dst) {
    return load(piece, piece.gather, first, count, dst);
  }

  // Up to `count` of them where they lie, if they need neither transform nor cast; else null.
  const uint8_t* lend(const Piece& piece, const Gather& gather, uint64_t first,
                      uint64_t* count) const;
  const uint8_t* lend(const Piece& piece, uint64_t first, uint64_t* count) const {
    return lend(piece, piece.gather, first, count);
  }

  // Rows from `row` on, columns [col, col + cols): as many of `rows` as can be had at once, where
  // they lie if a kernel can read them there, else loaded in the model dtype.
  Status rows(const Piece& piece, uint64_t row, uint64_t rows, uint64_t col, uint64_t cols,
              RowView* view);

  // Tells `meter` (null: none) of every element that is rounded to the model dtype from now on.
  void measure(Meter* meter) { meter_ = meter; }

 private:
  void note_cast(const Piece& piece, DType from, const uint8_t* src, const uint8_t* made,
                 size_t count);
  Status load_span(const Piece& piece, const Span& span, uint64_t count, uint8_t* dst);
  Status load_strided(const Piece& piece, const Span& span, uint64_t count, uint8_t* dst);
  void convert(const Piece& piece, const ElementType& from, const uint8_t* src, size_t count,
               uint8_t* dst);
  void convert_floats(const Piece& piece, DType from, const uint8_t* src, size_t count,
                      uint8_t* dst);
  const uint8_t* fetch(const Span& span, uint64_t skip, size_t count);
  Status read_error(const Span& span) const;

  const Sources& sources_;
  const KernelTable& kernels_;
  size_t staged_bytes_;
  Meter* meter_ = nullptr;
  std::vector<uint8_t> fetched_;
  std::vector<uint8_t> packed_;
  std::vector<uint8_t> first_step_;
  std::vector<uint8_t> second_step_;
  std::vector<uint8_t> decoded_;
  std::vector<uint8_t> staged_rows_;
};

}  // namespace mlc
