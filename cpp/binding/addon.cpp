// The addon's exports. Only this folder knows Node.
#include <napi.h>

#include <mutex>
#include <string>

#include "../engine/decode-program.h"
#include "../kernels/kernels.h"
#include "arguments.h"
#include "device.h"
#include "job.h"

namespace mlc {

namespace {

constexpr size_t kMaxBackends = 16;
constexpr int kMaxDevices = 64;

// [{ name, available, reason? }], best first.
Napi::Value list_backends_js(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Backend backends[kMaxBackends];
  const size_t count = list_backends(backends, kMaxBackends);
  Napi::Array result = Napi::Array::New(env, count);
  for (size_t i = 0; i < count; ++i) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", backends[i].name);
    entry.Set("available", backends[i].table != nullptr);
    if (backends[i].table == nullptr) entry.Set("reason", backends[i].reason);
    result.Set(static_cast<uint32_t>(i), entry);
  }
  return result;
}

// (library path) -> [{ name, memoryBytes, computeCapability, reason? }], GPU 0 first. Throws an
// Error with a `code` and the reason when the library cannot be opened or finds no driver.
Napi::Value list_devices_js(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  static CudaDevice devices[kMaxDevices];
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  int count = 0;
  const Status status =
      info[0].IsString()
          ? list_devices(info[0].As<Napi::String>().Utf8Value(), devices, kMaxDevices, &count)
          : argument_error("listCudaDevices needs the library's path");
  if (!status.is_ok()) return fail(env, status);
  Napi::Array result = Napi::Array::New(env, static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    const CudaDevice& device = devices[i];
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", device.name);
    entry.Set("memoryBytes", static_cast<double>(device.memory_bytes));
    entry.Set("computeCapability",
              std::to_string(device.major) + "." + std::to_string(device.minor));
    if (device.why_not[0] != '\0') entry.Set("reason", device.why_not);
    result.Set(static_cast<uint32_t>(i), entry);
  }
  return result;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("programFormat", kProgramFormat);
  exports.Set("listBackends", Napi::Function::New(env, list_backends_js, "listBackends"));
  exports.Set("listCudaDevices", Napi::Function::New(env, list_devices_js, "listCudaDevices"));
  exports.Set("Job", Job::define(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(mlc_convert, init)

}  // namespace mlc
