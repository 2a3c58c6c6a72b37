// The files that a run reads.
#pragma once

#include <memory>
#include <vector>

#include "file.h"

namespace mlc {

using Sources = std::vector<std::unique_ptr<SourceFile>>;

// Whether zeros were lent in place of any source's bytes. Costs next to nothing.
bool have_lost_pages(const Sources& sources);

// Refuses sources of which one is not as it was when it was opened, or could not be read.
Status check(const Sources& sources);

}  // namespace mlc
