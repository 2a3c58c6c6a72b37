// Scales that are made together with their words but stored behind them, often in another shard.
// What all shards of a run keep shares one amount of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <unordered_map>

#include "large-memory.h"

namespace mlc {

class KeptScales {
 public:
  explicit KeptScales(uint64_t max_bytes) : room_(max_bytes) {}

  // Where the scales of `pair` go, `bytes` of them; null where there is no room: they are then made
  // by a second look at the source.
  uint8_t* claim(uint32_t pair, uint64_t bytes);
  // What was claimed for `pair`; null where nothing was. Whoever asks knows that it is complete.
  const LargeMemory* find(uint32_t pair);
  void free(uint32_t pair);

 private:
  using Spare = std::multimap<size_t, LargeMemory>;

  Spare::node_type take_spare(uint64_t bytes);
  bool take_room(uint64_t bytes);

  std::mutex mutex_;
  uint64_t room_;  // that neither kept nor spare memory takes
  std::unordered_map<uint32_t, LargeMemory> kept_;
  Spare spare_;  // by capacity: fresh memory costs a fault a page, and clearing
};

}  // namespace mlc
