#include "loader.h"

#include <cstdio>
#include <mutex>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace mlc {
namespace {

#if defined(_WIN32)

void* open_file(const char* path, char* why_not, size_t why_not_bytes) {
  wchar_t wide[32768];
  const int length = MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, 32768);
  HMODULE module = length == 0 ? nullptr : LoadLibraryW(wide);
  if (module == nullptr) {
    std::snprintf(why_not, why_not_bytes, "%s cannot be opened: Windows error %lu", path,
                  GetLastError());
  }
  return module;
}

void* find(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}

#else

void* open_file(const char* path, char* why_not, size_t why_not_bytes) {
  void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const reason = dlerror();
    std::snprintf(why_not, why_not_bytes, "%s", reason == nullptr ? path : reason);
  }
  return library;
}

void* find(void* library, const char* name) { return dlsym(library, name); }

#endif

bool fill(void* library, CudaLibrary* out) {
  out->devices = reinterpret_cast<CudaDevices>(find(library, "mlc_cuda_devices"));
  out->backend = reinterpret_cast<CudaBackend>(find(library, "mlc_cuda_backend"));
  out->take_failure = reinterpret_cast<CudaTakeFailure>(find(library, "mlc_cuda_take_failure"));
  return out->devices != nullptr && out->backend != nullptr && out->take_failure != nullptr;
}

}  // namespace

const CudaLibrary* open_cuda_library(const char* path, char* why_not, size_t why_not_bytes) {
  static std::mutex mutex;
  static CudaLibrary opened;
  static bool is_open = false;
  const std::lock_guard<std::mutex> lock(mutex);
  if (is_open) return &opened;
  void* const library = open_file(path, why_not, why_not_bytes);
  if (library == nullptr) return nullptr;
  if (!fill(library, &opened)) {
    std::snprintf(why_not, why_not_bytes, "%s is not the converter's CUDA library", path);
    return nullptr;
  }
  is_open = true;
  return &opened;
}

}  // namespace mlc
