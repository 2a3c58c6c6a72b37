// GGUF block types in AVX2: eight floats a vector.
#include "../ggml-vector/dequantize.h"
#include "../ggml-vector/quantize.h"

namespace mlc {
namespace {

struct Avx2 {
  static constexpr int kLanes = 8;
  using Floats = __m256;
  using Mask = __m256;
  using Index = __m256i;

  static Floats set(float x) { return _mm256_set1_ps(x); }
  static Floats load(const float* src) { return _mm256_loadu_ps(src); }
  static Floats load_bytes(const uint8_t* src) {
    return _mm256_castsi256_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(src)));
  }
  static void store(float* dst, Floats x) { _mm256_storeu_ps(dst, x); }
  static void store_to(uint8_t* dst, Floats x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst), _mm256_castps_si256(x));
  }
  static Floats gather(const float* base, int stride) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_i32gather_ps(base, _mm256_mullo_epi32(lanes, _mm256_set1_epi32(stride)), 4);
  }
  static Floats of_bytes(const int8_t* src) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(src));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  }

  static Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
  static Floats sub(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
  static Floats mul(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static Floats div(Floats a, Floats b) { return _mm256_div_ps(a, b); }
  static Floats sqrt(Floats a) { return _mm256_sqrt_ps(a); }
  static Floats abs(Floats a) { return _mm256_andnot_ps(set(-0.0f), a); }
  static Floats negate(Floats a) { return _mm256_xor_ps(set(-0.0f), a); }
  // a < b ? a : b and a > b ? a : b, also for NaN and for zeros of both signs.
  static Floats min(Floats a, Floats b) { return _mm256_min_ps(a, b); }
  static Floats max(Floats a, Floats b) { return _mm256_max_ps(a, b); }

  static Mask less(Floats a, Floats b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  static Mask equal(Floats a, Floats b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
  static Mask differs(Floats a, Floats b) { return _mm256_cmp_ps(a, b, _CMP_NEQ_UQ); }
  static Mask both(Mask a, Mask b) { return _mm256_and_ps(a, b); }
  static bool any(Mask m) { return _mm256_movemask_ps(m) != 0; }
  static uint32_t bits(Mask m) { return static_cast<uint32_t>(_mm256_movemask_ps(m)); }
  static Floats blend(Mask m, Floats yes, Floats no) { return _mm256_blendv_ps(no, yes, m); }

  // The nearest integer between kLow and `high`, ties to even, as a float.
  template <int kLow>
  static Floats nearest(Floats x, int high) {
    const __m256i bits = _mm256_castps_si256(add(x, set(12582912.0f)));
    const __m256i whole = _mm256_sub_epi32(_mm256_and_si256(bits, _mm256_set1_epi32(0x007FFFFF)),
                                           _mm256_set1_epi32(0x00400000));
    const __m256i raised = _mm256_max_epi32(whole, _mm256_set1_epi32(kLow));
    return _mm256_cvtepi32_ps(_mm256_min_epi32(raised, _mm256_set1_epi32(high)));
  }

  static float largest(Floats x) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static float smallest(Floats x) {
    const __m128 four = _mm_min_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_min_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_min_ss(two, _mm_shuffle_ps(two, two, 1)));
  }

  static void store_index(uint8_t* dst, Index x) {
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(dst), _mm_packs_epi16(words, words));
  }
  static void store_unsigned(uint8_t* dst, Index x) {
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(dst), _mm_packus_epi16(words, words));
  }
  static void store_bytes(uint8_t* dst, Floats x) { store_unsigned(dst, _mm256_cvttps_epi32(x)); }

  // Truncated codes; what is not finite converts to the lowest integer and so becomes 0.
  static void store_truncated(uint8_t* dst, Floats x, int high) {
    const __m256i whole = _mm256_max_epi32(_mm256_cvttps_epi32(x), _mm256_setzero_si256());
    store_unsigned(dst, _mm256_min_epi32(whole, _mm256_set1_epi32(high)));
  }
  // Rounded half away from zero; what is not finite becomes 0.
  static void store_rounded(uint8_t* dst, Floats x) {
    const Floats whole = _mm256_round_ps(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    const Mask up = _mm256_cmp_ps(abs(sub(x, whole)), set(0.5f), _CMP_GE_OQ);
    const Floats one = _mm256_or_ps(_mm256_and_ps(x, set(-0.0f)), set(1.0f));
    const __m256i codes = _mm256_cvttps_epi32(add(whole, _mm256_and_ps(up, one)));
    const __m256i bad = _mm256_cmpeq_epi32(codes, _mm256_set1_epi32(INT32_MIN));
    store_index(dst, _mm256_andnot_si256(bad, codes));
  }

  // How many of the fifteen midpoints between the levels are not above x: a binary search.
  static Index level_index(Floats x) {
    const __m256 by_four = _mm256_setr_ps(-57.0f, 45.5f, 0, 0, 0, 0, 0, 0);
    const __m256 by_two = _mm256_setr_ps(-93.5f, -28.5f, 19.0f, 79.0f, 0, 0, 0, 0);
    const __m256 by_one =
        _mm256_setr_ps(-115.5f, -74.0f, -42.0f, -16.0f, 7.0f, 31.5f, 61.0f, 101.0f);
    __m256i index = step(_mm256_setzero_si256(), x, set(-4.5f));
    index = step(index, x, _mm256_permutevar8x32_ps(by_four, index));
    index = step(index, x, _mm256_permutevar8x32_ps(by_two, index));
    return step(index, x, _mm256_permutevar8x32_ps(by_one, index));
  }
  static Floats level(Index index) {
    const __m256 low = _mm256_setr_ps(-127, -104, -83, -65, -49, -35, -22, -10);
    const __m256 high = _mm256_setr_ps(1, 13, 25, 38, 53, 69, 89, 113);
    const __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index),
                            _mm256_permutevar8x32_ps(high, index), upper);
  }

 private:
  // Appends the bit "not below the threshold".
  static Index step(Index index, Floats x, Floats threshold) {
    const __m256i set = _mm256_castps_si256(_mm256_cmp_ps(x, threshold, _CMP_NLT_UQ));
    return _mm256_sub_epi32(_mm256_add_epi32(index, index), set);
  }
};

}  // namespace

const GgmlKernels kGgmlAvx2 = {dequantize_vectors<Avx2>, quantize_vectors<Avx2>};

}  // namespace mlc
