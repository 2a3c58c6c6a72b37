// Memory for much that is written once and read once: not cleared, and in large pages where the
// system offers them, because otherwise every page of 4 KiB costs a fault.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace mlc {

class LargeMemory {
 public:
  // What it holds is not defined.
  explicit LargeMemory(size_t bytes);

  uint8_t* data() { return bytes_.get(); }
  const uint8_t* data() const { return bytes_.get(); }
  // Bytes in use: all, unless it was told otherwise.
  size_t size() const { return size_; }
  void use(size_t bytes) { size_ = bytes; }
  size_t capacity() const { return capacity_; }

 private:
  struct Free {
    std::align_val_t alignment;
    void operator()(uint8_t* bytes) const;
  };

  std::unique_ptr<uint8_t, Free> bytes_;
  size_t capacity_;
  size_t size_;
};

}  // namespace mlc
