// Casts among f32, f16 and bf16, and the verbs. Other sources are the reference's.
#include "../backends.h"
#include "vector.h"

namespace mlc {
namespace {

template <DType From, DType To, typename Function>
void map(const uint8_t* src, uint8_t* dst, size_t count, Function function) {
  constexpr size_t kIn = width_of(From);
  constexpr size_t kOut = width_of(To);
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    store16<To>(dst + i * kOut, function(load16<From>(src + i * kIn)));
  }
  if (i == count) return;
  const __mmask16 rest = first_lanes(count - i);
  store16<To>(dst + i * kOut, function(load16<From>(src + i * kIn, rest)), rest);
}

template <DType From, DType To>
void cast_floats(const uint8_t* src, uint8_t* dst, size_t count) {
  map<From, To>(src, dst, count, [](__m512 value) { return value; });
}

using Cast = void (*)(const uint8_t*, uint8_t*, size_t);

template <DType From>
Cast cast_to(DType to) {
  if (to == DType::kF32) return cast_floats<From, DType::kF32>;
  if (to == DType::kF16) return cast_floats<From, DType::kF16>;
  return cast_floats<From, DType::kBf16>;
}

void cast(DType from, DType to, const uint8_t* src, uint8_t* dst, size_t count) {
  const bool floats = from == DType::kF32 || from == DType::kF16 || from == DType::kBf16;
  if (from == to || !floats) return kReferenceElement.cast(from, to, src, dst, count);
  const Cast function = from == DType::kF32   ? cast_to<DType::kF32>(to)
                        : from == DType::kF16 ? cast_to<DType::kF16>(to)
                                              : cast_to<DType::kBf16>(to);
  function(src, dst, count);
}

template <DType T>
void add_one_to(const uint8_t* src, uint8_t* dst, size_t count) {
  map<T, T>(src, dst, count,
            [](__m512 value) { return _mm512_add_ps(value, _mm512_set1_ps(1.0f)); });
}

void add_one(DType dtype, const uint8_t* src, uint8_t* dst, size_t count) {
  if (dtype == DType::kF32) return add_one_to<DType::kF32>(src, dst, count);
  if (dtype == DType::kF16) return add_one_to<DType::kF16>(src, dst, count);
  add_one_to<DType::kBf16>(src, dst, count);
}

template <DType T>
void scale_by(float factor, const uint8_t* src, uint8_t* dst, size_t count) {
  map<T, T>(src, dst, count,
            [factor](__m512 value) { return _mm512_mul_ps(value, _mm512_set1_ps(factor)); });
}

// While 2^-shift is a normal f32, the f32 product has one rounding, and none that matters to a
// narrower type: what an f32 subnormal cannot hold is below half of the narrower type's smallest
// number.
void divide_pow2(DType dtype, int shift, const uint8_t* src, uint8_t* dst, size_t count) {
  if (shift < 0 || shift > 126) return kReferenceElement.divide_pow2(dtype, shift, src, dst, count);
  const uint32_t bits = static_cast<uint32_t>(127 - shift) << 23;
  float factor;
  std::memcpy(&factor, &bits, sizeof factor);
  if (dtype == DType::kF32) return scale_by<DType::kF32>(factor, src, dst, count);
  if (dtype == DType::kF16) return scale_by<DType::kF16>(factor, src, dst, count);
  scale_by<DType::kBf16>(factor, src, dst, count);
}

__m256i encode16(__m512i bits) {
  const __m512i magnitude = _mm512_and_si512(bits, _mm512_set1_epi32(0x7FFFFFFF));
  const __mmask16 rounds = _mm512_cmplt_epi32_mask(magnitude, _mm512_set1_epi32(0x7F7F0000));
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i bias = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF));
  return upper_halves(_mm512_mask_add_epi32(bits, rounds, bits, bias));
}

void encode_bf16(const uint8_t* src, uint8_t* dst, size_t count) {
  for (size_t i = 0; i < count; i += 16) {
    const __mmask16 lanes = first_lanes(count - i);
    const __m512i bits = _mm512_maskz_loadu_epi32(lanes, src + i * 4);
    _mm256_mask_storeu_epi16(dst + i * 2, lanes, encode16(bits));
  }
}

}  // namespace

const ElementKernels kAvx512Element = {cast, add_one, divide_pow2, nullptr, encode_bf16};

}  // namespace mlc
