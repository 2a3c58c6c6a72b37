// What conversion lost, sixteen elements at a time: the reference's lanes are the vector's.
#include "../backends.h"
#include "vector.h"

namespace mlc {
namespace {

constexpr size_t kBlock = 4096;
constexpr float kMaxFinite = 3.4028234663852886e38f;

float overflow_limit(DType model) {
  if (model == DType::kF16) return 65520.0f;
  const uint32_t bits = model == DType::kBf16 ? 0x7F7F8000 : 0x7F800000;
  float limit;
  std::memcpy(&limit, &bits, sizeof limit);
  return limit;
}

struct Sums {
  __m512 squared_error = _mm512_setzero_ps();
  __m512 squared_value = _mm512_setzero_ps();
  __m512 max_error = _mm512_setzero_ps();
};

void count_unusable(__m512 magnitude, __mmask16 unusable, Statistics* out) {
  const __mmask16 finite =
      _mm512_mask_cmp_ps_mask(unusable, magnitude, _mm512_set1_ps(kMaxFinite), _CMP_LE_OQ);
  const int overflowed = _mm_popcnt_u32(finite);
  out->overflowed += static_cast<uint64_t>(overflowed);
  out->non_finite += static_cast<uint64_t>(_mm_popcnt_u32(unusable) - overflowed);
}

template <bool kCompares>
void add(__m512 value, __m512 made, __m512 limit, Sums* sums, Statistics* out) {
  const __m512 magnitude = _mm512_abs_ps(value);
  const __mmask16 usable = _mm512_cmp_ps_mask(magnitude, limit, _CMP_LT_OQ);
  if (usable != kAllLanes) count_unusable(magnitude, static_cast<__mmask16>(~usable), out);
  sums->squared_value = _mm512_mask_add_ps(sums->squared_value, usable, sums->squared_value,
                                           _mm512_mul_ps(value, value));
  if (!kCompares) return;
  const __m512 error = _mm512_abs_ps(_mm512_sub_ps(made, value));
  const __mmask16 finite =
      _mm512_mask_cmp_ps_mask(usable, error, _mm512_set1_ps(kMaxFinite), _CMP_LE_OQ);
  sums->squared_error = _mm512_mask_add_ps(sums->squared_error, finite, sums->squared_error,
                                           _mm512_mul_ps(error, error));
  sums->max_error = _mm512_mask_max_ps(sums->max_error, finite, sums->max_error, error);
}

void add_lanes(const Sums& sums, Statistics* out) {
  alignas(64) float lanes[3][16];
  _mm512_store_ps(lanes[0], sums.squared_error);
  _mm512_store_ps(lanes[1], sums.squared_value);
  _mm512_store_ps(lanes[2], sums.max_error);
  for (size_t i = 0; i < 16; ++i) {
    out->squared_error += static_cast<double>(lanes[0][i]);
    out->squared_value += static_cast<double>(lanes[1][i]);
    const double error = static_cast<double>(lanes[2][i]);
    if (error > out->max_error) out->max_error = error;
  }
}

template <DType From, bool kCompares>
void compare_from(__m512 limit, const uint8_t* src, const uint8_t* made, size_t count,
                  Statistics* out) {
  for (size_t first = 0; first < count; first += kBlock) {
    const size_t end = count - first < kBlock ? count : first + kBlock;
    Sums sums;
    for (size_t i = first; i < end; i += 16) {
      const __mmask16 lanes = first_lanes(end - i);
      const __m512 value = load16<From>(src + i * width_of(From), lanes);
      const __m512 made16 = kCompares ? _mm512_maskz_loadu_ps(lanes, made + i * 4) : value;
      add<kCompares>(value, made16, limit, &sums, out);
    }
    add_lanes(sums, out);
  }
}

template <DType From>
void compare_any(__m512 limit, const uint8_t* src, const uint8_t* made, size_t count,
                 Statistics* out) {
  if (made == nullptr) return compare_from<From, false>(limit, src, made, count, out);
  compare_from<From, true>(limit, src, made, count, out);
}

void compare(DType from, DType model, const uint8_t* src, const uint8_t* made_f32, size_t count,
             Statistics* out) {
  const __m512 limit = _mm512_set1_ps(overflow_limit(model));
  out->elements += count;
  if (from == DType::kF32) return compare_any<DType::kF32>(limit, src, made_f32, count, out);
  if (from == DType::kF16) return compare_any<DType::kF16>(limit, src, made_f32, count, out);
  compare_any<DType::kBf16>(limit, src, made_f32, count, out);
}

template <DType Model>
__m512 scale_at(const uint8_t* at) {
  return _mm512_set1_ps(_mm512_cvtss_f32(load16<Model>(at, 1)));
}

template <DType Model>
void decode4(const GroupDecodeArgs& args, uint8_t* dst) {
  const __m512i shifts = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
  const __m512i second = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  for (size_t col = 0; col < args.cols; col += 16) {
    const uint8_t* words = args.words + col / 8 * args.word_stride;
    uint32_t pair[2] = {0, 0};
    std::memcpy(&pair[0], words, 4);
    if (args.cols - col > 8) std::memcpy(&pair[1], words + args.word_stride, 4);
    const __m512i both =
        _mm512_castsi128_si512(_mm_set_epi32(0, 0, static_cast<int>(pair[1]), static_cast<int>(pair[0])));
    const __m512i codes = _mm512_and_si512(
        _mm512_srlv_epi32(_mm512_permutexvar_epi32(second, both), shifts), _mm512_set1_epi32(15));
    const __m512 centred = _mm512_cvtepi32_ps(_mm512_sub_epi32(codes, _mm512_set1_epi32(7)));
    const __m512 scale = scale_at<Model>(args.scales + col / 32 * args.scale_stride);
    _mm512_mask_storeu_ps(dst + col * 4, first_lanes(args.cols - col), _mm512_mul_ps(centred, scale));
  }
}

// Ten values a word, forty a group.
template <DType Model>
void decode3(const GroupDecodeArgs& args, uint8_t* dst) {
  const __m512i shifts = _mm512_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 0, 0, 0, 0, 0, 0);
  for (size_t col = 0; col < args.cols; col += 10) {
    uint32_t word;
    std::memcpy(&word, args.words + col / 10 * args.word_stride, 4);
    const __m512i codes = _mm512_and_si512(
        _mm512_srlv_epi32(_mm512_set1_epi32(static_cast<int>(word)), shifts), _mm512_set1_epi32(7));
    const __m512 centred = _mm512_cvtepi32_ps(_mm512_sub_epi32(codes, _mm512_set1_epi32(3)));
    const __m512 scale = scale_at<Model>(args.scales + col / 40 * args.scale_stride);
    const size_t left = args.cols - col < 10 ? args.cols - col : 10;
    _mm512_mask_storeu_ps(dst + col * 4, first_lanes(left), _mm512_mul_ps(centred, scale));
  }
}

template <DType Model>
void decode(const GroupDecodeArgs& args, uint8_t* dst) {
  if (args.bits == 4) return decode4<Model>(args, dst);
  decode3<Model>(args, dst);
}

void decode_groups(const GroupDecodeArgs* args, uint8_t* dst_f32) {
  if (args->model == DType::kF32) return decode<DType::kF32>(*args, dst_f32);
  if (args->model == DType::kF16) return decode<DType::kF16>(*args, dst_f32);
  decode<DType::kBf16>(*args, dst_f32);
}

}  // namespace

const StatisticsKernels kAvx512Statistics = {compare, decode_groups};

}  // namespace mlc
