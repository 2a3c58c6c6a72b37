// What conversion lost, 32 elements at a time, in four vectors of lanes. A block with anything that
// is lost or not finite is the reference's.
#include "../backends.h"
#include "../statistics-blocks.h"
#include "floats.h"

namespace mlc {
namespace {

constexpr size_t kVectors = kStatisticsLanes / 4;

// ---- counts ----

uint32_t largest16(const uint8_t* src, size_t count) {
  uint16x8_t max = vdupq_n_u16(0);
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    max = vmaxq_u16(max, vandq_u16(load_u16(src + i * 2), vdupq_n_u16(0x7FFF)));
  }
  uint8_t last[16] = {};
  std::memcpy(last, src + i * 2, (count - i) * 2);
  return vmaxvq_u16(vmaxq_u16(max, vandq_u16(load_u16(last), vdupq_n_u16(0x7FFF))));
}

uint32_t largest32(const uint8_t* src, size_t count) {
  uint32x4_t max = vdupq_n_u32(0);
  const uint32x4_t clear = vdupq_n_u32(0x7FFFFFFF);
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    max = vmaxq_u32(max, vandq_u32(vreinterpretq_u32_u8(vld1q_u8(src + i * 4)), clear));
  }
  uint8_t last[16] = {};
  std::memcpy(last, src + i * 4, (count - i) * 4);
  return vmaxvq_u32(vmaxq_u32(max, vandq_u32(vreinterpretq_u32_u8(vld1q_u8(last)), clear)));
}

// ---- errors ----

template <DType From>
float32x4_t load_four(const uint8_t* at) {
  if constexpr (From == DType::kF32) {
    return vreinterpretq_f32_u8(vld1q_u8(at));
  } else {
    const uint16x4_t bits = vreinterpret_u16_u8(vld1_u8(at));
    return From == DType::kF16 ? widen_f16(bits) : widen_bf16(bits);
  }
}

// What is stored, but for a factor of 256 that e4m3 lacks.
template <Stored S>
float32x4_t load_stored(const uint8_t* at) {
  if constexpr (S == Stored::kF32) return load_four<DType::kF32>(at);
  if constexpr (S == Stored::kF16) return load_four<DType::kF16>(at);
  if constexpr (S == Stored::kBf16) return load_four<DType::kBf16>(at);
  uint8_t bytes[8] = {};
  std::memcpy(bytes, at, 4);
  const uint16x4_t wide = vget_low_u16(vmovl_u8(vld1_u8(bytes)));
  if constexpr (S == Stored::kFtCode) {
    const int32x4_t codes = vreinterpretq_s32_u32(vmovl_u16(wide));
    return vcvtq_f32_s32(vsubq_s32(codes, vdupq_n_s32(8)));
  }
  const uint16x4_t upper = vshl_n_u16(wide, 8);
  if constexpr (S == Stored::kE5m2) return widen_f16(upper);
  // The sign stays, exponent and mantissa move to where f16 has them.
  const int16x4_t moved = vshr_n_s16(vreinterpret_s16_u16(upper), 1);
  return widen_f16(vand_u16(vreinterpret_u16_s16(moved), vdup_n_u16(0xBF80)));
}

struct Sums {
  float32x4_t squared_error[kVectors];
  float32x4_t squared_value[kVectors];
  float32x4_t errors;
};

template <DType From, Stored S>
void add32(const uint8_t* src, const uint8_t* made, float scale, Sums* sums) {
  for (size_t i = 0; i < 2 * kVectors; ++i) {
    const size_t part = i % kVectors;
    const float32x4_t value = load_four<From>(src + i * 4 * width_of(From));
    const float32x4_t stored = load_stored<S>(made + i * 4 * width_of(S));
    const float32x4_t error = vfmaq_f32(vnegq_f32(value), stored, vdupq_n_f32(scale));
    sums->squared_value[part] = vfmaq_f32(sums->squared_value[part], value, value);
    sums->squared_error[part] = vfmaq_f32(sums->squared_error[part], error, error);
    sums->errors = vmaxq_f32(sums->errors, vabsq_f32(error));
  }
}

bool all_finite(const Sums& sums) {
  uint32x4_t finite = vcleq_f32(sums.errors, vdupq_n_f32(kMaxFinite));
  for (size_t i = 0; i < kVectors; ++i) {
    finite = vandq_u32(finite, vcleq_f32(sums.squared_error[i], vdupq_n_f32(kMaxFinite)));
    finite = vandq_u32(finite, vcleq_f32(sums.squared_value[i], vdupq_n_f32(kMaxFinite)));
  }
  return vminvq_u32(finite) != 0;
}

void store_sums(const Sums& sums, Lanes* lanes) {
  for (size_t part = 0; part < kVectors; ++part) {
    vst1q_f32(lanes->squared_error + part * 4, sums.squared_error[part]);
    vst1q_f32(lanes->squared_value + part * 4, sums.squared_value[part]);
  }
  vst1q_f32(lanes->errors, sums.errors);
}

struct NeonLost {
  static uint32_t largest(const uint8_t* src, size_t width, size_t count) {
    return width == 2 ? largest16(src, count) : largest32(src, count);
  }

  template <DType From, Stored S>
  static void block(const CompareArgs& args, Statistics* out) {
    const float scale = S == Stored::kE4m3 ? args.scale * 256.0f : args.scale;
    Sums sums = {};
    size_t i = 0;
    for (; i + 32 <= args.count; i += 32) {
      add32<From, S>(args.src + i * width_of(From), args.made + i * width_of(S), scale, &sums);
    }
    if (i < args.count) {  // zeros behind the last elements
      uint8_t src[128] = {};
      uint8_t made[128];
      std::memset(made, S == Stored::kFtCode ? 8 : 0, sizeof made);
      std::memcpy(src, args.src + i * width_of(From), (args.count - i) * width_of(From));
      std::memcpy(made, args.made + i * width_of(S), (args.count - i) * width_of(S));
      add32<From, S>(src, made, scale, &sums);
    }
    add_block(sums, args, out);
  }
};

}  // namespace

const StatisticsKernels kNeonStatistics = {count<NeonLost>, compare<NeonLost>};

}  // namespace mlc
