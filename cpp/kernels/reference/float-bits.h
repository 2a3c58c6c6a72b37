// The number formats, spelled out. Every rounding is to nearest, ties to even, and happens in
// integers, so that it depends on no compiler flag and no processor.
//
//   f32   s eeeeeeee mmmmmmmmmmmmmmmmmmmmmmm      bias 127
//   bf16  s eeeeeeee mmmmmmm                      bias 127: the upper half of an f32
//   f16   s eeeee mmmmmmmmmm                      bias 15
//   e4m3  s eeee mmm                              bias 7, no infinity, NaN is s 1111 111
//   e5m2  s eeeee mm                              bias 15, infinity and NaN like f16
#pragma once

#include <cstdint>
#include <cstring>

namespace mlc {

template <typename T>
static inline T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <typename T>
static inline void store(uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

static inline uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline uint64_t bits_of(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float f32_from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

static inline double f64_from_bits(uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// a * b + c with one rounding. The f64 product of two f32 is exact; the sum is rounded to odd,
// which makes its second rounding, to f32, the right one.
static inline float fused_multiply_add(float a, float b, float c) {
  const double product = static_cast<double>(a) * static_cast<double>(b);
  const double addend = static_cast<double>(c);
  const double sum = product + addend;
  const double back = sum - product;
  const double lost = (product - (sum - back)) + (addend - back);
  uint64_t bits = bits_of(sum);
  const bool finite = (bits >> 52 & 0x7FF) != 0x7FF;
  if (finite && lost != 0 && (bits & 1) == 0) bits += (lost > 0) == (sum > 0) ? 1 : ~uint64_t{0};
  return static_cast<float>(f64_from_bits(bits));
}

// A small binary format: `mantissa` stored bits, exponents biased by `bias`.
struct SmallFloat {
  int mantissa;
  int bias;
};

constexpr SmallFloat kF16Format = {10, 15};
constexpr SmallFloat kBf16Format = {7, 127};
constexpr SmallFloat kE4m3Format = {3, 7};
constexpr SmallFloat kE5m2Format = {2, 15};

// The magnitude of a finite `value`, rounded to `format` as if its exponent had no upper end: a
// number that is too large comes back with an exponent field that is too large. No sign.
static inline uint32_t round_magnitude(double value, SmallFloat format) {
  const uint64_t bits = bits_of(value) & 0x7FFFFFFFFFFFFFFF;
  const int exponent = static_cast<int>(bits >> 52);  // biased by 1023
  if (exponent == 0) return 0;                        // below 2^-1022: zero in every format here
  const uint64_t significand = (bits & 0xFFFFFFFFFFFFF) | (uint64_t{1} << 52);
  const int lowest = 1 - format.bias;  // the exponent that subnormals share
  const int field = exponent - 1023 < lowest ? 0 : exponent - 1023 + format.bias;
  const int drop = 52 - format.mantissa + (field == 0 ? lowest - (exponent - 1023) : 0);
  if (drop > 53) return 0;  // less than half of the smallest subnormal
  const uint64_t kept = significand >> drop;
  const uint64_t rest = significand & ((uint64_t{1} << drop) - 1);
  const uint64_t half = uint64_t{1} << (drop - 1);
  const bool up = rest > half || (rest == half && (kept & 1) != 0);
  // A normal number's leading one adds one to the field; a carry out of the mantissa adds another.
  const uint64_t base = field == 0 ? 0 : static_cast<uint64_t>(field - 1) << format.mantissa;
  return static_cast<uint32_t>(base + kept + (up ? 1 : 0));
}

static inline bool is_nan(double value) { return value != value; }

// A NaN keeps its sign and its upper payload bits, and becomes quiet.
static inline uint32_t nan_payload(double value, SmallFloat format) {
  const uint64_t payload = bits_of(value) & 0xFFFFFFFFFFFFF;
  return static_cast<uint32_t>(payload >> (52 - format.mantissa)) | 1u << (format.mantissa - 1);
}

// f64 -> f16 or bf16, one rounding; beyond the largest finite number lies infinity.
static inline uint16_t round_to_half(double value, SmallFloat format) {
  const uint32_t sign = static_cast<uint32_t>(bits_of(value) >> 63) << 15;
  const uint32_t infinity = 0x7FFFu >> format.mantissa << format.mantissa;
  if (is_nan(value)) return static_cast<uint16_t>(sign | infinity | nan_payload(value, format));
  const bool infinite = (bits_of(value) << 1) == uint64_t{0x7FF} << 53;
  const uint32_t magnitude = infinite ? infinity : round_magnitude(value, format);
  return static_cast<uint16_t>(sign | (magnitude < infinity ? magnitude : infinity));
}

// Widening is exact. A signalling NaN becomes quiet, but for bf16 -> f32, which only moves bits.
static inline double f64_from_f32(float value) { return static_cast<double>(value); }

static inline float f32_from_bf16(uint16_t bits) {
  return f32_from_bits(static_cast<uint32_t>(bits) << 16);
}

static inline float f32_from_f16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t field = (bits >> 10) & 0x1F;
  const uint32_t mantissa = bits & 0x3FF;
  if (field == 0x1F) {
    const uint32_t quiet = mantissa == 0 ? 0 : 0x400000;
    return f32_from_bits(sign | 0x7F800000 | mantissa << 13 | quiet);
  }
  if (field == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return f32_from_bits(sign | bits_of(magnitude));
  }
  return f32_from_bits(sign | (field + 112) << 23 | mantissa << 13);
}

static inline float f32_from_e4m3(uint8_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x80) << 24;
  const uint32_t field = (bits >> 3) & 0xF;
  const uint32_t mantissa = bits & 0x7;
  if (field == 0xF && mantissa == 7) return f32_from_bits(sign | 0x7FC00000);
  if (field == 0) return f32_from_bits(sign | bits_of(static_cast<float>(mantissa) * 0x1p-9f));
  return f32_from_bits(sign | (field + 120) << 23 | mantissa << 20);
}

// f32 -> f16 and bf16, one rounding. NaNs are narrowed from their f32 bits, so that a conversion to
// f64 in between cannot change them.
static inline uint16_t f16_from_f32(float value) {
  const uint32_t bits = bits_of(value);
  if (is_nan(value)) {
    return static_cast<uint16_t>((bits >> 16 & 0x8000) | 0x7E00 | (bits >> 13 & 0x3FF));
  }
  return round_to_half(value, kF16Format);
}

static inline uint16_t bf16_from_f32(float value) {
  const uint32_t bits = bits_of(value);
  if (is_nan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

}  // namespace mlc
