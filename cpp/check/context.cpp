#include "context.h"

#include <cmath>
#include <cstdio>
#include <cstring>

namespace mlc::check {
namespace {

struct DTypeName {
  DType dtype;
  const char* name;
  size_t size;
};

constexpr DTypeName kNames[] = {
    {DType::kF64, "f64", 8},   {DType::kF32, "f32", 4},     {DType::kF16, "f16", 2},
    {DType::kBf16, "bf16", 2}, {DType::kF8E4m3, "e4m3", 1}, {DType::kI8, "i8", 1},
    {DType::kU8, "u8", 1},     {DType::kI16, "i16", 2},     {DType::kU16, "u16", 2},
    {DType::kI32, "i32", 4},   {DType::kU32, "u32", 4},     {DType::kI64, "i64", 8},
    {DType::kU64, "u64", 8},   {DType::kBool, "bool", 1},
};

std::string hex(const uint8_t* bytes, size_t count) {
  std::string text;
  for (size_t i = count; i > 0; --i) {
    char pair[3];
    std::snprintf(pair, sizeof pair, "%02x", bytes[i - 1]);
    text += pair;
  }
  return text;
}

// A float whose bits, cut to the dtype, give about the value asked for: exactness does not matter
// here, only where the value lies.
uint32_t bits_near(DType dtype, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (dtype == DType::kF32) return bits;
  if (dtype == DType::kBf16) return bits >> 16;
  const uint32_t sign = bits >> 16 & 0x8000;
  const int exponent = static_cast<int>(bits >> 23 & 0xFF) - 112;
  const uint32_t significand = (bits & 0x7FFFFF) | 0x800000;
  if (exponent >= 31) return sign | 0x7BFF;
  if (exponent > 0) {
    return sign | static_cast<uint32_t>(exponent) << 10 | (significand >> 13 & 0x3FF);
  }
  return sign | (exponent < -10 ? 0 : significand >> (14 - exponent));
}

float uniform(Chance& chance) {  // -1 ... 1
  return static_cast<float>(static_cast<int64_t>(chance.next()) >> 40) * 0x1p-23f;
}

// Twelve uniform numbers are almost normally distributed, as the weights of trained models are.
float bell_shaped(Chance& chance) {
  float sum = 0;
  for (int i = 0; i < 12; ++i) sum += uniform(chance);
  return sum;
}

float value_of(Chance& chance, Spread spread) {
  switch (spread) {
    case Spread::kTiny:  // around the smallest normal f16 and its subnormals
      return uniform(chance) * std::ldexp(1.0f, -10 - static_cast<int>(chance.below(16)));
    case Spread::kHuge:  // around the largest f16
      return uniform(chance) * 80000.0f;
    case Spread::kTies:  // with scale 1: halves, and their neighbours
      return static_cast<float>(static_cast<int>(chance.below(29)) - 14) * 0.5f;
    default:
      return bell_shaped(chance) * 0.01f;
  }
}

}  // namespace

uint64_t Chance::next() {
  state_ ^= state_ >> 12;
  state_ ^= state_ << 25;
  state_ ^= state_ >> 27;
  return state_ * 0x2545F4914F6CDD1D;
}

const char* name_of(DType dtype) {
  for (const DTypeName& entry : kNames) {
    if (entry.dtype == dtype) return entry.name;
  }
  return "?";
}

size_t size_of(DType dtype) {
  for (const DTypeName& entry : kNames) {
    if (entry.dtype == dtype) return entry.size;
  }
  return 0;
}

bool parse_dtype(const std::string& name, DType* out) {
  for (const DTypeName& entry : kNames) {
    if (name == entry.name) {
      *out = entry.dtype;
      return true;
    }
  }
  return false;
}

void put_bits(DType dtype, uint32_t bits, uint8_t* at) {
  if (dtype == DType::kF32) {
    std::memcpy(at, &bits, 4);
  } else {
    const uint16_t half = static_cast<uint16_t>(bits);
    std::memcpy(at, &half, 2);
  }
}

const std::vector<uint32_t>& special_bits(DType dtype) {
  // NaNs of every kind, +-infinity, +-0, subnormals, the smallest normal, one, the largest; then
  // what lies beside the ends of f16 and bf16.
  static const std::vector<uint32_t> f16 = {
      0x7E00, 0xFE00, 0x7C01, 0xFC01, 0x7FFF, 0xFFFF, 0x7C00, 0xFC00, 0x0000, 0x8000, 0x0001,
      0x8001, 0x0003, 0x03FF, 0x83FF, 0x0400, 0x8400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF, 0x0006};
  static const std::vector<uint32_t> bf16 = {
      0x7FC0, 0xFFC0, 0x7F81, 0xFF81, 0x7FFF, 0xFFFF, 0x7F80, 0xFF80, 0x0000, 0x8000,
      0x0001, 0x8001, 0x007F, 0x0080, 0x8080, 0x3F80, 0xBF80, 0x7F7F, 0xFF7F, 0x477F,
      0x4780, 0xC77F, 0xC780, 0x3880, 0x387F, 0x3300, 0x32FF, 0x3301, 0x3B00, 0x3AFF};
  static const std::vector<uint32_t> f32 = {
      0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF800001, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800000,
      0xFF800000, 0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000,
      0x80800000, 0x3F800000, 0xBF800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F7F0000, 0x7F7EFFFF,
      0x7F7F8000, 0x477FE000, 0x477FEFFF, 0x477FF000, 0xC77FEFFF, 0xC77FF000, 0x33000000,
      0x33000001, 0x38800000, 0x387FFFFF, 0x387FF000, 0x3F801000, 0x3F803000, 0x3F808000,
      0x3F818000, 0x3F808001};
  return dtype == DType::kF16 ? f16 : dtype == DType::kBf16 ? bf16 : f32;
}

void fill(Chance& chance, DType dtype, Spread spread, uint8_t* out, size_t count) {
  const size_t size = size_of(dtype);
  const bool is_float = dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBf16;
  for (size_t i = 0; i < count; ++i) {
    uint8_t* at = out + i * size;
    if (spread == Spread::kZeros) {
      std::memset(at, 0, size);
      if (is_float && (chance.next() & 64) != 0) at[size - 1] = 0x80;
    } else if (is_float && spread != Spread::kAnyBits) {
      put_bits(dtype, bits_near(dtype, value_of(chance, spread)), at);
    } else {
      const uint64_t bits = chance.next() >> 7;
      const uint64_t word = bits ^ chance.next();
      std::memcpy(at, &word, size);
    }
  }
}

void Context::expect_equal(const Subject& subject, const Bytes& expected, const Bytes& actual) {
  ++comparisons_;
  const size_t size = expected.size();
  if (size == actual.size() &&
      (size == 0 || std::memcmp(expected.data(), actual.data(), size) == 0)) {
    return;
  }
  ++failures_;
  if (failures_ > 20) return;
  size_t at = 0;
  while (at < size && expected.data()[at] == actual.data()[at]) ++at;
  const size_t element = at / subject.unit;
  const size_t start = element * subject.unit;
  std::fprintf(stderr, "MISMATCH %s: %s: element %zu of %zu: expected %s, found %s\n", tested.name,
               subject.what.c_str(), element, size / subject.unit,
               hex(expected.data() + start, subject.unit).c_str(),
               hex(actual.data() + start, subject.unit).c_str());
}

Bytes bytes_of(const Statistics& statistics) {
  Bytes bytes(sizeof statistics);
  std::memcpy(bytes.data(), &statistics, sizeof statistics);
  return bytes;
}

}  // namespace mlc::check
