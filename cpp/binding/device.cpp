#include "device.h"

#include <algorithm>

namespace mlc {

namespace {

constexpr size_t kSentence = 512;

Status device_error(const char* why_not) { return Status::error("E_DEVICE", why_not); }

}  // namespace

std::string Device::take_failure() const {
  char failure[kSentence] = "";
  if (library == nullptr || library->take_failure(failure, sizeof failure) == 0) return "";
  return failure;
}

Status open_device(const std::string& path, int index, const KernelTable* host, Device* device) {
  char why_not[kSentence] = "";
  const CudaLibrary* library = open_cuda_library(path.c_str(), why_not, sizeof why_not);
  if (library == nullptr) return device_error(why_not);
  const CudaRequest request = {sizeof(KernelTable), index, host, why_not, sizeof why_not};
  const KernelTable* kernels = library->backend(&request);
  if (kernels == nullptr) return device_error(why_not);
  *device = {library, kernels};
  return Status::ok();
}

Status list_devices(const std::string& path, CudaDevice* devices, int capacity, int* count) {
  char why_not[kSentence] = "";
  const CudaLibrary* library = open_cuda_library(path.c_str(), why_not, sizeof why_not);
  if (library == nullptr) return device_error(why_not);
  const int found = library->devices(devices, capacity, why_not, sizeof why_not);
  if (found < 0) return device_error(why_not);
  *count = std::min(found, capacity);
  return Status::ok();
}

}  // namespace mlc
