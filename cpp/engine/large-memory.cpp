#include "large-memory.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace mlc {

namespace {

// Of a large page, on x64 and arm64 alike.
constexpr size_t kLargePage = 2u << 20;
constexpr size_t kCacheLine = 64;

std::align_val_t alignment_of(size_t size) {
  return std::align_val_t{size < kLargePage ? kCacheLine : kLargePage};
}

// Only for whole large pages: one that is used in part would take memory that nobody counted.
void ask_for_large_pages(uint8_t* bytes, size_t size) {
#if defined(MADV_HUGEPAGE)
  const size_t whole = size / kLargePage * kLargePage;
  if (whole > 0) madvise(bytes, whole, MADV_HUGEPAGE);
#else
  (void)bytes;
  (void)size;
#endif
}

}  // namespace

LargeMemory::LargeMemory(size_t bytes)
    : bytes_(static_cast<uint8_t*>(::operator new(bytes, alignment_of(bytes))),
             Free{alignment_of(bytes)}),
      capacity_(bytes),
      size_(bytes) {
  ask_for_large_pages(bytes_.get(), bytes);
}

void LargeMemory::Free::operator()(uint8_t* bytes) const { ::operator delete(bytes, alignment); }

}  // namespace mlc
