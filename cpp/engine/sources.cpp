#include "sources.h"

#include <algorithm>

namespace mlc {

bool have_lost_pages(const Sources& sources) {
  return std::any_of(sources.begin(), sources.end(), [](const std::unique_ptr<SourceFile>& source) {
    return source->has_lost_pages();
  });
}

Status check(const Sources& sources) {
  for (const std::unique_ptr<SourceFile>& source : sources) {
    const Status status = source->check();
    if (!status.is_ok()) return status;
  }
  return Status::ok();
}

}  // namespace mlc
