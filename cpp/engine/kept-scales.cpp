#include "kept-scales.h"

#include <utility>

namespace mlc {

uint8_t* KeptScales::claim(uint32_t pair, uint64_t bytes) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (bytes > room_) return nullptr;
    room_ -= bytes;
  }
  LargeMemory scales(static_cast<size_t>(bytes));
  const std::lock_guard<std::mutex> lock(mutex_);
  return kept_.insert_or_assign(pair, std::move(scales)).first->second.data();
}

const LargeMemory* KeptScales::find(uint32_t pair) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = kept_.find(pair);
  return found == kept_.end() ? nullptr : &found->second;
}

void KeptScales::free(uint32_t pair) {
  decltype(kept_)::node_type freed;  // outlives the lock
  const std::lock_guard<std::mutex> lock(mutex_);
  freed = kept_.extract(pair);
  if (!freed.empty()) room_ += freed.mapped().size();
}

}  // namespace mlc
