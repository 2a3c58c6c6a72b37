// Group quantization in batches: everything but the vectors, which an instruction set brings as
// `Isa`.
//
// Groups are taken in batches: neighbours of a row, or (transposed output) the same group of
// sixteen rows, so that sixteen results make whole cache lines of the output. A batch first finds
// every maximum, then all scales at once (a division takes long, but several at once take no
// longer), then quantizes its groups:
//   products     ordinary numbers: no division, and with an f16 model no rounding; see
//                group-thresholds.h and group-quotients.h
//   division     the definition, with true divisions
//   reference    a NaN is among the elements
//
// Isa has, for each Scheme S:
//   find_magnitudes<S>(batch)      the largest |w| of each group, in the source's bits, NaNs
//                                  largest; the least and most of them
//   find_scales<S>(batch)          magnitudes -> scales, divisors, reciprocals or stored scales
//   by_division<S>(batch, i, n)    the words of groups i ... i + n - 1
//   by_products<S, kLargest>(batch)    all words of a batch; kLargest: see may_err_most
//   store_transposed(batch, words, word_stride)    sixteen neighbouring groups, word by word; lines
//                                  of 64 bytes that are written whole (are_lines) past the caches
//   finish_lines()                 makes these stores visible to other threads
//
// With S::kMeasured both fill batch.lanes too, which is right where every element is finite.
//
// Everything here has internal linkage: each instruction set compiles a copy of its own.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "backends.h"
#include "group-quotients.h"
#include "group-thresholds.h"
#include "statistics-lanes.h"

namespace mlc {
namespace {

constexpr size_t kBatch = kStatisticsGroups;  // groups of one row
constexpr size_t kRows = kStatisticsRows;     // rows of one group

inline size_t at_most(size_t count, size_t limit) { return count < limit ? count : limit; }

// What one batch works on. Arrays are filled to `count`, and beyond with harmless values.
struct Batch {
  size_t count;
  size_t elements;  // that exist, of each group
  bool unrounded;   // GroupQuantizeArgs::divide_by_unrounded_scale
  bool apart;       // rows of one group, else neighbours of one row
  bool wants_words;
  uint8_t* out;  // where the words of the first group go: below, or where they belong
  size_t out_step;
  const uint8_t* src;  // of the first group; the others follow in steps
  size_t src_step;
  alignas(64) uint8_t magnitudes[kBatch * 4];  // the largest |w| in the source's bits
  alignas(64) float divisors[kBatch];
  alignas(64) float reciprocals[kBatch];
  alignas(64) float stored[kBatch];        // scales as they are stored; where measured
  alignas(64) uint8_t scales[kBatch * 4];  // in the model's bits
  alignas(64) uint32_t words[kBatch][4];
  uint32_t least;  // of the magnitudes
  uint32_t most;
  float max_error;  // the largest that was measured before this batch
  Lanes lanes;      // what was measured

  const uint8_t* group(size_t i) const { return src + i * src_step; }
};

template <DType From, DType Model, int Bits, bool Measured>
struct Scheme {
  using Steps = GroupSteps<Bits>;
  static constexpr DType kFrom = From;
  static constexpr DType kModel = Model;
  static constexpr int kBits = Bits;
  static constexpr bool kMeasured = Measured;
  static constexpr size_t kGroup = Bits == 4 ? 32 : 40;
  static constexpr size_t kSource = width_of(From);
  static constexpr size_t kScale = width_of(Model);
  static constexpr float kMaxInt = Steps::kZero;
};

// How a model's codes are made: `F16` with an f16 model, else `Other`.
template <DType Model, class F16, class Other>
struct ByModel {
  using Type = Other;
};
template <class F16, class Other>
struct ByModel<DType::kF16, F16, Other> {
  using Type = F16;
};

// Even and odd neighbours of a group are taken apart, as they lie in a dword.
template <class S>
constexpr bool kPaired = neighbours_share(S::kFrom, S::kBits);

// Whether weights are rounded to the model's type before anything else. Within the range of
// thresholds, the rounding of a bf16 to f16 changes only numbers so small that they quantize to
// max_int either way.
template <class S>
constexpr bool kRounds = (S::kFrom != S::kModel) && (S::kModel != DType::kF32) &&
                         !(S::kFrom == DType::kBf16 && S::kModel == DType::kF16);

// The largest magnitude of a group divided by this is its scale. With an f16 model a product with
// the reciprocal rounds to the same f16: in halves of the result's last place the quotient is n / 7
// (or n / 3) with an even n < 7 * 2^12, and the middle between two f16 is an odd integer, so that
// they are at least 1 / 7 apart, 2^-15 of it; two roundings change the product by less than 2^-22.
template <class S>
constexpr float kMaxIntReciprocal = 1.0f / S::kMaxInt;

inline void prefetch(const uint8_t* at) {
  _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T1);
}

// Asks for what lies a page behind a group: processors guess only within pages, and a page is
// quantized faster than memory answers. Of many lines that are asked for at once the last ones
// wait, so this is called group by group.
template <class S>
void prefetch_behind(const uint8_t* group) {
  constexpr size_t kPage = 4096;
  for (size_t at = 0; at < S::kGroup * S::kSource; at += 64) prefetch(group + kPage + at);
}

inline uint32_t read_bits(const uint8_t* at, size_t width) {
  uint32_t bits = 0;
  std::memcpy(&bits, at, width);
  return bits;
}

template <class S>
void quantize_by_reference(Batch& batch, size_t i) {
  GroupQuantizeArgs args = {};
  args.src = batch.group(i);
  args.rows = 1;
  args.cols = batch.elements;
  args.words = batch.out + i * batch.out_step;
  args.word_stride = 4;
  args.scales = batch.scales + i * S::kScale;
  args.from = S::kFrom;
  args.model = S::kModel;
  args.bits = S::kBits;
  args.group = S::kGroup;
  args.divide_by_unrounded_scale = batch.unrounded;
  kReferenceGroup.quantize(&args);
}

constexpr uint32_t infinity_of(DType dtype) {
  return dtype == DType::kF32 ? 0x7F800000 : dtype == DType::kF16 ? 0x7C00 : 0x7F80;
}

// Whether the path that a scheme usually takes is wrong for a group with this maximum.
template <class S>
bool is_rare(uint32_t magnitude) {
  constexpr Range kUsual = S::kModel == DType::kF16 ? ordinary(S::kFrom) : divisible(S::kFrom);
  return !kUsual.has(magnitude);
}

template <class Isa, class S>
void redo_rare(Batch& batch) {
  for (size_t i = 0; i < batch.count; ++i) {
    const uint32_t magnitude = read_bits(batch.magnitudes + i * S::kSource, S::kSource);
    if (magnitude > infinity_of(S::kFrom)) {
      quantize_by_reference<S>(batch, i);
    } else if (is_rare<S>(magnitude)) {
      Isa::template by_division<S>(batch, i, 1);
    }
  }
}

inline float as_float(DType dtype, uint32_t bits) {
  if (dtype == DType::kF16) {
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(static_cast<int>(bits))));
  }
  const uint32_t wide = dtype == DType::kBf16 ? bits << 16 : bits;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

