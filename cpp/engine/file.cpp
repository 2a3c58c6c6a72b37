#include "file.h"

namespace mlc {

Status SourceFile::check_size(uint64_t found) const {
  if (found == size_) return Status::ok();
  return Status::error("E_SOURCE_CHANGED", path_ + ": expected " + std::to_string(size_) +
                                               " bytes, found " + std::to_string(found));
}

Status SourceFile::check() const {
  Facts now;
  Status status = inspect(&now);
  if (status.is_ok()) status = check_size(now.size);
  if (!status.is_ok()) return status;
  if (now.modified != modified_) {
    return Status::error("E_SOURCE_CHANGED", path_ + ": was written to while it was read");
  }
  if (!has_lost_pages()) return Status::ok();
  return Status::error("E_SOURCE_READ", "cannot read " + path_ + ": its disk failed");
}

}  // namespace mlc
