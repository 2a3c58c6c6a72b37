// Per-tensor fp8.
#include "../fp8-blocks.h"
#include "sums.h"

namespace mlc {
namespace {

void absmax(const uint8_t* src, size_t count, uint16_t* running) {
  __m512i max = _mm512_setzero_si512();
  for (size_t i = 0; i < count; i += 32) {
    const size_t left = count - i;
    const __mmask32 lanes = left >= 32 ? ~__mmask32{0} : (__mmask32{1} << left) - 1;
    const __m512i bits = _mm512_maskz_loadu_epi16(lanes, src + i * 2);
    const __m512i magnitude = _mm512_and_si512(bits, _mm512_set1_epi16(0x7FFF));
    const __mmask32 number = _mm512_cmple_epu16_mask(magnitude, _mm512_set1_epi16(0x7C00));
    max = _mm512_mask_max_epu16(max, number, max, magnitude);
  }
  const __m256i both =
      _mm256_max_epu16(_mm512_castsi512_si256(max), _mm512_extracti64x4_epi64(max, 1));
  const __m128i half =
      _mm_max_epu16(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
  const __m128i least = _mm_minpos_epu16(_mm_xor_si128(half, _mm_set1_epi16(-1)));
  const uint16_t found = static_cast<uint16_t>(~_mm_cvtsi128_si32(least));
  if (found > *running) *running = found;
}

// The bytes, and the magnitudes that they stand for, NaN aside. The sign is the dividend's.
// kScaled: the divisor is not one; a division takes as long as all the rest.
struct Encoded {
  __m128i bytes;
  __m512 magnitude;
};

template <class F, bool kScaled>
Encoded encode16(__m512 dividend, __m512 divisor) {
  const __m512 value = kScaled ? _mm512_div_ps(dividend, divisor) : dividend;
  const __m512i sign = _mm512_and_si512(_mm512_srli_epi32(_mm512_castps_si512(dividend), 24),
                                        _mm512_set1_epi32(0x80));
  const __m512 magnitude = _mm512_min_ps(_mm512_abs_ps(value), _mm512_set1_ps(largest_number<F>()));

  const __m512i normal_bits = _mm512_castps_si512(magnitude);
  const __m512i odd =
      _mm512_and_si512(_mm512_srli_epi32(normal_bits, kDrop<F>), _mm512_set1_epi32(1));
  const __m512i half = _mm512_set1_epi32((1 << (kDrop<F> - 1)) - 1);
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(normal_bits, half), odd);
  __m512i number =
      _mm512_sub_epi32(_mm512_srli_epi32(rounded, kDrop<F>), _mm512_set1_epi32(kRebias<F>));

  const __m512 magic = _mm512_set1_ps(kSubnormalMagic<F>);
  const __mmask16 small =
      _mm512_cmp_ps_mask(magnitude, _mm512_set1_ps(kSmallestNormal<F>), _CMP_LT_OQ);
  const __m512 stepped = _mm512_add_ps(magnitude, magic);
  number = _mm512_mask_sub_epi32(number, small, _mm512_castps_si512(stepped),
                                 _mm512_castps_si512(magic));
  const __m512i kept = _mm512_and_si512(rounded, _mm512_set1_epi32(-(1 << kDrop<F>)));
  const __m512 stands_for = _mm512_mask_sub_ps(_mm512_castsi512_ps(kept), small, stepped, magic);
  const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  number = _mm512_mask_mov_epi32(number, nan, _mm512_set1_epi32(F::kNan));
  return {_mm512_cvtepi32_epi8(_mm512_or_si512(sign, number)), stands_for};
}

// Sixteen f16 -> e5m2, without a divisor.
template <bool kMeasured>
__m128i halve16(const uint8_t* src, __mmask16 lanes, Sums* sums) {
  const __m256i halves = _mm256_maskz_loadu_epi16(lanes, src);
  const __m256i made = kMeasured ? round_usual_to_e5m2(halves) : round_to_e5m2(halves);
  if (kMeasured) {
    const __m512 value = _mm512_cvtph_ps(halves);
    add_errors<true>(value, _mm512_sub_ps(_mm512_cvtph_ps(made), value), sums);
  }
  return _mm256_cvtepi16_epi8(_mm256_srli_epi16(made, 8));
}

struct Avx512Bytes {
  template <class F, bool kScaled, bool kMeasured>
  static void block(const CompareArgs& args, uint8_t* dst, Sums* total) {
    const uint8_t* src = args.src;
    const __m512 divisor = _mm512_set1_ps(args.scale);
    Sums sums = no_sums();
    by_sixteens(0, args.count, [&](size_t at, __mmask16 lanes) {
      if constexpr (kIsHalf<F> && !kScaled) {
        const __m128i bytes = halve16<kMeasured>(src + at * 2, lanes, &sums);
        return _mm_mask_storeu_epi8(dst + at, lanes, bytes);
      }
      const __m512 dividend = load16<DType::kF16>(src + at * 2, lanes);
      const Encoded encoded = encode16<F, kScaled>(dividend, divisor);
      _mm_mask_storeu_epi8(dst + at, lanes, encoded.bytes);
      if (kMeasured) add(_mm512_abs_ps(dividend), encoded.magnitude, divisor, &sums);
    });
    if (kMeasured) *total = sums;
  }
};

}  // namespace

const Fp8Kernels kAvx512Fp8 = {absmax, encode_blocks<Avx512Bytes>};

}  // namespace mlc
