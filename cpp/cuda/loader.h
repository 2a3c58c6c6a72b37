// Opens the CUDA library when somebody asks for a GPU. This is all that the converter itself knows
// of CUDA: it links none of it.
#pragma once

#include "mlc-cuda.h"

namespace mlc {

// The opened library stays open until the process ends: its kernels may be running.
struct CudaLibrary {
  CudaDevices devices;
  CudaBackend backend;
  CudaTakeFailure take_failure;
};

// Opens `path` once. Null with a sentence in `why_not` if it cannot be opened or is something else.
const CudaLibrary* open_cuda_library(const char* path, char* why_not, size_t why_not_bytes);

}  // namespace mlc
