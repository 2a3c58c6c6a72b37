// GPUs, for the addon: which there are, and the kernels of one.
#pragma once

#include <string>

#include "../cuda/loader.h"
#include "../engine/status.h"

namespace mlc {

// A GPU that a job computes on. Without one, `library` is null.
struct Device {
  const CudaLibrary* library = nullptr;
  const KernelTable* kernels = nullptr;

  // What failed since the last question; empty when nothing did.
  std::string take_failure() const;
};

// Opens GPU `index` through the library at `path`; `host` does what stays on the processor.
Status open_device(const std::string& path, int index, const KernelTable* host, Device* device);

// Up to `capacity` GPUs; `*count` says how many were filled in.
Status list_devices(const std::string& path, CudaDevice* devices, int capacity, int* count);

}  // namespace mlc
