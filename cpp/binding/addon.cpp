// The addon's exports. Only this folder knows Node.
#include <napi.h>

#include "../kernels/kernels.h"
#include "job.h"

namespace mlc {

namespace {

constexpr size_t kMaxBackends = 16;

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

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("listBackends", Napi::Function::New(env, list_backends_js, "listBackends"));
  exports.Set("Job", Job::define(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(mlc_convert, init)

}  // namespace mlc
