// Group quantization: which groups make a batch, and where their results go.
//
// Everything here has internal linkage, as in group-batch.h.
#pragma once

#include "group-batch.h"

namespace mlc {
namespace {

// From one group of the batch to the next: one group on, or one row on.
struct Step {
  size_t words;
  size_t scales;
};

template <class Isa, class S>
void store_batch(const Batch& batch, const GroupQuantizeArgs& args, Step step, uint8_t* words,
                 uint8_t* scales) {
  if (words == nullptr || words == batch.out) {
    // Not wanted, or already there.
  } else if (step.words == 4 && batch.count == kRows) {
    Isa::store_transposed(batch, words, args.word_stride);
  } else {
    for (size_t i = 0; i < batch.count; ++i) {
      for (size_t w = 0; w < 4; ++w) {
        std::memcpy(words + i * step.words + w * args.word_stride, &batch.words[i][w], 4);
      }
    }
  }
  if (scales != nullptr && step.scales == S::kScale) {
    std::memcpy(scales, batch.scales, batch.count * S::kScale);
  } else if (scales != nullptr) {
    for (size_t i = 0; i < batch.count; ++i) {
      std::memcpy(scales + i * step.scales, batch.scales + i * S::kScale, S::kScale);
    }
  }
}

// `count` groups from (row, group) on: of one row, or (`down`) of as many rows.
struct Place {
  size_t row;
  size_t group;
  size_t count;
  bool down;
};

// The part of `args` that a batch is.
template <class S>
GroupQuantizeArgs part_of(const GroupQuantizeArgs& args, const Place& place) {
  const size_t first = place.group * S::kGroup;
  const size_t wanted = place.down ? S::kGroup : place.count * S::kGroup;
  GroupQuantizeArgs part = args;
  part.src += place.row * args.src_row_stride + first * S::kSource;
  part.rows = place.down ? place.count : 1;
  part.cols = args.cols - first < wanted ? args.cols - first : wanted;
  if (args.words != nullptr) {
    part.words += place.row * args.word_row_stride + place.group * 4 * args.word_stride;
  }
  if (args.scales != nullptr) {
    part.scales += place.row * args.scale_row_stride + place.group * args.scale_stride;
  }
  return part;
}

// A magnitude, in the source's bits, from which on no group's scale is zero in any model: 2^-14 or
// 2^-15, of which a seventh is more than half of the smallest f16.
constexpr uint32_t certainly_scaled(DType from) {
  return from == DType::kF32 ? 0x38000000 : from == DType::kF16 ? 0x0400 : 0x3800;
}

template <class S>
void add_batch(const Batch& batch, Statistics* out) {
  out->elements += batch.count * batch.elements;
  if (batch.least < certainly_scaled(S::kFrom)) {
    for (size_t i = 0; i < batch.count; ++i) out->zero_groups += batch.stored[i] == 0;
  }
  add_lanes(batch.lanes, out);
}

template <class Isa, class S>
void run_batch(const GroupQuantizeArgs& args, const Place& place) {
  const GroupQuantizeArgs part = part_of<S>(args, place);
  const Step steps = {place.down ? args.word_row_stride : 4 * args.word_stride,
                      place.down ? args.scale_row_stride : args.scale_stride};
  Batch batch;
  std::memset(batch.magnitudes, 0, sizeof batch.magnitudes);
  batch.count = place.count;
  if (S::kMeasured) batch.max_error = static_cast<float>(args.statistics->max_error);
  batch.elements = part.cols < S::kGroup ? part.cols : S::kGroup;
  batch.unrounded = args.divide_by_unrounded_scale;
  batch.apart = place.down;
  batch.wants_words = part.words != nullptr;
  batch.src = part.src;
  batch.src_step = place.down ? args.src_row_stride : S::kGroup * S::kSource;
  const bool in_place =
      part.words != nullptr && args.word_stride == 4 && batch.elements == S::kGroup;
  batch.out = in_place ? part.words : reinterpret_cast<uint8_t*>(batch.words);
  batch.out_step = in_place ? steps.words : sizeof batch.words[0];
  const bool done = batch.elements < S::kGroup ? quantize_short_batch<Isa, S>(batch)
                    : place.down               ? quantize_copied_batch<Isa, S>(batch)
                                               : quantize_batch<Isa, S>(batch);
  if (S::kMeasured && !done) return kReferenceGroup.quantize(&part);
  store_batch<Isa, S>(batch, args, steps, part.words, part.scales);
  if (S::kMeasured) add_batch<S>(batch, args.statistics);
}

// Whether sixteen neighbouring words are a line of 64 bytes, in all four rows of words. The next
// look at such lines is far away, and their strides would crowd them into a few sets of a cache.
inline bool are_lines(const uint8_t* words, size_t word_stride) {
  return (reinterpret_cast<uintptr_t>(words) | word_stride) % 64 == 0;
}

// Rows lie pages apart, where the processor does not guess what comes next: asks for the next rows
// of a group.
template <class S>
void prefetch_below(const GroupQuantizeArgs& args, size_t row, size_t group) {
  const size_t end = row + at_most(args.rows - row, kRows);
  for (size_t next = row; next < end; ++next) {
    const uint8_t* src = args.src + next * args.src_row_stride + group * S::kGroup * S::kSource;
    for (size_t at = 0; at < S::kGroup * S::kSource; at += 64) prefetch(src + at);
  }
}

template <class Isa, class S>
void run(const GroupQuantizeArgs& args) {
  const size_t whole = args.cols / S::kGroup;
  const size_t groups = (args.cols + S::kGroup - 1) / S::kGroup;
  const bool down =
      args.words != nullptr ? args.word_row_stride == 4 : args.scale_row_stride == S::kScale;
  if (down) {
    for (size_t row = 0; row < args.rows; row += kRows) {
      for (size_t group = 0; group < groups; ++group) {
        prefetch_below<S>(args, row + at_most(args.rows - row, kRows), group);
        run_batch<Isa, S>(args, {row, group, at_most(args.rows - row, kRows), true});
      }
    }
    Isa::finish_lines();
    return;
  }
  for (size_t row = 0; row < args.rows; ++row) {
    for (size_t group = 0; group < whole; group += kBatch) {
      run_batch<Isa, S>(args, {row, group, at_most(whole - group, kBatch), false});
    }
    if (whole < groups) run_batch<Isa, S>(args, {row, whole, 1, false});
  }
}

template <class Isa, DType From, DType Model, int Bits>
void run_measured(const GroupQuantizeArgs& args) {
  if (args.statistics != nullptr) return run<Isa, Scheme<From, Model, Bits, true>>(args);
  run<Isa, Scheme<From, Model, Bits, false>>(args);
}

template <class Isa, DType From, DType Model>
void run_bits(const GroupQuantizeArgs& args) {
  if (args.bits == 4) return run_measured<Isa, From, Model, 4>(args);
  run_measured<Isa, From, Model, 3>(args);
}

template <class Isa, DType From>
void run_model(const GroupQuantizeArgs& args) {
  if (args.model == DType::kF16) return run_bits<Isa, From, DType::kF16>(args);
  if (args.model == DType::kBf16) return run_bits<Isa, From, DType::kBf16>(args);
  run_bits<Isa, From, DType::kF32>(args);
}

// GroupKernels::quantize.
template <class Isa>
void quantize_in_batches(const GroupQuantizeArgs* args) {
  if (args->from == DType::kBf16) return run_model<Isa, DType::kBf16>(*args);
  if (args->from == DType::kF16) return run_model<Isa, DType::kF16>(*args);
  run_model<Isa, DType::kF32>(*args);
}

}  // namespace
}  // namespace mlc
