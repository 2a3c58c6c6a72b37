// Files as the engine needs them: mapped or positioned reads, positioned writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "page-guard.h"
#include "status.h"

namespace mlc {

// A read-only source file. Mapped: bytes are lent from the page cache. Not mapped: read on demand.
class SourceFile {
 public:
  SourceFile() = default;
  ~SourceFile();
  SourceFile(const SourceFile&) = delete;
  SourceFile& operator=(const SourceFile&) = delete;

  // Refuses a file whose size is not `size` (it changed since its header was read).
  Status open(const std::string& path, uint64_t size, bool map);
  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }

  // `count` bytes at `offset`, from the mapping or read into `scratch` (room for `count`); null on
  // a failed read. The caller has checked the range.
  const uint8_t* bytes(uint64_t offset, size_t count, uint8_t* scratch) const;
  bool mapped() const { return data_ != nullptr; }
  // Whether bytes() lent zeros for bytes that could not be read. Costs next to nothing.
  bool has_lost_pages() const { return guard_.has_lost_pages(); }
  // Refuses a file that is not as it was when it was opened, or could not be read.
  Status check() const;
  // Asks the system to bring [offset, offset + count) from the disk without waiting for it, or to
  // map it where it is cached. A hint: nothing where the system takes none.
  void ask(uint64_t offset, uint64_t count) const;
  // Tells the system that [offset, offset + count) will not be read again soon.
  void release(uint64_t offset, uint64_t count) const;

 private:
  struct Facts {
    uint64_t size = 0;
    int64_t modified = 0;  // when; always 0 where nobody can write to an open file
  };

  Status inspect(Facts* facts) const;
  Status check_size(uint64_t found) const;

  std::string path_;
  uint64_t size_ = 0;
  int64_t modified_ = 0;
  const uint8_t* data_ = nullptr;
  PageGuard guard_;
  intptr_t handle_ = -1;
};

// An output file that is written at positions.
class OutputFile {
 public:
  OutputFile() = default;
  ~OutputFile() { close(); }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Creates the file or opens it as it is; `truncate` empties it first.
  Status open(const std::string& path, bool truncate);
  // Reserves room so that a full disk shows now. Best effort where the system cannot.
  Status reserve(uint64_t offset, uint64_t count);
  Status write(uint64_t offset, const uint8_t* data, size_t count);
  // Lets the system begin to bring these bytes to the disk, so that sync() finds little left to do.
  // A hint: nothing where the system takes none.
  void flush(uint64_t offset, uint64_t count);
  // Makes the content durable.
  Status sync();
  void close();

 private:
  std::string path_;
  intptr_t handle_ = -1;
};

}  // namespace mlc
