// Per-tensor fp8 (quantization.md section 4).
#include "../backends.h"
#include "../measured-bytes.h"
#include "float-bits.h"

namespace mlc {
namespace {

void absmax(const uint8_t* src, size_t count, uint16_t* running) {
  uint16_t max = *running;
  for (size_t i = 0; i < count; ++i) {
    const uint16_t magnitude = load<uint16_t>(src + i * 2) & 0x7FFF;
    const bool nan = magnitude > 0x7C00;
    if (!nan && magnitude > max) max = magnitude;
  }
  *running = max;
}

// Saturates, infinities too. The sign is the dividend's, also a NaN's: processors differ in the
// sign of a NaN that a division itself makes. e4m3 has one NaN, e5m2's is the quiet one.
uint8_t encode_one(Fp8 format, float dividend, float scale) {
  const float value = dividend / scale;
  const uint32_t sign = bits_of(dividend) >> 24 & 0x80;
  const bool e4m3 = format == Fp8::kE4m3;
  if (is_nan(value)) return static_cast<uint8_t>(sign | (e4m3 ? 0x7F : 0x7E));
  const uint32_t largest = e4m3 ? 0x7E : 0x7B;  // 448 and 57344
  const bool infinite = (bits_of(value) & 0x7FFFFFFF) == 0x7F800000;
  const uint32_t magnitude =
      infinite ? largest : round_magnitude(value, e4m3 ? kE4m3Format : kE5m2Format);
  return static_cast<uint8_t>(sign | (magnitude < largest ? magnitude : largest));
}

void encode(Fp8 format, const uint8_t* src, float scale, uint8_t* dst, size_t count,
            Statistics* statistics) {
  for (size_t i = 0; i < count; ++i) {
    dst[i] = encode_one(format, f32_from_f16(load<uint16_t>(src + i * 2)), scale);
  }
  compare_fp8(kReferenceStatistics, fp8_args(format, src, scale, dst, count), statistics);
}

}  // namespace

const Fp8Kernels kReferenceFp8 = {absmax, encode};

}  // namespace mlc
