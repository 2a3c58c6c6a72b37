#include "meter.h"

#include <algorithm>

#include "program.h"

namespace mlc {

namespace {

// Elements that are decoded at once: what is decoded stays in the L2 cache. A whole number of
// blocks, and of those that statistics are summed in.
constexpr size_t kBatch = 16384;

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBf16;
}

Stored stored_as(DType model) {
  if (model == DType::kF32) return Stored::kF32;
  return model == DType::kF16 ? Stored::kF16 : Stored::kBf16;
}

uint8_t* bytes_of(float* values) { return reinterpret_cast<uint8_t*>(values); }

}  // namespace

void Meter::begin(size_t piece, Wanted wanted) {
  piece_ = piece;
  wanted_ = wanted;
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
    kernels_.statistics.count(from, model, src, count, &counts);
    total.non_finite += counts.non_finite;
    total.overflowed += counts.overflowed;
  } else if (from == model) {
    kernels_.statistics.count(from, model, src, count, &total);
  } else {
    const CompareArgs args = {from, model, stored_as(model), 1.0f, src, made, count};
    kernels_.statistics.compare(&args, &total);
  }
}

// Adds errors; of elements that were not lent the rest is known from their cast.
template <typename Add>
void Meter::add(bool lent, Add add) {
  Statistics& total = statistics_[piece_];
  const uint64_t non_finite = total.non_finite;
  const uint64_t overflowed = total.overflowed;
  add(&total);
  if (lent) return;
  total.non_finite = non_finite;
  total.overflowed = overflowed;
}

// Carries out a kernel that measures on the way, if anything is wanted.
template <typename Make>
void Meter::make(bool lent, Make make) {
  if (!wants()) return make(nullptr);
  add(lent, make);
}

void Meter::quantize(GroupQuantizeArgs args, bool lent) {
  make(lent, [&](Statistics* total) {
    args.statistics = total;
    kernels_.group.quantize(&args);
  });
}

void Meter::stored_bf16(const Made& made) {
  if (!wants()) return;
  const CompareArgs args = {DType::kF32, DType::kF32, Stored::kBf16, 1.0f,
                            made.source, made.stored, made.count};
  add(made.lent, [&](Statistics* total) { kernels_.statistics.compare(&args, total); });
}

void Meter::encode_fp8(Fp8 format, float scale, const Made& made) {
  make(made.lent, [&](Statistics* total) {
    kernels_.fp8.encode(format, made.source, scale, made.stored, made.count, total);
  });
}

void Meter::quantize_ft(size_t rows, size_t cols, const Made& made) {
  make(made.lent, [&](Statistics* total) {
    kernels_.ft.quantize(made.source, rows, cols, made.stored, nullptr, total);
  });
}

void Meter::ggml(GgmlType type, const Made& made) {
  if (!wants()) return;
  const ElementType stored = block_type(type);
  for (size_t first = 0; first < made.count; first += kBatch) {
    const size_t step = std::min(kBatch, made.count - first);
    uint8_t* values = bytes_of(decoded(step));
    kernels_.ggml.dequantize(type, made.stored + stored.bytes(first), values, step);
    const CompareArgs args = {DType::kF32, DType::kF32, Stored::kF32, 1.0f, made.source + first * 4,
                              values,      step};
    add(made.lent, [&](Statistics* total) { kernels_.statistics.compare(&args, total); });
  }
}

}  // namespace mlc
