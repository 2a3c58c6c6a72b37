// Casts among f32, f16 and bf16, and the verbs. Other sources are the reference's.
#include "../backends.h"
#include "vector.h"

namespace mlc {
namespace {

// Runs `step` over eight elements at a time; the last few go through zero-filled copies.
template <size_t In, size_t Out, typename Step>
void for_each_8(const uint8_t* src, uint8_t* dst, size_t count, Step step) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) step(src + i * In, dst + i * Out);
  const size_t left = count - i;
  if (left == 0) return;
  uint8_t in[8 * In] = {0};
  uint8_t out[8 * Out];
  std::memcpy(in, src + i * In, left * In);
  step(in, out);
  std::memcpy(dst + i * Out, out, left * Out);
}

template <DType From, DType To>
void cast_floats(const uint8_t* src, uint8_t* dst, size_t count) {
  for_each_8<width_of(From), width_of(To)>(
      src, dst, count, [](const uint8_t* in, uint8_t* out) { store8<To>(out, load8<From>(in)); });
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
  for_each_8<width_of(T), width_of(T)>(src, dst, count, [](const uint8_t* in, uint8_t* out) {
    store8<T>(out, _mm256_add_ps(load8<T>(in), _mm256_set1_ps(1.0f)));
  });
}

void add_one(DType dtype, const uint8_t* src, uint8_t* dst, size_t count) {
  if (dtype == DType::kF32) return add_one_to<DType::kF32>(src, dst, count);
  if (dtype == DType::kF16) return add_one_to<DType::kF16>(src, dst, count);
  add_one_to<DType::kBf16>(src, dst, count);
}

template <DType T>
void scale_by(float factor, const uint8_t* src, uint8_t* dst, size_t count) {
  for_each_8<width_of(T), width_of(T)>(src, dst, count, [factor](const uint8_t* in, uint8_t* out) {
    store8<T>(out, _mm256_mul_ps(load8<T>(in), _mm256_set1_ps(factor)));
  });
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

void encode_bf16(const uint8_t* src, uint8_t* dst, size_t count) {
  for_each_8<4, 2>(src, dst, count, [](const uint8_t* in, uint8_t* out) {
    const __m256i bits = load256(in);
    const __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(0x7FFFFFFF));
    const __m256i rounds = _mm256_cmpgt_epi32(_mm256_set1_epi32(0x7F7F0000), magnitude);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
    store128(out, upper_halves(_mm256_add_epi32(bits, _mm256_and_si256(bias, rounds))));
  });
}

}  // namespace

const ElementKernels kAvx2Element = {cast, add_one, divide_pow2, nullptr, encode_bf16};

}  // namespace mlc
