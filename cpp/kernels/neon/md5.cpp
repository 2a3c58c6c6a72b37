// MD5 in NEON: four streams a group, two groups interleaved.
#include <arm_neon.h>

#include "../backends.h"
#include "../md5-lanes.h"

namespace mlc {

namespace {

struct NeonLanes {
  using Vector = uint32x4_t;
  static constexpr size_t kLanes = 4;

  static Vector load(const uint32_t* words) { return vld1q_u32(words); }
  static void store(uint32_t* words, Vector v) { vst1q_u32(words, v); }
  static Vector constant(const uint32_t* word) { return vld1q_dup_u32(word); }
  static Vector add(Vector a, Vector b) { return vaddq_u32(a, b); }
  static void pin(Vector& v) { MLC_PIN("w", v); }

  static Vector load_row(const uint8_t* data) { return vreinterpretq_u32_u8(vld1q_u8(data)); }

  // Pairs of 64-bit halves, as words.
  static Vector zip_low(Vector a, Vector b) {
    return vreinterpretq_u32_u64(vzip1q_u64(vreinterpretq_u64_u32(a), vreinterpretq_u64_u32(b)));
  }
  static Vector zip_high(Vector a, Vector b) {
    return vreinterpretq_u32_u64(vzip2q_u64(vreinterpretq_u64_u32(a), vreinterpretq_u64_u32(b)));
  }

  // Four words of four streams, transposed:
  //   rows    a0 a1 a2 a3   b0 b1 b2 b3   c0 c1 c2 c3   d0 d1 d2 d3
  //   zip     a0 b0 a1 b1   a2 b2 a3 b3   c0 d0 c1 d1   c2 d2 c3 d3
  //   zip     a0 b0 c0 d0   a1 b1 c1 d1   a2 b2 c2 d2   a3 b3 c3 d3
  static MLC_ALWAYS_INLINE void load_block(const uint8_t* const* data, size_t offset,
                                           Vector* words) {
    for (size_t quarter = 0; quarter < 4; ++quarter) {
      const size_t at = offset + 16 * quarter;
      const Vector a = load_row(data[0] + at);
      const Vector b = load_row(data[1] + at);
      const Vector c = load_row(data[2] + at);
      const Vector d = load_row(data[3] + at);
      const Vector ab_low = vzip1q_u32(a, b);
      const Vector ab_high = vzip2q_u32(a, b);
      const Vector cd_low = vzip1q_u32(c, d);
      const Vector cd_high = vzip2q_u32(c, d);
      words[4 * quarter + 0] = zip_low(ab_low, cd_low);
      words[4 * quarter + 1] = zip_high(ab_low, cd_low);
      words[4 * quarter + 2] = zip_low(ab_high, cd_high);
      words[4 * quarter + 3] = zip_high(ab_high, cd_high);
    }
  }

  template <int kBits>
  static Vector rotate(Vector v) {
    if constexpr (kBits == 16) {
      return vreinterpretq_u32_u16(vrev32q_u16(vreinterpretq_u16_u32(v)));
    } else {
      return vsriq_n_u32(vshlq_n_u32(v, kBits), v, 32 - kBits);
    }
  }

  template <int kRound>
  static Vector add_mix(Vector sum, Vector b, Vector c, Vector d) {
    if constexpr (kRound == 0) {
      return vaddq_u32(sum, vbslq_u32(b, c, d));
    } else if constexpr (kRound == 1) {
      return vaddq_u32(sum, vbslq_u32(d, b, c));
    } else if constexpr (kRound == 2) {
      return vaddq_u32(sum, veorq_u32(b, veorq_u32(c, d)));
    } else {
      return vaddq_u32(sum, veorq_u32(c, vornq_u32(b, d)));
    }
  }
};

}  // namespace

const Md5Kernels kNeonMd5 = {2 * NeonLanes::kLanes, update_lanes<NeonLanes, 2>};

}  // namespace mlc
