// What conversion lost.

#include "../backends.h"
#include "add-element.h"

namespace mlc {
namespace {

float load_as_f32(DType dtype, const uint8_t* src, size_t index) {
  if (dtype == DType::kF32) return load<float>(src + index * 4);
  const uint16_t bits = load<uint16_t>(src + index * 2);
  return dtype == DType::kF16 ? f32_from_f16(bits) : f32_from_bf16(bits);
}

float stored_as_f32(Stored stored, const uint8_t* made, size_t index) {
  switch (stored) {
    case Stored::kF32:
      return load_as_f32(DType::kF32, made, index);
    case Stored::kF16:
      return load_as_f32(DType::kF16, made, index);
    case Stored::kBf16:
      return load_as_f32(DType::kBf16, made, index);
    case Stored::kE4m3:
      return f32_from_e4m3(made[index]);
    case Stored::kE5m2:  // the upper half of an f16
      return f32_from_f16(static_cast<uint16_t>(made[index] << 8));
    case Stored::kFtCode:
      return static_cast<float>(static_cast<int>(made[index]) - 8);
  }
  return 0;
}

void count(DType from, DType model, const uint8_t* src, size_t count, Statistics* out) {
  const float limit = overflow_limit(model);
  out->elements += count;
  for (size_t i = 0; i < count; ++i) is_kept(load_as_f32(from, src, i), limit, out);
}

void compare(const CompareArgs* args, Statistics* out) {
  const float limit = overflow_limit(args->model);
  out->elements += args->count;
  for (size_t first = 0; first < args->count; first += kStatisticsBlock) {
    Lanes lanes = {};
    for (size_t i = first; i < args->count && i < first + kStatisticsBlock; ++i) {
      const float value = load_as_f32(args->from, args->src, i);
      if (!is_kept(value, limit, out)) continue;
      const float made = stored_as_f32(args->stored, args->made, i);
      add_element({value, made, args->scale}, i % kStatisticsLanes, &lanes);
    }
    add_lanes(lanes, out);
  }
}

}  // namespace

const StatisticsKernels kReferenceStatistics = {count, compare};

}  // namespace mlc
