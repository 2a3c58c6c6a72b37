#if !defined(_WIN32)

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "page-guard.h"

namespace mlc {

// What the signal handler reads while others write: `end` is zero while nothing is guarded.
struct GuardedRange {
  std::atomic<bool> taken{false};
  std::atomic<bool> lost{false};
  std::atomic<uintptr_t> start{0};
  std::atomic<uintptr_t> end{0};

  bool contains(uintptr_t at) const { return start.load() <= at && at < end.load(); }
};

namespace {

GuardedRange ranges[4096];
uintptr_t page_size;
struct sigaction previous;

bool replace_page(uintptr_t at) {
  void* page = reinterpret_cast<void*>(at / page_size * page_size);
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  return mmap(page, page_size, PROT_READ, flags, -1, 0) == page;
}

bool replace_if_guarded(uintptr_t at) {
  for (GuardedRange& range : ranges) {
    if (!range.contains(at)) continue;
    range.lost.store(true);  // before anybody can read zeros
    return replace_page(at);
  }
  return false;
}

// As if this handler did not exist.
void hand_on(int signal, siginfo_t* info, void* context) {
  if ((previous.sa_flags & SA_SIGINFO) != 0) return previous.sa_sigaction(signal, info, context);
  const bool is_function = previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN;
  if (is_function) return previous.sa_handler(signal);
  struct sigaction by_default = {};
  by_default.sa_handler = SIG_DFL;
  sigaction(signal, &by_default, nullptr);
  raise(signal);
}

// Calls only what a signal handler may: atomics without locks, and system calls.
void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  const bool is_fault = info->si_code > 0;  // and not sent by somebody
  if (!is_fault || !replace_if_guarded(reinterpret_cast<uintptr_t>(info->si_addr))) {
    hand_on(signal, info, context);
  }
  errno = error;
}

// Lives as long as the code of the handler: an addon goes with the last thread that loaded it.
class Handler {
 public:
  Handler() {
    page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    struct sigaction action = {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previous);
  }

  ~Handler() {
    struct sigaction current;
    sigaction(SIGBUS, nullptr, &current);
    if (current.sa_sigaction == on_bus_error) sigaction(SIGBUS, &previous, nullptr);
  }
};

}  // namespace

PageGuard::~PageGuard() { end(); }

void PageGuard::begin(const void* data, size_t size) {
  static const Handler handler;
  for (GuardedRange& range : ranges) {
    if (range.taken.exchange(true)) continue;
    range.lost.store(false);
    range.start.store(reinterpret_cast<uintptr_t>(data));
    range.end.store(reinterpret_cast<uintptr_t>(data) + size);
    range_ = &range;
    return;
  }
}

void PageGuard::end() {
  if (range_ == nullptr) return;
  range_->end.store(0);
  range_->taken.store(false);
  range_ = nullptr;
}

bool PageGuard::has_lost_pages() const { return range_ != nullptr && range_->lost.load(); }

}  // namespace mlc

#endif
