// The library's three functions: which GPUs there are, a kernel table for one, and what went wrong.
#include <cstdio>
#include <mutex>

#include "jobs.h"
#include "mlc-cuda.h"

namespace mlc {
namespace gpu {
namespace {

// The oldest GPU this build holds code for; newer ones than it knows run its PTX.
constexpr int kOldestMajor = 7;
constexpr int kOldestMinor = 5;

// What the process converts on. `host` is null until a backend was asked for.
struct State {
  std::mutex mutex;
  const KernelTable* host = nullptr;
  int device = 0;
  bool failed = false;      // the host does everything from here on
  bool unreported = false;  // nobody has been told yet
  char failure[256] = "";
  KernelTable table = {};
};

State& state() {
  static State* const the_state = new State;
  return *the_state;
}

// ---- failures ----

void record_failure(cudaError_t error) {
  State& now = state();
  const std::lock_guard<std::mutex> lock(now.mutex);
  if (now.failed) return;
  now.failed = true;
  now.unreported = true;
  const char* const hint =
      error == cudaErrorMemoryAllocation ? " (free GPU memory, or convert on the processor)" : "";
  std::snprintf(now.failure, sizeof now.failure, "GPU %d: %s%s", now.device,
                cudaGetErrorString(error), hint);
}

bool has_failed() {
  State& now = state();
  const std::lock_guard<std::mutex> lock(now.mutex);
  return now.failed;
}

// True when the GPU has done the job.
bool done_on_gpu(const Job& job) {
  if (job.tiles() == 0) return true;
  if (has_failed()) return false;
  const cudaError_t error = run(job, state().device);
  if (error == cudaSuccess) return true;
  cudaGetLastError();  // an error that is not fatal would otherwise be found by the next call
  record_failure(error);
  return false;
}

// ---- the table ----

bool on_gpu(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBf16;
}

void cast(DType from, DType to, const uint8_t* src, uint8_t* dst, size_t count) {
  // A copy, and rare source dtypes, gain nothing from the way to the GPU and back.
  const bool worth = from != to && on_gpu(from) && on_gpu(to);
  if (worth) {
    const ElementTile tile = {Verb::kCast, from, to, nullptr, nullptr, 0};
    if (done_on_gpu(VerbJob(src, dst, count, tile))) return;
  }
  state().host->element.cast(from, to, src, dst, count);
}

void add_one_to_all(DType dtype, const uint8_t* src, uint8_t* dst, size_t count) {
  const ElementTile tile = {Verb::kAddOne, dtype, dtype, nullptr, nullptr, 0};
  if (done_on_gpu(VerbJob(src, dst, count, tile))) return;
  state().host->element.add_one(dtype, src, dst, count);
}

void encode_bf16(const uint8_t* src, uint8_t* dst, size_t count) {
  const ElementTile tile = {Verb::kEncodeBf16, DType::kF32, DType::kBf16, nullptr, nullptr, 0};
  if (done_on_gpu(VerbJob(src, dst, count, tile))) return;
  state().host->element.encode_bf16(src, dst, count);
}

// Statistics are the processor's: it measures while it quantizes.

void encode_fp8(Fp8 format, const uint8_t* src, float scale, uint8_t* dst, size_t count,
                Statistics* statistics) {
  const Fp8Tile tile = {format, scale, nullptr, nullptr, 0};
  if (statistics == nullptr && done_on_gpu(Fp8Job(src, dst, count, tile))) return;
  state().host->fp8.encode(format, src, scale, dst, count, statistics);
}

void quantize(const GroupQuantizeArgs* args) {
  if (args->statistics == nullptr && done_on_gpu(GroupJob(*args))) return;
  state().host->group.quantize(args);
}

// Hashing, maxima, FasterTransformer's rows and the verbs of small tensors stay on the processor.
KernelTable table_over(const KernelTable& host) {
  KernelTable table = host;
  table.name = "cuda";
  table.element.cast = cast;
  table.element.add_one = add_one_to_all;
  table.element.encode_bf16 = encode_bf16;
  table.fp8.encode = encode_fp8;
  table.group.quantize = quantize;
  return table;
}

// ---- devices ----

struct Text {
  char* at;
  size_t bytes;
};

void say_version(const Text& why, const char* what, int version, const char* rest) {
  std::snprintf(why.at, why.bytes, "%s %d.%d%s", what, version / 1000, version % 1000 / 10, rest);
}

// How many GPUs; -1 with the reason if that cannot be asked.
int count_devices(const Text& why) {
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    std::snprintf(why.at, why.bytes, "no NVIDIA driver is installed (libcuda was not found)");
    return -1;
  }
  if (driver / 1000 < CUDART_VERSION / 1000) {
    char rest[64];
    std::snprintf(rest, sizeof rest, ", this build needs one for CUDA %d.0 or later",
                  CUDART_VERSION / 1000);
    say_version(why, "the NVIDIA driver is too old: it is for CUDA", driver, rest);
    return -1;
  }
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    cudaGetLastError();
    std::snprintf(why.at, why.bytes, "CUDA cannot start: %s", cudaGetErrorString(error));
    return -1;
  }
  return count;
}

CudaDevice describe(int index) {
  CudaDevice device = {};
  cudaDeviceProp properties;
  const cudaError_t error = cudaGetDeviceProperties(&properties, index);
  if (error != cudaSuccess) {
    cudaGetLastError();
    std::snprintf(device.why_not, sizeof device.why_not, "GPU %d: %s", index,
                  cudaGetErrorString(error));
    return device;
  }
  std::snprintf(device.name, sizeof device.name, "%s", properties.name);
  device.memory_bytes = properties.totalGlobalMem;
  device.major = properties.major;
  device.minor = properties.minor;
  const bool old =
      device.major < kOldestMajor || (device.major == kOldestMajor && device.minor < kOldestMinor);
  if (old) {
    std::snprintf(device.why_not, sizeof device.why_not,
                  "GPU %d has compute capability %d.%d, this build needs %d.%d or later", index,
                  device.major, device.minor, kOldestMajor, kOldestMinor);
  }
  return device;
}

// Whether that GPU can be used; if not, `why` says it.
bool can_use(int index, const Text& why) {
  const int count = count_devices(why);
  if (count < 0) return false;
  if (index < 0 || index >= count) {
    std::snprintf(why.at, why.bytes, "there is no GPU %d: this machine has %d", index, count);
    return false;
  }
  const CudaDevice device = describe(index);
  std::snprintf(why.at, why.bytes, "%s", device.why_not);
  return device.why_not[0] == '\0';
}

const KernelTable* open(const CudaRequest& request, const Text& why) {
  if (request.table_bytes != sizeof(KernelTable)) {
    std::snprintf(why.at, why.bytes, "this library belongs to another version of the converter");
    return nullptr;
  }
  if (!can_use(request.device, why)) return nullptr;
  State& now = state();
  const std::lock_guard<std::mutex> lock(now.mutex);
  if (now.host != nullptr && now.device != request.device) {
    std::snprintf(why.at, why.bytes, "this process already uses GPU %d", now.device);
    return nullptr;
  }
  // Another run of the same process may be reading the table.
  if (now.host != request.host) now.table = table_over(*request.host);
  now.host = request.host;
  now.device = request.device;
  now.failed = false;
  now.unreported = false;
  return &now.table;
}

}  // namespace
}  // namespace gpu
}  // namespace mlc

MLC_CUDA_EXPORT int mlc_cuda_devices(mlc::CudaDevice* out, int capacity, char* why_not,
                                     size_t why_not_bytes) {
  const int count = mlc::gpu::count_devices({why_not, why_not_bytes});
  for (int i = 0; i < count && i < capacity; ++i) out[i] = mlc::gpu::describe(i);
  return count;
}

MLC_CUDA_EXPORT const mlc::KernelTable* mlc_cuda_backend(const mlc::CudaRequest* request) {
  return mlc::gpu::open(*request, {request->why_not, request->why_not_bytes});
}

MLC_CUDA_EXPORT int mlc_cuda_take_failure(char* out, size_t out_bytes) {
  mlc::gpu::State& now = mlc::gpu::state();
  const std::lock_guard<std::mutex> lock(now.mutex);
  if (!now.unreported) return 0;
  now.unreported = false;
  std::snprintf(out, out_bytes, "%s", now.failure);
  return 1;
}
