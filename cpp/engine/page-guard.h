// Pages of a mapped file that can no longer be read: somebody shortened the file, or its disk
// failed. Systems with signals end a process that touches one (SIGBUS). A guarded page becomes one
// of zeros instead, and the guard says so. Windows lets nobody shorten a mapped file; there, guards
// do nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlc {

struct GuardedRange;

class PageGuard {
 public:
  PageGuard() = default;
  ~PageGuard();
  PageGuard(const PageGuard&) = delete;
  PageGuard& operator=(const PageGuard&) = delete;

  // From now on; must end before the mapping does. At most 4096 ranges of the process are guarded.
  void begin(const void* data, size_t size);
  void end();
  // Whether a page was lost. Whoever read zeros in its place sees true.
  bool has_lost_pages() const;

 private:
  GuardedRange* range_ = nullptr;
};

}  // namespace mlc
