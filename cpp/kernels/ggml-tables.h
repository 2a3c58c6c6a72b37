// The GGUF sub-tables of all backends. A backend's KernelTable takes its `ggml` member from here.
#pragma once

#include "kernels.h"

namespace mlc {

extern const GgmlKernels kGgmlReference;

}  // namespace mlc
