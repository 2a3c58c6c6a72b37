// What a job is made of, as JavaScript says it.
#pragma once

#include <napi.h>

#include <cstdint>
#include <vector>

#include "../engine/run.h"
#include "device.h"

namespace mlc {

struct JobOptions {
  RunOptions run;
  Sources sources;
  std::vector<uint64_t> source_sizes;
  Device device;
  bool device_required = false;
};

// Reads the options of job.h, opens the device and every source.
Status read_job_options(const Napi::Object& object, JobOptions* options);

}  // namespace mlc
