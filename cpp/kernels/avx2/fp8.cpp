// Per-tensor fp8.
#include "../fp8-blocks.h"
#include "sums.h"
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

// The low bytes of the lanes, and the magnitudes that they stand for.
struct Encoded {
  __m256i bytes;
  __m256 magnitude;
};

// Eight f32 -> eight fp8. The sign is the dividend's. kScaled: the divisor is not one.
template <class F, bool kScaled>
Encoded encode8(__m256 dividend, __m256 divisor) {
  const __m256 value = kScaled ? _mm256_div_ps(dividend, divisor) : dividend;
  const __m256i bits = _mm256_castps_si256(value);
  const __m256i sign = _mm256_and_si256(_mm256_srli_epi32(_mm256_castps_si256(dividend), 24),
                                        _mm256_set1_epi32(0x80));
  const __m256 positive =
      _mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32(0x7FFFFFFF)));
  const __m256 magnitude = _mm256_min_ps(positive, _mm256_set1_ps(largest_number<F>()));

  const __m256i normal_bits = _mm256_castps_si256(magnitude);
  const __m256i odd =
      _mm256_and_si256(_mm256_srli_epi32(normal_bits, kDrop<F>), _mm256_set1_epi32(1));
  const __m256i half = _mm256_set1_epi32((1 << (kDrop<F> - 1)) - 1);
  const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(normal_bits, half), odd);
  const __m256i normal =
      _mm256_sub_epi32(_mm256_srli_epi32(rounded, kDrop<F>), _mm256_set1_epi32(kRebias<F>));

  const __m256 magic = _mm256_set1_ps(kSubnormalMagic<F>);
  const __m256 stepped = _mm256_add_ps(magnitude, magic);
  const __m256i subnormal =
      _mm256_sub_epi32(_mm256_castps_si256(stepped), _mm256_castps_si256(magic));
  const __m256 small = _mm256_cmp_ps(magnitude, _mm256_set1_ps(kSmallestNormal<F>), _CMP_LT_OQ);
  const __m256i number = _mm256_blendv_epi8(normal, subnormal, _mm256_castps_si256(small));
  const __m256i kept = _mm256_and_si256(rounded, _mm256_set1_epi32(-(1 << kDrop<F>)));
  const __m256 stands_for =
      _mm256_blendv_ps(_mm256_castsi256_ps(kept), _mm256_sub_ps(stepped, magic), small);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
  const __m256i encoded = _mm256_blendv_epi8(number, _mm256_set1_epi32(F::kNan), nan);
  return {_mm256_or_si256(sign, encoded), stands_for};
}

// Sixteen f16 -> e5m2, without a divisor.
template <bool kMeasured>
__m128i halve16(const uint8_t* in, Sums* sums) {
  const __m256i halves = load256(in);
  const __m256i made = kMeasured ? round_usual_to_e5m2(halves) : round_to_e5m2(halves);
  if (kMeasured) {
    const auto add8 = [&](size_t half, __m128i eight) {
      const __m256 value = load8<DType::kF16>(in + half * 16);
      add_errors<true>(half, value, _mm256_sub_ps(_mm256_cvtph_ps(eight), value), sums);
    };
    add8(0, _mm256_castsi256_si128(made));
    add8(1, _mm256_extracti128_si256(made, 1));
  }
  const __m256i bytes = _mm256_srli_epi16(made, 8);
  return _mm_packus_epi16(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
}

struct Avx2Bytes {
  template <class F, bool kScaled, bool kMeasured>
  static void block(const CompareArgs& args, uint8_t* dst, Sums* total) {
    const __m256 divisor = _mm256_set1_ps(args.scale);
    Sums sums = no_sums();
    const auto code8 = [&](const uint8_t* in, size_t half) {
      const __m256 dividend = load8<DType::kF16>(in);
      const Encoded encoded = encode8<F, kScaled>(dividend, divisor);
      const __m256 magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), dividend);
      if (kMeasured) add(half, magnitude, encoded.magnitude, divisor, &sums);
      return encoded.bytes;
    };
    by_sixteens(args.src, args.count, dst, [&](const uint8_t* in) {
      if constexpr (kIsHalf<F> && !kScaled) return halve16<kMeasured>(in, &sums);
      const __m256i first = code8(in, 0);
      return low_bytes(first, code8(in + 16, 1));
    });
    if (kMeasured) *total = sums;
  }
};

}  // namespace

const Fp8Kernels kAvx2Fp8 = {absmax, encode_blocks<Avx2Bytes>};

}  // namespace mlc
