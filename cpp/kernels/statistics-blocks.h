// StatisticsKernels for an instruction set `Isa` that offers, for at most kStatisticsBlock
// elements,
//   static uint32_t largest(const uint8_t* src, size_t width, size_t count)
//                                               the largest magnitude, in the elements' own bits
//   template <DType From, Stored S> static void block(const CompareArgs&, Statistics*)
// and what kernels need that measure on their way. `Sums` is an instruction set's own; it has
//   all_finite(sums)            whether nothing was lost: a NaN or an infinity shows in the squares,
//                               a value that was rounded to infinity in the errors
//   store_sums(sums, lanes)
// All of it has internal linkage, as in statistics-lanes.h.
#pragma once

#include "backends.h"
#include "statistics-lanes.h"

namespace mlc {
namespace {

constexpr size_t width_of(Stored stored) {
  return stored == Stored::kF32 ? 4 : stored == Stored::kF16 || stored == Stored::kBf16 ? 2 : 1;
}

// Whether 32 elements are surely stored as they are: f32 keeps every bf16 and f16; f16 keeps bf16,
// which has eight significant bits, from 2^-17 on. Where it is asked, Isa has
//   template <uint32_t kLeast, uint32_t kLimit> static bool all_within(const uint8_t* src)
//                                               of 32 magnitudes of two bytes, the limit excluded
template <class Isa, DType From, Stored S>
bool are_kept(const uint8_t* src) {
  if constexpr (S == Stored::kF16 && From == DType::kBf16) {
    constexpr uint32_t kLeast = 0x3700;
    return Isa::template all_within<kLeast, first_lost(From, DType::kF16)>(src);
  } else {
    (void)src;
    return S == Stored::kF32 && From != DType::kF32;
  }
}

// A block with anything that is lost or not finite is the reference's.
template <class Isa>
void count(DType from, DType model, const uint8_t* src, size_t count, Statistics* out) {
  const size_t width = width_of(from);
  for (size_t first = 0; first < count; first += kStatisticsBlock) {
    const size_t block = count - first < kStatisticsBlock ? count - first : kStatisticsBlock;
    const uint8_t* at = src + first * width;
    if (Isa::largest(at, width, block) >= first_lost(from, model)) {
      kReferenceStatistics.count(from, model, at, block, out);
    } else {
      out->elements += block;
    }
  }
}

// At most kStatisticsBlock elements from `first` on; `from` and `stored` are bytes of one.
inline CompareArgs block_at(const CompareArgs& all, size_t first, size_t from, size_t stored) {
  CompareArgs block = all;
  block.src += first * from;
  block.made += first * stored;
  block.count = all.count - first < kStatisticsBlock ? all.count - first : kStatisticsBlock;
  return block;
}

// Adds the sums of `count` elements. False, and nothing added, where something is lost or not
// finite: the reference then finds what.
template <class Sums>
bool add_finite(const Sums& sums, size_t count, Statistics* out) {
  if (!all_finite(sums)) return false;
  Lanes lanes = {};
  store_sums(sums, &lanes);
  out->elements += count;
  add_lanes(lanes, out);
  return true;
}

template <class Sums>
void add_block(const Sums& sums, const CompareArgs& block, Statistics* out) {
  if (!add_finite(sums, block.count, out)) kReferenceStatistics.compare(&block, out);
}

template <class Sums>
using MakeBlock = void (*)(const CompareArgs& block, uint8_t* dst, Sums* sums);

// Makes one byte of each of the f16 elements of `all`, block by block: `make(block, dst, sums)`
// sets a block's sums; where they are not finite, `remake` makes the block.
template <class Sums>
void measure_blocks(const CompareArgs& all, uint8_t* dst, MakeBlock<Sums> make,
                    MakeBlock<Sums> remake, Statistics* out) {
  for (size_t first = 0; first < all.count; first += kStatisticsBlock) {
    const CompareArgs block = block_at(all, first, 2, 1);
    Sums sums;
    make(block, dst + first, &sums);
    if (add_finite(sums, block.count, out)) continue;
    remake(block, dst + first, nullptr);
    kReferenceStatistics.compare(&block, out);
  }
}

template <class Isa, DType From, Stored S>
void compare_blocks(const CompareArgs& args, Statistics* out) {
  for (size_t first = 0; first < args.count; first += kStatisticsBlock) {
    Isa::template block<From, S>(block_at(args, first, width_of(From), width_of(S)), out);
  }
}

template <class Isa, DType From>
void compare_floats(const CompareArgs& args, Statistics* out) {
  if (args.stored == Stored::kF32) return compare_blocks<Isa, From, Stored::kF32>(args, out);
  if (args.stored == Stored::kF16) return compare_blocks<Isa, From, Stored::kF16>(args, out);
  compare_blocks<Isa, From, Stored::kBf16>(args, out);
}

template <class Isa>
void compare(const CompareArgs* args, Statistics* out) {
  switch (args->stored) {
    case Stored::kE4m3:
      return compare_blocks<Isa, DType::kF16, Stored::kE4m3>(*args, out);
    case Stored::kE5m2:
      return compare_blocks<Isa, DType::kF16, Stored::kE5m2>(*args, out);
    case Stored::kFtCode:
      return compare_blocks<Isa, DType::kF16, Stored::kFtCode>(*args, out);
    default:
      break;
  }
  if (args->from == DType::kF32) return compare_floats<Isa, DType::kF32>(*args, out);
  if (args->from == DType::kF16) return compare_floats<Isa, DType::kF16>(*args, out);
  compare_floats<Isa, DType::kBf16>(*args, out);
}

}  // namespace
}  // namespace mlc
