#include "kept-scales.h"

#include <utility>

namespace mlc {

namespace {

// Much larger memory is left to those who need it. A layer's tensors differ by less.
constexpr size_t kMostTooLarge = 8;

}  // namespace

// With the lock held.
KeptScales::Spare::node_type KeptScales::take_spare(uint64_t bytes) {
  const auto fitting = spare_.lower_bound(static_cast<size_t>(bytes));
  if (fitting == spare_.end() || fitting->first / kMostTooLarge > bytes) return {};
  return spare_.extract(fitting);
}

// With the lock held.
bool KeptScales::take_room(uint64_t bytes) {
  while (bytes > room_ && !spare_.empty()) {
    room_ += spare_.begin()->first;
    spare_.erase(spare_.begin());
  }
  if (bytes > room_) return false;
  room_ -= bytes;
  return true;
}

uint8_t* KeptScales::claim(uint32_t pair, uint64_t bytes) {
  Spare::node_type spare;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    spare = take_spare(bytes);
    if (spare.empty() && !take_room(bytes)) return nullptr;
  }
  const size_t size = static_cast<size_t>(bytes);
  LargeMemory scales = spare.empty() ? LargeMemory(size) : std::move(spare.mapped());
  scales.use(size);
  const std::lock_guard<std::mutex> lock(mutex_);
  return kept_.insert_or_assign(pair, std::move(scales)).first->second.data();
}

const LargeMemory* KeptScales::find(uint32_t pair) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = kept_.find(pair);
  return found == kept_.end() ? nullptr : &found->second;
}

void KeptScales::free(uint32_t pair) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto freed = kept_.extract(pair);
  if (freed.empty()) return;
  const size_t capacity = freed.mapped().capacity();
  spare_.emplace(capacity, std::move(freed.mapped()));
}

}  // namespace mlc
