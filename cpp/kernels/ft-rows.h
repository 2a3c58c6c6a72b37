// FasterTransformer's row-wise quantization for an instruction set `Isa` that has
//   fp8                                      its Fp8Kernels
//   static uint32_t largest(row, count)      the largest magnitude, in f16 bits
//   ByThresholds, ByDivision                 how codes are made: where the row's largest magnitude
//                                            is ordinary, and anywhere
//   template <class Code, bool kMeasured, bool kLargest>
//   static void block(const CompareArgs& row, uint8_t* codes, Sums* sums)
//                                            codes, and with kMeasured the sums; kLargest: look for
//                                            the largest error
//
// Everything here has internal linkage, as in group-batch.h.
#pragma once

#include "group-batch.h"
#include "measured-bytes.h"
#include "statistics-blocks.h"

namespace mlc {
namespace {

// Of a row that has NaNs: the largest of the others; a NaN if there is nothing else.
inline uint16_t maximum_without_nans(const Fp8Kernels& fp8, const uint8_t* row, size_t cols) {
  uint16_t max = 0;
  fp8.absmax(row, cols, &max);
  if (max != 0) return max;
  for (size_t i = 0; i < cols; ++i) {
    if ((read_bits(row + i * 2, 2) & 0x7FFF) == 0) return 0;
  }
  return 0x7E00;
}

// What a row's scale comes from, as f16 bits. `largest`: its largest magnitude, NaNs above infinity.
inline uint16_t ft_maximum(const Fp8Kernels& fp8, const uint8_t* row, size_t cols,
                           uint32_t largest) {
  if (largest > infinity_of(DType::kF16)) return maximum_without_nans(fp8, row, cols);
  return static_cast<uint16_t>(largest);
}

// A seventh, in f16 bits.
inline uint16_t ft_scale(uint16_t max) {
  const __m128 exact = _mm_set_ss(as_float(DType::kF16, max) / 7.0f);
  return static_cast<uint16_t>(_mm_cvtsi128_si32(_mm_cvtps_ph(exact, _MM_FROUND_TO_NEAREST_INT)));
}

// The codes of a row by its thresholds. `Codes`: an instruction set's Thresholds<FtSteps>.
template <class Codes>
class RowThresholds {
 public:
  explicit RowThresholds(float scale) : RowThresholds(scale, 1.0f / scale) {}

  template <class Vector>
  auto operator()(Vector w) const {
    return codes_(w, row_);
  }

 private:
  RowThresholds(float scale, float reciprocal) : row_(codes_.group(&scale, &reciprocal)) {}

  Codes codes_;
  typename Codes::Group row_;
};

// kRare: errors may be of any size.
template <class Isa, class Code, bool kRare>
void quantize_ft_row(const CompareArgs& row, uint8_t* codes, Statistics* statistics) {
  const auto plain = Isa::template block<Code, false, false>;
  if (statistics == nullptr) return plain(row, codes, nullptr);
  const float before = static_cast<float>(statistics->max_error);
  const auto measured = kRare || !(row.scale * kMostError < before)
                            ? Isa::template block<Code, true, true>
                            : Isa::template block<Code, true, false>;
  measure_blocks(row, codes, measured, plain, statistics);
  add_ft_scale(row.scale, statistics);
}

// FtKernels::quantize.
template <class Isa>
void quantize_ft_rows(const uint8_t* src, size_t rows, size_t cols, uint8_t* codes, uint8_t* scales,
                      Statistics* statistics) {
  for (size_t r = 0; r < rows; ++r) {
    const uint8_t* row = src + r * cols * 2;
    const uint32_t largest = Isa::largest(row, cols);
    const uint16_t scale = ft_scale(ft_maximum(Isa::fp8, row, cols, largest));
    if (scales != nullptr) std::memcpy(scales + r * 2, &scale, 2);
    if (codes == nullptr) continue;
    uint8_t* row_codes = codes + r * cols;
    const CompareArgs args = ft_args(row, as_float(DType::kF16, scale), row_codes, cols);
    if (ordinary(DType::kF16).has(largest)) {
      quantize_ft_row<Isa, typename Isa::ByThresholds, false>(args, row_codes, statistics);
    } else {
      quantize_ft_row<Isa, typename Isa::ByDivision, true>(args, row_codes, statistics);
    }
  }
}

}  // namespace
}  // namespace mlc
