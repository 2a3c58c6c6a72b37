#include "meter.h"

#include <algorithm>
#include <cstring>

namespace mlc {

namespace {

// Elements that are decoded at once: what is decoded stays in the L2 cache. A whole number of the
// blocks that statistics are summed in.
constexpr size_t kBatch = 16384;

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBf16;
}

size_t float_bytes(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

uint8_t* bytes_of(float* values) { return reinterpret_cast<uint8_t*>(values); }

}  // namespace

void Meter::begin(size_t piece, Wanted wanted) {
  piece_ = piece;
  wanted_ = wanted;
}

uint8_t* Meter::scales(size_t bytes) {
  if (!wants()) return nullptr;
  if (scales_.size() < bytes) scales_.resize(bytes);
  return scales_.data();
}

float* Meter::decoded(size_t count) {
  if (decoded_.size() < count) decoded_.resize(count);
  return decoded_.data();
}

void Meter::cast(DType from, DType model, const uint8_t* src, const uint8_t* made, size_t count) {
  if (!wants() || !is_float(from) || !is_float(model)) return;
  Statistics& total = statistics_[piece_];
  if (wanted_ == Wanted::kCounts) {
    Statistics counts = {};
    kernels_.statistics.compare(from, model, src, nullptr, count, &counts);
    total.non_finite += counts.non_finite;
    total.overflowed += counts.overflowed;
    return;
  }
  if (from == model) return kernels_.statistics.compare(from, model, src, nullptr, count, &total);
  for (size_t first = 0; first < count; first += kBatch) {
    const size_t step = std::min(kBatch, count - first);
    uint8_t* values = bytes_of(decoded(step));
    kernels_.element.cast(model, DType::kF32, made + first * float_bytes(model), values, step);
    kernels_.statistics.compare(from, model, src + first * float_bytes(from), values, step, &total);
  }
}

// Adds errors; of elements that were not lent the rest is known from their cast.
void Meter::add(DType from, DType model, const uint8_t* src, const uint8_t* made_f32, size_t count,
                bool lent) {
  Statistics& total = statistics_[piece_];
  const uint64_t non_finite = total.non_finite;
  const uint64_t overflowed = total.overflowed;
  kernels_.statistics.compare(from, model, src, made_f32, count, &total);
  if (lent) return;
  total.non_finite = non_finite;
  total.overflowed = overflowed;
}

void Meter::stored_bf16(const uint8_t* src_f32, const uint8_t* made_bf16, size_t count, bool lent) {
  if (!wants()) return;
  for (size_t first = 0; first < count; first += kBatch) {
    const size_t step = std::min(kBatch, count - first);
    uint8_t* values = bytes_of(decoded(step));
    kernels_.element.cast(DType::kBf16, DType::kF32, made_bf16 + first * 2, values, step);
    add(DType::kF32, DType::kF32, src_f32 + first * 4, values, step, lent);
  }
}

void Meter::groups(const GroupQuantizeArgs& args, bool lent) {
  if (!wants()) return;
  Statistics& total = statistics_[piece_];
  const uint64_t non_finite = total.non_finite;
  const uint64_t overflowed = total.overflowed;
  kernels_.statistics.compare_groups(&args, &total);
  if (lent) return;
  total.non_finite = non_finite;
  total.overflowed = overflowed;
}

void Meter::fp8(Fp8 format, float scale, const Made& made) {
  if (!wants()) return;
  if (widened_.size() < kBatch * 2) widened_.resize(kBatch * 2);
  for (size_t first = 0; first < made.count; first += kBatch) {
    const size_t step = std::min(kBatch, made.count - first);
    const uint8_t* stored = made.stored + first;
    float* values = decoded(step);
    if (format == Fp8::kE4m3) {
      kernels_.element.cast(DType::kF8E4m3, DType::kF32, stored, bytes_of(values), step);
    } else {  // the upper half of an f16
      for (size_t i = 0; i < step; ++i) {
        widened_[2 * i] = 0;
        widened_[2 * i + 1] = stored[i];
      }
      kernels_.element.cast(DType::kF16, DType::kF32, widened_.data(), bytes_of(values), step);
    }
    for (size_t i = 0; i < step; ++i) values[i] *= scale;
    add(DType::kF16, DType::kF16, made.source + first * 2, bytes_of(values), step, made.lent);
  }
}

void Meter::ft(size_t cols, const uint8_t* scales_f16, const Made& made) {
  if (!wants()) return;
  Statistics& total = statistics_[piece_];
  for (size_t first = 0; first < made.count; first += cols) {
    const uint8_t* scale_bits = scales_f16 + first / cols * 2;
    float scale;
    kernels_.element.cast(DType::kF16, DType::kF32, scale_bits, bytes_of(&scale), 1);
    float* values = decoded(cols);
    for (size_t i = 0; i < cols; ++i) {
      values[i] = static_cast<float>(static_cast<int>(made.stored[first + i]) - 8) * scale;
    }
    add(DType::kF16, DType::kF16, made.source + first * 2, bytes_of(values), cols, made.lent);
    total.zero_groups += scale == 0;
    total.infinite_scales += !(scale <= 65504.0f);
  }
}

}  // namespace mlc
