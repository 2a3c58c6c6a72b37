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

  // `position` bytes of piece `index` are made: what the next ones are made from is asked for.
  void follow(size_t index, uint64_t position);
  // Lets go of everything that the shard was made from.
  void release() const;

 private:
  void ask(const Piece& piece, uint64_t from, uint64_t to) const;

  const std::vector<Piece>& pieces_;
  const Sources& sources_;
  size_t index_ = SIZE_MAX;
  uint64_t total_ = 0;  // source bytes of the piece, counted over its blocks
  uint64_t asked_ = 0;  // as many of them
};

}  // namespace mlc
