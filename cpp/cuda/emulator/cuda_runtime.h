// As much of the CUDA runtime as cpp/cuda uses, on the processor, so that the whole backend (tiles,
// double buffers, strides, errors; every rounding) is tested on machines without a GPU. It takes
// the name of the real header: a test build finds this one first.
//
// What a stream is given is done only when somebody waits for it: code that looks at a buffer too
// early, or fills one too early, sees the wrong bytes every time instead of sometimes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#define __global__ static
#define __device__ static
#define CUDART_VERSION 13000

enum cudaError_t {
  cudaSuccess,
  cudaErrorMemoryAllocation,
  cudaErrorNoDevice,
  cudaErrorLaunchFailure
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost };
constexpr unsigned cudaStreamNonBlocking = 1;

struct dim3 {
  unsigned x;
  explicit dim3(unsigned extent) : x(extent) {}
};

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem;
  int major;
  int minor;
};

struct EmulatedStream {
  std::vector<std::function<void()>> work;
};
using cudaStream_t = EmulatedStream*;

struct EmulatedIndex {
  unsigned x;
};
static thread_local EmulatedIndex blockIdx;
static thread_local EmulatedIndex threadIdx;
static thread_local EmulatedIndex blockDim;

// MLC_EMULATED_GPU: none, old-driver, no-device, old-device, no-memory, launch-fails; else one GPU.
static inline bool emulates(const char* trouble) {
  const char* const wanted = std::getenv("MLC_EMULATED_GPU");
  return wanted != nullptr && std::strcmp(wanted, trouble) == 0;
}

static inline const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorLaunchFailure:
      return "unspecified launch failure";
  }
  return "unknown";
}

static inline cudaError_t cudaGetLastError() { return cudaSuccess; }

static inline cudaError_t cudaDriverGetVersion(int* version) {
  *version = emulates("none") ? 0 : emulates("old-driver") ? 12040 : 13000;
  return cudaSuccess;
}

static inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = emulates("no-device") ? 0 : 1;
  return *count == 0 ? cudaErrorNoDevice : cudaSuccess;
}

static inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* out, int) {
  *out = {"emulated GPU", size_t{1} << 30, 7, emulates("old-device") ? 0 : 5};
  return cudaSuccess;
}

static inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }

static inline cudaError_t cudaMallocHost(void** out, size_t bytes) {
  *out = std::malloc(bytes);
  if (*out != nullptr) std::memset(*out, 0xAA, bytes);
  return cudaSuccess;
}

static inline cudaError_t cudaMalloc(void** out, size_t bytes) {
  if (emulates("no-memory")) return cudaErrorMemoryAllocation;
  return cudaMallocHost(out, bytes);
}

static inline cudaError_t cudaFree(void* memory) {
  std::free(memory);
  return cudaSuccess;
}

static inline cudaError_t cudaFreeHost(void* memory) { return cudaFree(memory); }

static inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* out, unsigned) {
  *out = new EmulatedStream;
  return cudaSuccess;
}

static inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}

static inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  for (const std::function<void()>& step : stream->work) step();
  const bool fails = emulates("launch-fails") && stream->work.size() > 1;
  stream->work.clear();
  return fails ? cudaErrorLaunchFailure : cudaSuccess;
}

static inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                                          cudaStream_t stream) {
  stream->work.push_back([=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}

template <typename Argument>
cudaError_t cudaLaunchKernel(void (*kernel)(Argument), dim3 blocks, dim3 threads, void** arguments,
                             size_t, cudaStream_t stream) {
  const Argument argument = *static_cast<Argument*>(arguments[0]);
  stream->work.push_back([=] {
    blockDim.x = threads.x;
    for (blockIdx.x = 0; blockIdx.x < blocks.x; ++blockIdx.x) {
      for (threadIdx.x = 0; threadIdx.x < threads.x; ++threadIdx.x) kernel(argument);
    }
  });
  return cudaSuccess;
}
