// What the shared library mlc_convert_cuda exports: three C functions and nothing else.
//
// The library carries its own CUDA runtime and looks for the driver only when asked, so that
// opening it needs no GPU. One device serves a process at a time. All pointers in a kernel table's
// calls are host pointers, and every function may be called from several threads at once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../kernels/kernels.h"

#if defined(_WIN32)
#define MLC_CUDA_EXPORT extern "C" __declspec(dllexport)
#else
#define MLC_CUDA_EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace mlc {

struct CudaDevice {
  char name[256];
  uint64_t memory_bytes;
  int major;  // compute capability
  int minor;
  char why_not[256];  // empty when this device can be used
};

struct CudaRequest {
  size_t table_bytes;  // sizeof(KernelTable) as the caller knows it
  int device;          // 0 ...
  const KernelTable*
      host;       // what does the work that stays on the processor; must outlive the backend
  char* why_not;  // a sentence, when there is no backend
  size_t why_not_bytes;
};

// Fills up to `capacity` devices and returns how many there are, or -1 with the reason.
using CudaDevices = int (*)(CudaDevice* out, int capacity, char* why_not, size_t why_not_bytes);

// The table of a device, or null with the reason. Its kernels cannot return an error: when the
// device fails in the middle, the host's kernels do the call again, and all later ones, so that the
// bytes are right in any case, and mlc_cuda_take_failure tells.
using CudaBackend = const KernelTable* (*)(const CudaRequest* request);

// 1 with a sentence when the device has failed since the last question, else 0.
using CudaTakeFailure = int (*)(char* out, size_t out_bytes);

}  // namespace mlc
