// StatisticsKernels::compare for an instruction set `Isa` that offers
//   template <DType From, Stored S> static void block(const CompareArgs&, Statistics*)
// for at most kStatisticsBlock elements. All of it has internal linkage, as in statistics-lanes.h.
#pragma once

#include "statistics-lanes.h"

namespace mlc {
namespace {

constexpr size_t bytes_of(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

constexpr size_t bytes_of(Stored stored) {
  return stored == Stored::kF32 ? 4 : stored == Stored::kF16 || stored == Stored::kBf16 ? 2 : 1;
}

template <class Isa, DType From, Stored S>
void compare_blocks(const CompareArgs& args, Statistics* out) {
  for (size_t first = 0; first < args.count; first += kStatisticsBlock) {
    CompareArgs block = args;
    block.src += first * bytes_of(From);
    block.made += first * bytes_of(S);
    block.count = args.count - first < kStatisticsBlock ? args.count - first : kStatisticsBlock;
    Isa::template block<From, S>(block, out);
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
