// Casts and the few verbs that compute (formats.md section 4).
#include "../backends.h"
#include "float-bits.h"

namespace mlc {
namespace {

size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64:
    case DType::kU64:
      return 8;
    case DType::kF32:
    case DType::kI32:
    case DType::kU32:
      return 4;
    case DType::kF16:
    case DType::kBf16:
    case DType::kI16:
    case DType::kU16:
      return 2;
    case DType::kF8E4m3:
    case DType::kI8:
    case DType::kU8:
    case DType::kBool:
      return 1;
  }
  return 0;
}

// ---- one rounding from the exact value ---------------------------------------------------------

// A 64-bit integer as a double that rounds to f32, f16 and bf16 as the integer itself would: where
// it has more than 53 bits, the lowest 24 become one sticky bit.
double sticky_double(uint64_t magnitude) {
  if (magnitude >> 53 == 0) return static_cast<double>(magnitude);
  const uint64_t sticky = (magnitude & 0xFFFFFF) != 0 ? 1 : 0;
  return static_cast<double>(magnitude >> 24 | sticky) * 0x1p24;
}

double from_signed(int64_t value) {
  const uint64_t bits = static_cast<uint64_t>(value);
  return value < 0 ? -sticky_double(0 - bits) : sticky_double(bits);
}

// The values of one dtype that a double holds, or stands for; f32 and narrower floats are apart.
double load_wide(DType from, const uint8_t* at) {
  switch (from) {
    case DType::kF64:
      return load<double>(at);
    case DType::kI8:
      return load<int8_t>(at);
    case DType::kU8:
      return *at;
    case DType::kBool:
      return *at != 0 ? 1 : 0;
    case DType::kI16:
      return load<int16_t>(at);
    case DType::kU16:
      return load<uint16_t>(at);
    case DType::kI32:
      return load<int32_t>(at);
    case DType::kU32:
      return load<uint32_t>(at);
    case DType::kI64:
      return from_signed(load<int64_t>(at));
    case DType::kU64:
      return sticky_double(load<uint64_t>(at));
    default:
      return 0;
  }
}

bool is_narrow_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBf16 ||
         dtype == DType::kF8E4m3;
}

float load_float(DType from, const uint8_t* at) {
  switch (from) {
    case DType::kF16:
      return f32_from_f16(load<uint16_t>(at));
    case DType::kBf16:
      return f32_from_bf16(load<uint16_t>(at));
    case DType::kF8E4m3:
      return f32_from_e4m3(*at);
    default:
      return load<float>(at);
  }
}

void store_float(DType to, float value, uint8_t* at) {
  if (to == DType::kF16) return store<uint16_t>(at, f16_from_f32(value));
  if (to == DType::kBf16) return store<uint16_t>(at, bf16_from_f32(value));
  store<float>(at, value);
}

void store_wide(DType from, DType to, double value, uint8_t* at) {
  if (to == DType::kF16) return store<uint16_t>(at, round_to_half(value, kF16Format));
  if (to == DType::kF32) return store<float>(at, static_cast<float>(value));
  // f64 goes to bf16 through f32, as upstream does; an integer goes there at once.
  if (from == DType::kF64) return store<uint16_t>(at, bf16_from_f32(static_cast<float>(value)));
  store<uint16_t>(at, round_to_half(value, kBf16Format));
}

void cast(DType from, DType to, const uint8_t* src, uint8_t* dst, size_t count) {
  if (from == to) {
    if (count != 0) std::memcpy(dst, src, count * size_of(from));
    return;
  }
  const size_t step = size_of(from);
  const size_t out = size_of(to);
  const bool narrow = is_narrow_float(from);
  for (size_t i = 0; i < count; ++i) {
    if (narrow) {
      store_float(to, load_float(from, src + i * step), dst + i * out);
    } else {
      store_wide(from, to, load_wide(from, src + i * step), dst + i * out);
    }
  }
}

// ---- verbs -------------------------------------------------------------------------------------

// The f32 sum of two f16 or bf16 numbers has more than twice their digits: rounding it again gives
// the correctly rounded sum.
void add_one(DType dtype, const uint8_t* src, uint8_t* dst, size_t count) {
  const size_t step = size_of(dtype);
  for (size_t i = 0; i < count; ++i) {
    store_float(dtype, load_float(dtype, src + i * step) + 1.0f, dst + i * step);
  }
}

void divide_pow2(DType dtype, int shift, const uint8_t* src, uint8_t* dst, size_t count) {
  // 2^-shift as a double; beyond +-1000 every result is zero or infinite anyway.
  const int power = shift > 1000 ? -1000 : shift < -1000 ? 1000 : -shift;
  const double factor = f64_from_bits(static_cast<uint64_t>(1023 + power) << 52);
  const size_t step = size_of(dtype);
  for (size_t i = 0; i < count; ++i) {
    const float value = load_float(dtype, src + i * step);
    if (is_nan(value)) {
      store_float(dtype, value + 1.0f, dst + i * step);  // quiet, payload kept
    } else if (dtype == DType::kF32) {
      store<float>(dst + i * step, static_cast<float>(value * factor));
    } else {
      const SmallFloat format = dtype == DType::kF16 ? kF16Format : kBf16Format;
      store<uint16_t>(dst + i * step, round_to_half(value * factor, format));
    }
  }
}

// exp in double from additions and multiplications alone, so that every platform gives the same
// bits: x = k ln 2 + r with |r| <= ln 2 / 2, e^r by its series up to r^13 / 13! (the rest is below
// 2^-57).
double exp_double(double x) {
  if (is_nan(x)) return x;
  if (x > 89) return f64_from_bits(uint64_t{0x7FF} << 52);  // beyond the largest f32
  if (x < -104) return 0;                                   // below half the smallest f32
  constexpr double kLn2High = 0x1.62e42fefa3800p-1;         // 42 bits: k * kLn2High is exact
  constexpr double kLn2Low = 0x1.ef35793c76730p-45;
  const double scaled = x * 0x1.71547652b82fep+0;
  const int k = static_cast<int>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
  const double r = (x - k * kLn2High) - k * kLn2Low;
  double sum = 1;
  for (int n = 13; n >= 1; --n) sum = 1 + sum * r / n;
  return sum * f64_from_bits(static_cast<uint64_t>(1023 + k) << 52);
}

void exp_neg_exp(const uint8_t* src, uint8_t* dst, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const float inner = static_cast<float>(exp_double(load<float>(src + i * 4)));
    store<float>(dst + i * 4, static_cast<float>(exp_double(-inner)));
  }
}

void encode_bf16(const uint8_t* src, uint8_t* dst, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = load<uint32_t>(src + i * 4);
    const bool rounds = (bits & 0x7FFFFFFF) < 0x7F7F0000;
    const uint32_t carry = rounds ? 0x7FFF + (bits >> 16 & 1) : 0;
    store<uint16_t>(dst + i * 2, static_cast<uint16_t>((bits + carry) >> 16));
  }
}

}  // namespace

const ElementKernels kReferenceElement = {cast, add_one, divide_pow2, exp_neg_exp, encode_bf16};

}  // namespace mlc
