// The GGUF sub-tables of all backends. A backend's KernelTable takes its `ggml` member from here.
#pragma once

#include "kernels.h"

namespace mlc {

extern const GgmlKernels kGgmlReference;
extern const GgmlKernels kGgmlAvx2;
extern const GgmlKernels kGgmlAvx512;

}  // namespace mlc
