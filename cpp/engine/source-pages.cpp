#include "source-pages.h"

#include <algorithm>

namespace mlc {

namespace {

// Source bytes that are asked for at once, and at least as many are under way while a lane works:
// enough for a disk to be busy with few lanes, little enough not to displace what others need.
constexpr uint64_t kWindow = 4u << 20;
// Source bytes that are let go at once: every time, all processors forget what they know of them.
constexpr uint64_t kReleased = 16u << 20;

// Bytes from the first to the last element of a block in all its repetitions.
uint64_t span_bytes(const Piece& piece, const Block& block) {
  if (block.count == 0) return 0;
  uint64_t span = 1;
  for (size_t axis = 0; axis < block.rank; ++axis) {
    span += (block.extent[axis] - 1) * static_cast<uint64_t>(block.stride[axis]);
  }
  span += (piece.gather.outer - 1) * static_cast<uint64_t>(block.outer_stride);
  return block.type.bytes(static_cast<size_t>(span));
}

uint64_t span_bytes(const Piece& piece) {
  uint64_t total = 0;
  for (const Block& block : piece.gather.blocks) total += span_bytes(piece, block);
  return total;
}

}  // namespace

// Gives the hint for bytes [from, to) of the blocks laid one behind the other.
void SourcePages::tell(const Piece& piece, uint64_t from, uint64_t to, Hint hint) const {
  uint64_t start = 0;
  for (const Block& block : piece.gather.blocks) {
    const uint64_t span = span_bytes(piece, block);
    const uint64_t first = std::max(from, start) - start;
    const uint64_t last = std::min(to, start + span) - std::min(to, start);
    if (first < last) (*sources_[block.source].*hint)(block.byte_offset + first, last - first);
    start += span;
  }
}

void SourcePages::release_to(uint64_t end) {
  if (released_ < end) tell(pieces_[index_], released_, end, &SourceFile::release);
  released_ = end;
}

void SourcePages::begin(size_t index) {
  release();
  index_ = index;
  const Piece& piece = pieces_[index];
  total_ = piece.nbytes == 0 ? 0 : span_bytes(piece);
  // Scales with a pair are kept, or made from what was read for their words not long ago.
  asked_ = piece.pair != 0 && !makes_scales(piece.encoding) ? total_ : 0;
  released_ = 0;
}

void SourcePages::follow(size_t index, uint64_t position) {
  if (index == pieces_.size()) return;
  if (index != index_) begin(index);
  const Piece& piece = pieces_[index];
  // Transposed values and interleaved blocks are read all over from the beginning.
  const bool scattered = piece.transposed || piece.gather.outer > 1;
  const double share = static_cast<double>(position) / static_cast<double>(piece.nbytes);
  const uint64_t at = scattered ? 0 : static_cast<uint64_t>(share * static_cast<double>(total_));
  if (at >= released_ + kReleased) release_to(at);
  const uint64_t wanted = scattered ? total_ : std::min(total_, at + 2 * kWindow);
  if (asked_ == total_ || (wanted < total_ && wanted < asked_ + kWindow)) return;
  tell(piece, asked_, wanted, &SourceFile::ask);
  asked_ = wanted;
}

void SourcePages::release() {
  if (index_ != SIZE_MAX) release_to(total_);
}

}  // namespace mlc
