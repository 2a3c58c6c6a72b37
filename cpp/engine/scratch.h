// Scratch memory that only grows, so that a lane allocates once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mlc {

// Room for `bytes` in `buffer`; what it held may move.
inline uint8_t* grow(std::vector<uint8_t>* buffer, size_t bytes) {
  if (buffer->size() < bytes) buffer->resize(bytes);
  return buffer->data();
}

}  // namespace mlc
