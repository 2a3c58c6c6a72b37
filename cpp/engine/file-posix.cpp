#if !defined(_WIN32)

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "file.h"

namespace mlc {

namespace {

Status system_error(const char* code, const char* what, const std::string& path) {
  return Status::error(code, std::string(what) + " " + path + ": " + std::strerror(errno));
}

// Nanoseconds.
int64_t modified_at(const struct stat& info) {
#if defined(__APPLE__)
  const struct timespec& time = info.st_mtimespec;
#else
  const struct timespec& time = info.st_mtim;
#endif
  return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}

// Whether [offset, offset + count) seems to lie in the page cache: asking for what is there costs
// as much as finding it out page by page.
bool is_cached(int fd, uint64_t offset, uint64_t count) {
#if defined(RWF_NOWAIT)
  constexpr uint64_t kProbeDistance = 1024 * 1024;
  for (uint64_t at = 0; at < count; at += kProbeDistance) {
    uint8_t byte;
    const iovec target = {&byte, 1};
    if (preadv2(fd, &target, 1, static_cast<off_t>(offset + at), RWF_NOWAIT) != 1) return false;
  }
  return true;
#else
  (void)fd;
  (void)offset;
  (void)count;
  return false;
#endif
}

// Enters cached pages into the page tables before they are read: a fault enters a window of
// neighbours with it, so one byte of each window is touched. (MADV_POPULATE_READ looks at every
// page by itself, which takes longer.) Not more than this at once, so that whoever asks can be
// stopped soon.
void enter_pages(const uint8_t* data, uint64_t count) {
#if defined(__linux__)
  constexpr uint64_t kMostAtOnce = 16u << 20;
  constexpr uint64_t kWindow = 64 * 1024;  // the kernel's default
  if (count > kMostAtOnce) return;
  for (uint64_t at = 0; at < count; at += kWindow) {
    static_cast<void>(*static_cast<const volatile uint8_t*>(data + at));
  }
#else
  (void)data;
  (void)count;
#endif
}

}  // namespace

SourceFile::~SourceFile() {
  guard_.end();
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
  if (handle_ >= 0) ::close(static_cast<int>(handle_));
}

Status SourceFile::open(const std::string& path, uint64_t size, bool map) {
  path_ = path;
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return system_error("E_SOURCE_READ", "cannot open", path);
  handle_ = fd;
  size_ = size;
  Facts facts;
  Status status = inspect(&facts);
  if (status.is_ok()) status = check_size(facts.size);
  if (!status.is_ok()) return status;
  modified_ = facts.modified;
  if (!map || size == 0) return Status::ok();
  void* data = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return system_error("E_SOURCE_READ", "cannot map", path);
  data_ = static_cast<const uint8_t*>(data);
  guard_.begin(data, size);
  return Status::ok();
}

Status SourceFile::inspect(Facts* facts) const {
  struct stat info;
  if (fstat(static_cast<int>(handle_), &info) != 0) {
    return system_error("E_SOURCE_READ", "cannot inspect", path_);
  }
  *facts = {static_cast<uint64_t>(info.st_size), modified_at(info)};
  return Status::ok();
}

const uint8_t* SourceFile::bytes(uint64_t offset, size_t count, uint8_t* scratch) const {
  if (data_ != nullptr) return data_ + offset;
  size_t done = 0;
  while (done < count) {
    ssize_t got = pread(static_cast<int>(handle_), scratch + done, count - done,
                        static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return nullptr;
    done += static_cast<size_t>(got);
  }
  return scratch;
}

void SourceFile::ask(uint64_t offset, uint64_t count) const {
#if defined(POSIX_FADV_WILLNEED)
  if (is_cached(static_cast<int>(handle_), offset, count)) {
    if (data_ != nullptr) enter_pages(data_ + offset, count);
    return;
  }
  posix_fadvise(static_cast<int>(handle_), static_cast<off_t>(offset), static_cast<off_t>(count),
                POSIX_FADV_WILLNEED);
#else
  if (data_ == nullptr) return;
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t first = offset / page * page;
  madvise(const_cast<uint8_t*>(data_) + first, offset + count - first, MADV_WILLNEED);
#endif
}

void SourceFile::release(uint64_t offset, uint64_t count) const {
  if (data_ == nullptr) return;
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t first = (offset + page - 1) / page * page;
  const uint64_t last = (offset + count) / page * page;
  if (first < last) madvise(const_cast<uint8_t*>(data_) + first, last - first, MADV_DONTNEED);
}

Status OutputFile::open(const std::string& path, bool truncate) {
  path_ = path;
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (truncate ? O_TRUNC : 0), 0666);
  if (fd < 0) return system_error("E_OUTPUT_WRITE", "cannot create", path);
  handle_ = fd;
  return Status::ok();
}

Status OutputFile::reserve(uint64_t offset, uint64_t count) {
#if defined(__linux__)
  if (count > 0 && posix_fallocate(static_cast<int>(handle_), static_cast<off_t>(offset),
                                   static_cast<off_t>(count)) == ENOSPC) {
    errno = ENOSPC;
    return system_error("E_DISK_FULL", "no room for", path_);
  }
#else
  (void)offset;
  (void)count;
#endif
  return Status::ok();
}

Status OutputFile::write(uint64_t offset, const uint8_t* data, size_t count) {
  while (count > 0) {
    ssize_t put = pwrite(static_cast<int>(handle_), data, count, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      const bool full = errno == ENOSPC || errno == EDQUOT;
      return system_error(full ? "E_DISK_FULL" : "E_OUTPUT_WRITE", "cannot write", path_);
    }
    data += put;
    offset += static_cast<uint64_t>(put);
    count -= static_cast<size_t>(put);
  }
  return Status::ok();
}

void OutputFile::flush(uint64_t offset, uint64_t count) {
#if defined(__linux__)
  sync_file_range(static_cast<int>(handle_), static_cast<off64_t>(offset),
                  static_cast<off64_t>(count), SYNC_FILE_RANGE_WRITE);
#else
  (void)offset;
  (void)count;
#endif
}

Status OutputFile::sync() {
  if (fsync(static_cast<int>(handle_)) == 0) return Status::ok();
  const bool full = errno == ENOSPC || errno == EDQUOT;
  return system_error(full ? "E_DISK_FULL" : "E_OUTPUT_WRITE", "cannot make durable", path_);
}

void OutputFile::close() {
  if (handle_ >= 0) ::close(static_cast<int>(handle_));
  handle_ = -1;
}

}  // namespace mlc

#endif