// No error is larger than this times the stored scale, where nothing is rare: 1/2, 0.006 because of
// roundings in f16 (group-thresholds.h), 7 / 512 for the element's rounding to the model's type, and
// 7 / 512 where the divisor is not rounded as the scale is.
constexpr float kMostError = 0.53f;

// Whether an error of the batch may be larger than all before it. Two roundings make a scale less
// than 1/100 larger than the largest magnitude divided by M.
template <class S>
bool may_err_most(const Batch& batch) {
  constexpr float kPerMagnitude = 1.01f * kMostError * kMaxIntReciprocal<S>;
  return !(as_float(S::kFrom, batch.most) * kPerMagnitude < batch.max_error);
}

// Words of a batch of whole groups. Only what is the same for the whole batch can be measured.
template <class Isa, class S>
void quantize_words(Batch& batch, bool rare) {
  if (S::kMeasured && rare) return Isa::template by_division<S>(batch, 0, batch.count);
  if (S::kMeasured && may_err_most<S>(batch)) {
    Isa::template by_products<S, true>(batch);
  } else {
    Isa::template by_products<S, false>(batch);
  }
  if (rare) redo_rare<Isa, S>(batch);
}

// Words (if wanted) and scales of a batch of whole groups. False, and nothing made, where it is to
// be measured and has elements that are lost.
template <class Isa, class S>
bool quantize_batch(Batch& batch) {
  Isa::template find_magnitudes<S>(batch);
  if (S::kMeasured && batch.most >= first_lost(S::kFrom, S::kModel)) return false;
  Isa::template find_scales<S>(batch);
  if (batch.wants_words) {
    quantize_words<Isa, S>(batch, is_rare<S>(batch.least) || is_rare<S>(batch.most));
  } else if (batch.most > infinity_of(S::kFrom)) {
    redo_rare<Isa, S>(batch);
  }
  return true;
}

// Sixteen rows of a group lie in the same set of the first cache, which would not hold them until
// they are quantized: takes them together.
template <class Isa, class S>
bool quantize_copied_batch(Batch& batch) {
  alignas(64) uint8_t copied[kRows][S::kGroup * S::kSource];
  for (size_t i = 0; i < batch.count; ++i) {
    std::memcpy(copied[i], batch.group(i), sizeof copied[i]);
  }
  batch.src = copied[0];
  batch.src_step = sizeof copied[0];
  return quantize_batch<Isa, S>(batch);
}

// Short groups: filled up with zeros, which change no maximum; their values are cleared afterwards.
template <class Isa, class S>
bool quantize_short_batch(Batch& batch) {
  alignas(64) uint8_t padded[kRows][S::kGroup * S::kSource];
  for (size_t i = 0; i < batch.count; ++i) {
    std::memset(padded[i], 0, sizeof padded[i]);
    std::memcpy(padded[i], batch.group(i), batch.elements * S::kSource);
  }
  batch.src = padded[0];
  batch.src_step = sizeof padded[0];
  if (!quantize_batch<Isa, S>(batch)) return false;
  constexpr size_t kPerWord = 32 / S::kBits;
  for (size_t w = 0; w < 4; ++w) {
    const size_t before = w * kPerWord;
    const size_t kept = batch.elements < before ? 0 : batch.elements - before;
    const uint32_t mask = kept >= kPerWord ? ~0u : (1u << (kept * S::kBits)) - 1;
    for (size_t i = 0; i < batch.count; ++i) batch.words[i][w] &= mask;
  }
  return true;
}

}  // namespace
}  // namespace mlc
