// GGUF block types in AVX-512: sixteen floats a vector.
#include "../ggml-vector/dequantize.h"
#include "../ggml-vector/quantize.h"

namespace mlc {
namespace {

struct Avx512 {
  static constexpr int kLanes = 16;
  using Floats = __m512;
  using Mask = __mmask16;
  using Index = __m512i;

  static Floats set(float x) { return _mm512_set1_ps(x); }
  static Floats load(const float* src) { return _mm512_loadu_ps(src); }
  static Floats load_bytes(const uint8_t* src) {
    return _mm512_castsi512_ps(_mm512_loadu_si512(src));
  }
  static void store(float* dst, Floats x) { _mm512_storeu_ps(dst, x); }
  static void store_to(uint8_t* dst, Floats x) { _mm512_storeu_si512(dst, _mm512_castps_si512(x)); }
  static Floats gather(const float* base, int stride) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_i32gather_ps(_mm512_mullo_epi32(lanes, _mm512_set1_epi32(stride)), base, 4);
  }
  static Floats of_bytes(const int8_t* src) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(src));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
  }

  static Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static Floats sub(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
  static Floats mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats div(Floats a, Floats b) { return _mm512_div_ps(a, b); }
  static Floats sqrt(Floats a) { return _mm512_sqrt_ps(a); }
  static Floats abs(Floats a) { return _mm512_andnot_ps(set(-0.0f), a); }
  static Floats negate(Floats a) { return _mm512_xor_ps(set(-0.0f), a); }
  // a < b ? a : b and a > b ? a : b, also for NaN and for zeros of both signs.
  static Floats min(Floats a, Floats b) { return _mm512_min_ps(a, b); }
  static Floats max(Floats a, Floats b) { return _mm512_max_ps(a, b); }

  static Mask less(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static Mask equal(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
  static Mask differs(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ); }
  static Mask both(Mask a, Mask b) { return static_cast<Mask>(a & b); }
  static bool any(Mask m) { return m != 0; }
  static uint32_t bits(Mask m) { return m; }
  static Floats blend(Mask m, Floats yes, Floats no) { return _mm512_mask_blend_ps(m, no, yes); }

  // The nearest integer between kLow and `high`, ties to even, as a float.
  template <int kLow>
  static Floats nearest(Floats x, int high) {
    const __m512i bits = _mm512_castps_si512(add(x, set(12582912.0f)));
    const __m512i whole = _mm512_sub_epi32(_mm512_and_si512(bits, _mm512_set1_epi32(0x007FFFFF)),
                                           _mm512_set1_epi32(0x00400000));
    const __m512i raised = _mm512_max_epi32(whole, _mm512_set1_epi32(kLow));
    return _mm512_cvtepi32_ps(_mm512_min_epi32(raised, _mm512_set1_epi32(high)));
  }

  static float largest(Floats x) { return _mm512_reduce_max_ps(x); }
  static float smallest(Floats x) { return _mm512_reduce_min_ps(x); }

  static void store_index(uint8_t* dst, Index x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst), _mm512_cvtepi32_epi8(x));
  }
  static void store_bytes(uint8_t* dst, Floats x) { store_index(dst, _mm512_cvttps_epi32(x)); }

  // Truncated codes; what is not finite converts to the lowest integer and so becomes 0.
  static void store_truncated(uint8_t* dst, Floats x, int high) {
    const __m512i whole = _mm512_max_epi32(_mm512_cvttps_epi32(x), _mm512_setzero_si512());
    store_index(dst, _mm512_min_epi32(whole, _mm512_set1_epi32(high)));
  }
  // Rounded half away from zero; what is not finite becomes 0.
  static void store_rounded(uint8_t* dst, Floats x) {
    const Floats whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    const Mask up = _mm512_cmp_ps_mask(abs(sub(x, whole)), set(0.5f), _CMP_GE_OQ);
    const Floats one = _mm512_or_ps(_mm512_and_ps(x, set(-0.0f)), set(1.0f));
    const __m512i codes = _mm512_cvttps_epi32(_mm512_mask_add_ps(whole, up, whole, one));
    const Mask good = _mm512_cmpneq_epi32_mask(codes, _mm512_set1_epi32(INT32_MIN));
    store_index(dst, _mm512_maskz_mov_epi32(good, codes));
  }

  // How many of the fifteen midpoints between the levels are not above x: a binary search.
  static Index level_index(Floats x) {
    const __m512 by_four = _mm512_castps256_ps512(_mm256_setr_ps(-57.0f, 45.5f, 0, 0, 0, 0, 0, 0));
    const __m512 by_two =
        _mm512_castps256_ps512(_mm256_setr_ps(-93.5f, -28.5f, 19.0f, 79.0f, 0, 0, 0, 0));
    const __m512 by_one = _mm512_castps256_ps512(
        _mm256_setr_ps(-115.5f, -74.0f, -42.0f, -16.0f, 7.0f, 31.5f, 61.0f, 101.0f));
    __m512i index = step(_mm512_setzero_si512(), x, set(-4.5f));
    index = step(index, x, _mm512_permutexvar_ps(index, by_four));
    index = step(index, x, _mm512_permutexvar_ps(index, by_two));
    return step(index, x, _mm512_permutexvar_ps(index, by_one));
  }
  static Floats level(Index index) {
    const __m512 levels =
        _mm512_setr_ps(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
    return _mm512_permutexvar_ps(index, levels);
  }

 private:
  // Appends the bit "not below the threshold".
  static Index step(Index index, Floats x, Floats threshold) {
    const Mask set = _mm512_cmp_ps_mask(x, threshold, _CMP_NLT_UQ);
    const __m512i doubled = _mm512_add_epi32(index, index);
    return _mm512_mask_add_epi32(doubled, set, doubled, _mm512_set1_epi32(1));
  }
};

}  // namespace

const GgmlKernels kGgmlAvx512 = {dequantize_vectors<Avx512>, quantize_vectors<Avx512>};

}  // namespace mlc
