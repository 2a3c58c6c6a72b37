// Four numbers at a time to and from f32. NEON's own conversions treat NaNs as the reference does:
// the upper payload bits stay, the quiet bit is set.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../kernels.h"

namespace mlc {

static inline uint32x4_t bits_of(float32x4_t v) { return vreinterpretq_u32_f32(v); }

// Bytes need no alignment, unlike pointers to wider elements.
static inline uint16x8_t load_u16(const uint8_t* at) { return vreinterpretq_u16_u8(vld1q_u8(at)); }

static inline float32x4_t widen_f16(uint16x4_t bits) {
  return vcvt_f32_f16(vreinterpret_f16_u16(bits));
}

static inline float32x4_t widen_bf16(uint16x4_t bits) {
  return vreinterpretq_f32_u32(vshll_n_u16(bits, 16));
}

static inline uint16x4_t narrow_f16(float32x4_t v) { return vreinterpret_u16_f16(vcvt_f16_f32(v)); }

// Adds half of the last kept bit, less one where that bit is even, and keeps the upper half:
//   s eeeeeeee mmmmmmm|mmmmmmmmmmmmmmmm
static inline uint16x4_t narrow_bf16(float32x4_t v) {
  const uint32x4_t bits = bits_of(v);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7FFF)));
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
  return vshrn_n_u32(vbslq_u32(vceqq_f32(v, v), rounded, quiet), 16);
}

static inline float32x4_t round_to_f16(float32x4_t v) { return widen_f16(narrow_f16(v)); }

static inline float32x4_t round_to_bf16(float32x4_t v) { return widen_bf16(narrow_bf16(v)); }

}  // namespace mlc
