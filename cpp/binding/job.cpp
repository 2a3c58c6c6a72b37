#include "job.h"

#include <string>
#include <utility>

#include "../engine/decode-program.h"
#include "arguments.h"
#include "job-options.h"

namespace mlc {

namespace {

std::string hex(const std::array<uint8_t, 16>& digest) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : digest) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

Napi::Float64Array numbers(Napi::Env env, const std::vector<Statistics>& statistics) {
  Napi::Float64Array result = Napi::Float64Array::New(env, statistics.size() * 8);
  double* out = result.Data();
  for (const Statistics& one : statistics) {
    for (const uint64_t count :
         {one.elements, one.non_finite, one.overflowed, one.zero_groups, one.infinite_scales}) {
      *out++ = static_cast<double>(count);
    }
    for (const double sum : {one.max_error, one.squared_error, one.squared_value}) *out++ = sum;
  }
  return result;
}

}  // namespace

Napi::Function Job::define(Napi::Env env) {
  return DefineClass(
      env, "Job",
      {InstanceMethod<&Job::add_shard>("addShard"), InstanceMethod<&Job::start>("start"),
       InstanceMethod<&Job::cancel>("cancel"), InstanceMethod<&Job::progress>("progress"),
       InstanceMethod<&Job::device_failure>("deviceFailure")});
}

Job::Job(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Job>(info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsObject()) {
    fail(env, argument_error("Job needs an options object"));
    return;
  }
  JobOptions options;
  const Status status = read_job_options(info[0].As<Napi::Object>(), &options);
  if (!status.is_ok()) {
    fail(env, status);
    return;
  }
  source_sizes_ = std::move(options.source_sizes);
  device_ = options.device;
  device_required_ = options.device_required;
  run_.reset(new Run(std::move(options.sources), options.run, this));
}

// The engine's threads call back until the run is gone: it must go before anything they use.
Job::~Job() {
  run_.reset();
  if (watched_ != nullptr) napi_remove_env_cleanup_hook(watched_, end_with_environment, this);
}

// An environment that ends takes its thread-safe functions along, whoever still calls them. Hooks
// run last in, first out: this one before the function's own, which was registered earlier.
void Job::end_with_environment(void* job) {
  Job* self = static_cast<Job*>(job);
  self->watched_ = nullptr;
  self->run_->end();
}

Napi::Value Job::add_shard(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (run_ == nullptr || deferred_ != nullptr || !info[0].IsObject()) {
    return fail(env, argument_error("addShard needs a shard, before start"));
  }
  const Napi::Object object = info[0].As<Napi::Object>();
  Shard shard;
  uint64_t id = 0;
  const Status status =
      in_turn([&] { return read_integer(object, "id", &id); },
              [&] { return read_text(object, "path", &shard.path); },
              [&] { return read_integer(object, "fileOffset", &shard.file_offset); },
              [&] { return read_flag(object, "truncate", &shard.truncate); },
              [&] { return read_flag(object, "measured", &shard.measured); },
              [&] { return read_integer(object, "nbytes", &shard.nbytes); });
  if (!status.is_ok()) return fail(env, status);
  const Napi::Value program = object.Get("program");
  if (!program.IsTypedArray() ||
      program.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    return fail(env, argument_error("program must be a Float64Array"));
  }
  const Napi::Float64Array words = program.As<Napi::Float64Array>();
  shard.id = static_cast<uint32_t>(id);
  const Status decoded = decode_shard(words.Data(), words.ElementLength(), source_sizes_, &shard);
  if (!decoded.is_ok()) return fail(env, decoded);
  run_->add(std::move(shard));
  return env.Undefined();
}

Napi::Value Job::start(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (run_ == nullptr || deferred_ != nullptr || !info[0].IsFunction()) {
    return fail(env, argument_error("start needs a callback, and runs once"));
  }
  deferred_.reset(new Napi::Promise::Deferred(env));
  events_ =
      Napi::ThreadSafeFunction::New(env, info[0].As<Napi::Function>(), "mlc-convert job", 0, 1);
  watched_ = env;
  napi_add_env_cleanup_hook(env, end_with_environment, this);
  Ref();  // the engine's threads call back into this object until on_finish
  run_->start();
  return deferred_->Promise();
}

Napi::Value Job::cancel(const Napi::CallbackInfo& info) {
  if (run_ != nullptr) run_->cancel();
  return info.Env().Undefined();
}

Napi::Value Job::progress(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object result = Napi::Object::New(env);
  if (run_ == nullptr) return result;
  const PhaseTimes times = run_->times();
  result.Set("bytes", static_cast<double>(run_->bytes_made()));
  result.Set("compute", static_cast<double>(times.compute));
  result.Set("hash", static_cast<double>(times.hash));
  result.Set("write", static_cast<double>(times.write));
  result.Set("sync", static_cast<double>(times.sync));
  return result;
}

Napi::Value Job::device_failure(const Napi::CallbackInfo& info) {
  const std::string failure = failure_of_device();
  if (failure.empty()) return info.Env().Undefined();
  return Napi::String::New(info.Env(), failure);
}

std::string Job::failure_of_device() {
  const std::lock_guard<std::mutex> lock(failure_mutex_);
  return device_failure_;
}

// A GPU that failed left its work to the processor: the bytes are right, but it was not what was
// asked.
void Job::look_after_device() {
  const std::string failure = device_.take_failure();
  if (failure.empty()) return;
  {
    const std::lock_guard<std::mutex> lock(failure_mutex_);
    device_failure_ = failure;
  }
  if (device_required_) run_->cancel();
}

void Job::on_shard(uint32_t id, const std::array<uint8_t, 16>& md5,
                   const std::vector<Statistics>& statistics) {
  look_after_device();
  events_.BlockingCall([id, md5, statistics](Napi::Env env, Napi::Function callback) {
    if (env == nullptr) return;
    callback.Call(
        {Napi::Number::New(env, id), Napi::String::New(env, hex(md5)), numbers(env, statistics)});
  });
}

void Job::on_finish(const Status& status) {
  look_after_device();
  const std::string failure = failure_of_device();
  const bool failed = device_required_ && !failure.empty();
  const Status end = failed ? Status::error("E_DEVICE", failure) : status;
  events_.BlockingCall([this, end](Napi::Env env, Napi::Function) {
    if (env != nullptr) settle(env, end);
  });
  events_.Release();
}

void Job::settle(Napi::Env env, const Status& status) {
  const Napi::HandleScope scope(env);
  run_->close_files();
  if (status.is_ok()) {
    deferred_->Resolve(env.Undefined());
  } else {
    deferred_->Reject(make_error(env, status).Value());
  }
  Unref();
}

}  // namespace mlc
