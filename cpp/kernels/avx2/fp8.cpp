// Per-tensor fp8.
#include "../backends.h"
#include "../measured-bytes.h"
#include "vector.h"

namespace mlc {
namespace {

void absmax(const uint8_t* src, size_t count, uint16_t* running) {
  const __m256i clear = _mm256_set1_epi16(0x7FFF);
  const __m256i infinity = _mm256_set1_epi16(0x7C00);
  __m256i max = _mm256_setzero_si256();
  const auto take = [&](const uint8_t* at) {
    const __m256i magnitude = _mm256_and_si256(load256(at), clear);
    const __m256i nan = _mm256_cmpgt_epi16(magnitude, infinity);
    max = _mm256_max_epi16(max, _mm256_andnot_si256(nan, magnitude));
  };
  size_t i = 0;
  for (; i + 16 <= count; i += 16) take(src + i * 2);
  uint8_t rest[32] = {0};
  if (i < count) {
    std::memcpy(rest, src + i * 2, (count - i) * 2);
    take(rest);
  }
  const __m128i half = _mm_max_epi16(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1));
  const __m128i least = _mm_minpos_epu16(_mm_xor_si128(half, _mm_set1_epi16(-1)));
  const uint16_t found = static_cast<uint16_t>(~_mm_cvtsi128_si32(least));
  if (found > *running) *running = found;
}

struct E4m3 {
  static constexpr float kLargest = 448.0f;
  static constexpr float kSmallestNormal = 0x1p-6f;
  static constexpr float kMagic =
      0x1p14f;                      // one unit in the last place: 2^-9, the subnormals' step
  static constexpr int kDrop = 20;  // mantissa bits that f32 has more
  static constexpr int kBias = (127 - 7) << 3;
  static constexpr int kNan = 0x7F;
};

struct E5m2 {
  static constexpr float kLargest = 57344.0f;
  static constexpr float kSmallestNormal = 0x1p-14f;
  static constexpr float kMagic = 0x1p7f;  // 2^-16
  static constexpr int kDrop = 21;
  static constexpr int kBias = (127 - 15) << 2;
  static constexpr int kNan = 0x7E;
};

// Eight f32 -> eight fp8 in the low bytes of the lanes. The sign is the dividend's. kScaled: the
// divisor is not one.
template <class F, bool kScaled>
__m256i encode8(__m256 dividend, __m256 divisor) {
  const __m256 value = kScaled ? _mm256_div_ps(dividend, divisor) : dividend;
  const __m256i bits = _mm256_castps_si256(value);
  const __m256i sign = _mm256_and_si256(_mm256_srli_epi32(_mm256_castps_si256(dividend), 24),
                                        _mm256_set1_epi32(0x80));
  const __m256 positive =
      _mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32(0x7FFFFFFF)));
  const __m256 magnitude = _mm256_min_ps(positive, _mm256_set1_ps(F::kLargest));

  const __m256i normal_bits = _mm256_castps_si256(magnitude);
  const __m256i odd =
      _mm256_and_si256(_mm256_srli_epi32(normal_bits, F::kDrop), _mm256_set1_epi32(1));
  const __m256i half = _mm256_set1_epi32((1 << (F::kDrop - 1)) - 1);
  const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(normal_bits, half), odd);
  const __m256i normal =
      _mm256_sub_epi32(_mm256_srli_epi32(rounded, F::kDrop), _mm256_set1_epi32(F::kBias));

  const __m256 magic = _mm256_set1_ps(F::kMagic);
  const __m256i subnormal = _mm256_sub_epi32(_mm256_castps_si256(_mm256_add_ps(magnitude, magic)),
                                             _mm256_castps_si256(magic));
  const __m256 small = _mm256_cmp_ps(magnitude, _mm256_set1_ps(F::kSmallestNormal), _CMP_LT_OQ);
  const __m256i number = _mm256_blendv_epi8(normal, subnormal, _mm256_castps_si256(small));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
  return _mm256_or_si256(sign, _mm256_blendv_epi8(number, _mm256_set1_epi32(F::kNan), nan));
}

template <class F, bool kScaled>
void encode_scaled(const uint8_t* src, float scale, uint8_t* dst, size_t count) {
  const __m256 divisor = _mm256_set1_ps(scale);
  const auto step = [&](const uint8_t* in) {
    const __m256i wide = encode8<F, kScaled>(load8<DType::kF16>(in), divisor);
    const __m128i words =
        _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
    return _mm_packus_epi16(words, words);
  };
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(dst + i), step(src + i * 2));
  }
  if (i == count) return;
  uint8_t in[16] = {0};
  uint8_t out[16];
  std::memcpy(in, src + i * 2, (count - i) * 2);
  store128(out, step(in));
  std::memcpy(dst + i, out, count - i);
}

template <class F>
void encode_all(const uint8_t* src, float scale, uint8_t* dst, size_t count) {
  if (scale == 1.0f) return encode_scaled<F, false>(src, scale, dst, count);
  encode_scaled<F, true>(src, scale, dst, count);
}

void encode(Fp8 format, const uint8_t* src, float scale, uint8_t* dst, size_t count,
            Statistics* statistics) {
  const auto encode_format = format == Fp8::kE4m3 ? &encode_all<E4m3> : &encode_all<E5m2>;
  encode_format(src, scale, dst, count);
  compare_fp8(kAvx2Statistics, fp8_args(format, src, scale, dst, count), statistics);
}

}  // namespace

const Fp8Kernels kAvx2Fp8 = {absmax, encode};

}  // namespace mlc
