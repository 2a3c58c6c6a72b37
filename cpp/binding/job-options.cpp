#include "job-options.h"

#include <algorithm>
#include <climits>
#include <memory>
#include <string>
#include <utility>

#include "arguments.h"

namespace mlc {

namespace {

constexpr size_t kMaxBackends = 16;

Status find_backend(const std::string& name, const KernelTable** table) {
  Backend backends[kMaxBackends];
  const size_t count = list_backends(backends, kMaxBackends);
  for (size_t i = 0; i < count; ++i) {
    if (name != backends[i].name) continue;
    *table = backends[i].table;
    if (*table != nullptr) return Status::ok();
    return Status::error("E_BACKEND",
                         "backend " + name + " cannot run here: " + backends[i].reason);
  }
  return Status::error("E_BACKEND", "there is no backend " + name);
}

Status read_run_options(const Napi::Object& object, RunOptions* options, bool* map) {
  std::string backend;
  uint64_t threads = 0;
  uint64_t lanes = 0;
  uint64_t ahead = 0;
  uint64_t tile_bytes = 0;
  const Status status =
      in_turn([&] { return read_text(object, "backend", &backend); },
              [&] { return find_backend(backend, &options->kernels); },
              [&] { return read_integer(object, "threads", &threads); },
              [&] { return read_integer(object, "lanes", &lanes); },
              [&] { return read_integer(object, "ahead", &ahead); },
              [&] { return read_integer(object, "tileBytes", &tile_bytes); },
              [&] { return read_integer(object, "keptBytes", &options->kept_bytes); },
              [&] { return read_flag(object, "sync", &options->sync); },
              [&] { return read_flag(object, "map", map); });
  options->threads = static_cast<size_t>(threads);
  options->lanes = static_cast<size_t>(lanes);
  options->ahead = static_cast<size_t>(ahead);
  options->tile_bytes = static_cast<size_t>(tile_bytes);
  return status;
}

// The optional GPU: { library, index, required }.
Status read_device(const Napi::Value& value, const KernelTable* host, Device* device,
                   bool* required) {
  if (value.IsUndefined()) return Status::ok();
  if (!value.IsObject()) return argument_error("device must be an object");
  const Napi::Object object = value.As<Napi::Object>();
  std::string library;
  uint64_t index = 0;
  return in_turn([&] { return read_text(object, "library", &library); },
                 [&] { return read_integer(object, "index", &index); },
                 [&] { return read_flag(object, "required", required); },
                 [&] {
                   return open_device(library, static_cast<int>(std::min<uint64_t>(index, INT_MAX)),
                                      host, device);
                 });
}

Status open_sources(const Napi::Value& list, bool map, Sources* sources,
                    std::vector<uint64_t>* sizes) {
  if (!list.IsArray()) return argument_error("sources must be an array");
  const Napi::Array array = list.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value item = array.Get(i);
    if (!item.IsObject()) return argument_error("a source must be an object");
    std::string path;
    uint64_t size = 0;
    std::unique_ptr<SourceFile> file(new SourceFile());
    const Napi::Object source = item.As<Napi::Object>();
    const Status status = in_turn([&] { return read_text(source, "path", &path); },
                                  [&] { return read_integer(source, "size", &size); },
                                  [&] { return file->open(path, size, map); });
    if (!status.is_ok()) return status;
    sizes->push_back(size);
    sources->push_back(std::move(file));
  }
  return Status::ok();
}

}  // namespace

Status read_job_options(const Napi::Object& object, JobOptions* options) {
  bool map = true;
  const Status status = in_turn([&] { return read_run_options(object, &options->run, &map); },
                                [&] {
                                  return read_device(object.Get("device"), options->run.kernels,
                                                     &options->device, &options->device_required);
                                },
                                [&] {
                                  return open_sources(object.Get("sources"), map, &options->sources,
                                                      &options->source_sizes);
                                });
  if (status.is_ok() && options->device.kernels != nullptr) {
    options->run.kernels = options->device.kernels;
  }
  return status;
}

}  // namespace mlc
