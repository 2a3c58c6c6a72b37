#include "kept-scales.h"

#include <utility>

namespace mlc {

uint8_t* KeptScales::claim(uint32_t pair, uint64_t bytes) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (bytes > room_) return nullptr;
    room_ -= bytes;
  }
  std::vector<uint8_t> scales(static_cast<size_t>(bytes));
  const std::lock_guard<std::mutex> lock(mutex_);
  return (kept_[pair] = std::move(scales)).data();
}

const std::vector<uint8_t>* KeptScales::find(uint32_t pair) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = kept_.find(pair);
  return found == kept_.end() ? nullptr : &found->second;
}

void KeptScales::free(uint32_t pair) {
  std::vector<uint8_t> scales;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = kept_.find(pair);
  if (found == kept_.end()) return;
  scales.swap(found->second);
  room_ += scales.size();
  kept_.erase(found);
}

}  // namespace mlc
