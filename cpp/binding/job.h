// A run of the engine as a JavaScript object: arguments are copied into plain structs on the
// JavaScript thread, and the engine's threads touch only those.
#pragma once

#include <napi.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "../engine/run.h"
#include "device.h"

namespace mlc {

// new Job({ sources: [{ path, size }], backend, threads, lanes, tileBytes, keptBytes, sync, map,
//           device? })
//       device: { library, index, required }: the GPU; when it fails in the middle the backend goes
//       on, unless it is required
//   .addShard({ id, path, fileOffset, truncate, nbytes, measured, program: Float64Array })
//   .start(onShard(id, md5, statistics)) -> Promise<void>      rejects with an Error that has a
//   `code`
//       statistics: Float64Array, eight numbers a piece in the order of kernels.h `Statistics`
//   .cancel()
//   .progress() -> { bytes, compute, hash, write, sync }      nanoseconds, summed over threads
//   .deviceFailure() -> why the GPU failed in the middle, or undefined; complete once the promise
//   is settled
class Job : public Napi::ObjectWrap<Job>, private RunListener {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Job(const Napi::CallbackInfo& info);
  ~Job() override;

 private:
  Napi::Value add_shard(const Napi::CallbackInfo& info);
  Napi::Value start(const Napi::CallbackInfo& info);
  Napi::Value cancel(const Napi::CallbackInfo& info);
  Napi::Value progress(const Napi::CallbackInfo& info);
  Napi::Value device_failure(const Napi::CallbackInfo& info);

  void on_shard(uint32_t id, const std::array<uint8_t, 16>& md5,
                const std::vector<Statistics>& statistics) override;
  void on_finish(const Status& status) override;
  void settle(Napi::Env env, const Status& status);
  static void end_with_environment(void* job);
  void look_after_device();
  std::string failure_of_device();

  std::unique_ptr<Run> run_;
  std::vector<uint64_t> source_sizes_;
  Device device_;
  bool device_required_ = false;
  std::mutex failure_mutex_;
  std::string device_failure_;
  Napi::ThreadSafeFunction events_;
  napi_env watched_ = nullptr;  // the environment whose end this job waits for
  std::unique_ptr<Napi::Promise::Deferred> deferred_;
};

}  // namespace mlc
