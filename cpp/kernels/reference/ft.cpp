// FasterTransformer's row-wise quantization (quantization.md section 6); the layout is the
// engine's.
#include "../backends.h"
#include "../measured-bytes.h"
#include "float-bits.h"

namespace mlc {
namespace {

uint16_t row_maximum(const uint8_t* row, size_t cols) {
  uint16_t max = 0;
  bool any = false;
  for (size_t i = 0; i < cols; ++i) {
    const uint16_t magnitude = load<uint16_t>(row + i * 2) & 0x7FFF;
    if (magnitude > 0x7C00) continue;
    any = true;
    if (magnitude > max) max = magnitude;
  }
  return any ? max : 0x7E00;
}

// clamp(round_half_even(f16(w / scale)), -8, 7) + 8; NaN counts as 0.
uint8_t code_of(float w, float scale) {
  const float t = f32_from_f16(f16_from_f32(w / scale));
  if (is_nan(t)) return 8;
  if (t <= -8.0f) return 0;
  if (t >= 7.0f) return 15;
  const float shifted = t + 8.0f;  // exact where it matters: |t| < 8 has at most 24 digits after it
  const int below = static_cast<int>(shifted);
  const float rest = shifted - static_cast<float>(below);
  const bool up = rest > 0.5f || (rest == 0.5f && (below & 1) != 0);
  return static_cast<uint8_t>(below + (up ? 1 : 0));
}

void quantize(const uint8_t* src, size_t rows, size_t cols, uint8_t* codes, uint8_t* scales,
              Statistics* statistics) {
  for (size_t r = 0; r < rows; ++r) {
    const uint8_t* row = src + r * cols * 2;
    const uint16_t scale = f16_from_f32(f32_from_f16(row_maximum(row, cols)) / 7.0f);
    if (scales != nullptr) store<uint16_t>(scales + r * 2, scale);
    if (codes == nullptr) continue;
    const float divisor = f32_from_f16(scale);
    for (size_t i = 0; i < cols; ++i) {
      codes[r * cols + i] = code_of(f32_from_f16(load<uint16_t>(row + i * 2)), divisor);
    }
    compare_ft(kReferenceStatistics, ft_args(row, divisor, codes + r * cols, cols), statistics);
  }
}

}  // namespace

const FtKernels kReferenceFt = {quantize};

}  // namespace mlc
