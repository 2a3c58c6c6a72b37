// Casts and verbs in NEON, eight elements at a time. Casts from integers, f64 and fp8, and the
// verbs of few and small tensors (divide_pow2, exp_neg_exp) are the reference's.
#include "../backends.h"
#include "floats.h"

namespace mlc {
namespace {

struct Eight {
  float32x4_t low;
  float32x4_t high;
};

// How a dtype lies in memory, eight elements at a time.
struct F32 {
  static constexpr size_t kBytes = 4;
  static Eight load(const uint8_t* at) {
    return {vreinterpretq_f32_u8(vld1q_u8(at)), vreinterpretq_f32_u8(vld1q_u8(at + 16))};
  }
  static void store(uint8_t* at, const Eight& v) {
    vst1q_u8(at, vreinterpretq_u8_f32(v.low));
    vst1q_u8(at + 16, vreinterpretq_u8_f32(v.high));
  }
};

struct F16 {
  static constexpr size_t kBytes = 2;
  static Eight load(const uint8_t* at) {
    const uint16x8_t bits = load_u16(at);
    return {widen_f16(vget_low_u16(bits)), widen_f16(vget_high_u16(bits))};
  }
  static void store(uint8_t* at, const Eight& v) {
    vst1q_u8(at, vreinterpretq_u8_u16(vcombine_u16(narrow_f16(v.low), narrow_f16(v.high))));
  }
};

struct Bf16 {
  static constexpr size_t kBytes = 2;
  static Eight load(const uint8_t* at) {
    const uint16x8_t bits = load_u16(at);
    return {widen_bf16(vget_low_u16(bits)), widen_bf16(vget_high_u16(bits))};
  }
  static void store(uint8_t* at, const Eight& v) {
    vst1q_u8(at, vreinterpretq_u8_u16(vcombine_u16(narrow_bf16(v.low), narrow_bf16(v.high))));
  }
};

// The tensor cache's rule: beyond its limit the upper half is kept as it is.
struct Bf16OnDisk {
  static constexpr size_t kBytes = 2;
  static uint16x4_t narrow(float32x4_t v) {
    const uint32x4_t bits = bits_of(v);
    const uint32x4_t magnitude = vandq_u32(bits, vdupq_n_u32(0x7FFFFFFF));
    const uint32x4_t rounds = vcltq_u32(magnitude, vdupq_n_u32(0x7F7F0000));
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t carry = vandq_u32(rounds, vaddq_u32(odd, vdupq_n_u32(0x7FFF)));
    return vshrn_n_u32(vaddq_u32(bits, carry), 16);
  }
  static void store(uint8_t* at, const Eight& v) {
    vst1q_u8(at, vreinterpretq_u8_u16(vcombine_u16(narrow(v.low), narrow(v.high))));
  }
};

struct Same {
  static Eight apply(const Eight& v) { return v; }
};

struct AddOne {
  static Eight apply(const Eight& v) {
    const float32x4_t one = vdupq_n_f32(1.0f);
    return {vaddq_f32(v.low, one), vaddq_f32(v.high, one)};
  }
};

template <class From, class To, class Verb>
void map_elements(const uint8_t* src, uint8_t* dst, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    To::store(dst + i * To::kBytes, Verb::apply(From::load(src + i * From::kBytes)));
  }
  if (i == count) return;
  uint8_t in[8 * From::kBytes] = {0};
  uint8_t out[8 * To::kBytes];
  std::memcpy(in, src + i * From::kBytes, (count - i) * From::kBytes);
  To::store(out, Verb::apply(From::load(in)));
  std::memcpy(dst + i * To::kBytes, out, (count - i) * To::kBytes);
}

template <class From>
void cast_from(DType to, const uint8_t* src, uint8_t* dst, size_t count) {
  if (to == DType::kF32) return map_elements<From, F32, Same>(src, dst, count);
  if (to == DType::kF16) return map_elements<From, F16, Same>(src, dst, count);
  map_elements<From, Bf16, Same>(src, dst, count);
}

void cast(DType from, DType to, const uint8_t* src, uint8_t* dst, size_t count) {
  // A cast to the same dtype keeps every bit, a signalling NaN's too: it is a copy.
  if (from == to) return kReferenceElement.cast(from, to, src, dst, count);
  if (from == DType::kF32) return cast_from<F32>(to, src, dst, count);
  if (from == DType::kF16) return cast_from<F16>(to, src, dst, count);
  if (from == DType::kBf16) return cast_from<Bf16>(to, src, dst, count);
  kReferenceElement.cast(from, to, src, dst, count);
}

void add_one(DType dtype, const uint8_t* src, uint8_t* dst, size_t count) {
  if (dtype == DType::kF32) return map_elements<F32, F32, AddOne>(src, dst, count);
  if (dtype == DType::kF16) return map_elements<F16, F16, AddOne>(src, dst, count);
  map_elements<Bf16, Bf16, AddOne>(src, dst, count);
}

void encode_bf16(const uint8_t* src, uint8_t* dst, size_t count) {
  map_elements<F32, Bf16OnDisk, Same>(src, dst, count);
}

}  // namespace

const ElementKernels kNeonElement = {cast, add_one, nullptr, nullptr, encode_bf16};

}  // namespace mlc
