// The source pages of one shard: the disk is asked for them before they are read, and the system is
// told when they are done with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "program.h"
#include "values.h"

namespace mlc {

class SourcePages {
 public:
  SourcePages(const std::vector<Piece>& pieces, const Sources& sources)
      : pieces_(pieces), sources_(sources) {}

  // `position` bytes of piece `index` are made: what the next ones are made from is asked for, and
  // what lies behind is let go.
  void follow(size_t index, uint64_t position);
  // Lets go of what is left of the last piece.
  void release();

 private:
  using Hint = void (SourceFile::*)(uint64_t offset, uint64_t count) const;

  void begin(size_t index);
  void release_to(uint64_t end);
  void tell(const Piece& piece, uint64_t from, uint64_t to, Hint hint) const;

  const std::vector<Piece>& pieces_;
  const Sources& sources_;
  size_t index_ = SIZE_MAX;
  uint64_t total_ = 0;  // source bytes of the piece, counted over its blocks
  uint64_t asked_ = 0;  // as many of them
  uint64_t released_ = 0;
};

}  // namespace mlc
