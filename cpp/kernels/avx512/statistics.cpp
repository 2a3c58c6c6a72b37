// What conversion lost, sixteen elements at a time: the reference's lanes are the vector's.
#include "../backends.h"
#include "vector.h"

namespace mlc {
namespace {

constexpr size_t kBlock = 4096;
constexpr size_t kBlock3 = 4000;
constexpr float kMaxFinite = 3.4028234663852886e38f;

float overflow_limit(DType model) {
  if (model == DType::kF16) return 65520.0f;
  const uint32_t bits = model == DType::kBf16 ? 0x7F7F8000 : 0x7F800000;
  float limit;
  std::memcpy(&limit, &bits, sizeof limit);
  return limit;
}

// Handed on by value: sums whose address is known elsewhere would go through memory in every step.
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

// The same where every value and error is finite, which the sums show afterwards.
void add_finite(__m512 value, __m512 made, Sums* sums) {
  constexpr int kLargerMagnitude = 0x0B;  // of the two, without a sign
  const __m512 error = _mm512_sub_ps(made, value);
  sums->squared_value = _mm512_add_ps(sums->squared_value, _mm512_mul_ps(value, value));
  sums->squared_error = _mm512_add_ps(sums->squared_error, _mm512_mul_ps(error, error));
  sums->max_error = _mm512_range_ps(sums->max_error, error, kLargerMagnitude);
}

bool all_finite(Sums sums) {
  const __m512 both = _mm512_add_ps(sums.squared_error, sums.squared_value);
  return _mm512_cmp_ps_mask(both, _mm512_set1_ps(kMaxFinite), _CMP_LE_OQ) == kAllLanes;
}

void add_lanes(Sums sums, Statistics* out) {
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

// At most one block.
template <DType From, bool kCompares>
void compare_block(__m512 limit, const uint8_t* src, const uint8_t* made, size_t count,
                   Statistics* out) {
  Sums sums;
  for (size_t i = 0; i < count; i += 16) {
    const __mmask16 lanes = first_lanes(count - i);
    const __m512 value = load16<From>(src + i * width_of(From), lanes);
    const __m512 made16 = kCompares ? _mm512_maskz_loadu_ps(lanes, made + i * 4) : value;
    add<kCompares>(value, made16, limit, &sums, out);
  }
  add_lanes(sums, out);
}

template <DType From>
void compare_any(__m512 limit, const uint8_t* src, const uint8_t* made, size_t count,
                 Statistics* out) {
  for (size_t first = 0; first < count; first += kBlock) {
    const size_t block = count - first < kBlock ? count - first : kBlock;
    const uint8_t* at = src + first * width_of(From);
    if (made == nullptr) {
      compare_block<From, false>(limit, at, nullptr, block, out);
    } else {
      compare_block<From, true>(limit, at, made + first * 4, block, out);
    }
  }
}

void compare(DType from, DType model, const uint8_t* src, const uint8_t* made_f32, size_t count,
             Statistics* out) {
  const __m512 limit = _mm512_set1_ps(overflow_limit(model));
  out->elements += count;
  if (from == DType::kF32) return compare_any<DType::kF32>(limit, src, made_f32, count, out);
  if (from == DType::kF16) return compare_any<DType::kF16>(limit, src, made_f32, count, out);
  compare_any<DType::kBf16>(limit, src, made_f32, count, out);
}

// ---- groups ----

// A row's words and scales, from the first group of a block on.
struct Row {
  const uint8_t* src;
  const uint8_t* words;
  size_t word_stride;
  const uint8_t* scales;
  size_t scale_stride;
};

template <class S>
__m512 scale_at(const uint8_t* at) {
  return _mm512_set1_ps(_mm512_cvtss_f32(load16<S::kModel>(at, 1)));
}

// What the sixteen codes stand for in a group of this scale; 3-bit codes use the first eight.
template <class S>
__m512 meanings(__m512 scale) {
  const __m512i codes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i centred = _mm512_sub_epi32(codes, _mm512_set1_epi32(S::kBits == 4 ? 7 : 3));
  return _mm512_mul_ps(_mm512_cvtepi32_ps(centred), scale);
}

__m512i load_words(const uint8_t* words, size_t stride) {
  if (stride == 4) return _mm512_broadcast_i32x4(load128(words));
  int32_t each[4];
  for (size_t i = 0; i < 4; ++i) std::memcpy(&each[i], words + i * stride, 4);
  return _mm512_broadcast_i32x4(_mm_setr_epi32(each[0], each[1], each[2], each[3]));
}

// Elements 16 * half ... of a 4-bit group; the lookup takes the lowest four bits of a lane.
__m512 decode4(__m512i words, size_t half, __m512 table) {
  const __m512i shifts =
      _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
  const __m512i first = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  const __m512i word = _mm512_add_epi32(first, _mm512_set1_epi32(static_cast<int>(2 * half)));
  return _mm512_permutexvar_ps(_mm512_srlv_epi32(_mm512_permutexvar_epi32(word, words), shifts),
                               table);
}

// Ten values of a 3-bit word in the lower lanes.
__m512 decode3(uint32_t word, __m512 table) {
  const __m512i shifts = _mm512_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 0, 0, 0, 0, 0, 0);
  const __m512i codes = _mm512_srlv_epi32(_mm512_set1_epi32(static_cast<int>(word)), shifts);
  return _mm512_permutexvar_ps(_mm512_and_si512(codes, _mm512_set1_epi32(7)), table);
}

// One block of a row, decoded to memory.
template <class S>
void decode_block(const Row& row, size_t count, float* made) {
  for (size_t col = 0; col < count; col += S::kGroup) {
    const size_t group = col / S::kGroup;
    const __m512 table = meanings<S>(scale_at<S>(row.scales + group * row.scale_stride));
    const uint8_t* words = row.words + group * 4 * row.word_stride;
    if (S::kBits == 4) {
      const __m512i all = load_words(words, row.word_stride);
      _mm512_storeu_ps(made + col, decode4(all, 0, table));
      _mm512_storeu_ps(made + col + 16, decode4(all, 1, table));
    } else {
      for (size_t i = 0; i < 4; ++i) {
        uint32_t word;
        std::memcpy(&word, words + i * row.word_stride, 4);
        _mm512_mask_storeu_ps(made + col + i * 10, first_lanes(10), decode3(word, table));
      }
    }
  }
}

// One block of 4-bit groups without a detour through memory; false if something is not finite.
template <class S>
bool compare_finite4(const Row& row, size_t count, Sums* result) {
  Sums sums;
  for (size_t col = 0; col < count; col += 32) {
    const size_t group = col / 32;
    const __m512 table = meanings<S>(scale_at<S>(row.scales + group * row.scale_stride));
    const __m512i words = load_words(row.words + group * 4 * row.word_stride, row.word_stride);
    const uint8_t* src = row.src + col * S::kSource;
    if (count - col >= 32) {
      add_finite(load16<S::kFrom>(src), decode4(words, 0, table), &sums);
      add_finite(load16<S::kFrom>(src + 16 * S::kSource), decode4(words, 1, table), &sums);
      continue;
    }
    for (size_t half = 0; half < 2 && col + half * 16 < count; ++half) {
      const __mmask16 lanes = first_lanes(count - col - half * 16);
      const __m512 made = _mm512_maskz_mov_ps(lanes, decode4(words, half, table));
      add_finite(load16<S::kFrom>(src + half * 16 * S::kSource, lanes), made, &sums);
    }
  }
  *result = sums;
  return all_finite(sums);
}

template <class S>
void compare_row(const Row& row, size_t cols, Statistics* out) {
  constexpr size_t kPart = S::kBits == 4 ? kBlock : kBlock3;
  const __m512 limit = _mm512_set1_ps(overflow_limit(S::kModel));
  alignas(64) float made[kBlock];
  for (size_t first = 0; first < cols; first += kPart) {
    const size_t count = cols - first < kPart ? cols - first : kPart;
    const size_t group = first / S::kGroup;
    const Row part = {row.src + first * S::kSource, row.words + group * 4 * row.word_stride,
                      row.word_stride, row.scales + group * row.scale_stride, row.scale_stride};
    Sums sums;
    if (S::kBits == 4 && compare_finite4<S>(part, count, &sums)) {
      add_lanes(sums, out);
      continue;
    }
    decode_block<S>(part, count, made);
    compare_block<S::kFrom, true>(limit, part.src, reinterpret_cast<const uint8_t*>(made), count,
                                  out);
  }
}

template <class S>
void count_scales(const Row& row, size_t groups, Statistics* out) {
  constexpr uint32_t kMagnitude = S::kModel == DType::kF32 ? 0x7FFFFFFF : 0x7FFF;
  for (size_t i = 0; i < groups; ++i) {
    const uint32_t bits = read_bits(row.scales + i * row.scale_stride, S::kScale) & kMagnitude;
    out->zero_groups += bits == 0;
    out->infinite_scales += bits >= infinity_of(S::kModel);
  }
}

template <class S>
void compare_rows(const GroupQuantizeArgs& args, Statistics* out) {
  for (size_t row = 0; row < args.rows; ++row) {
    const Row all = {args.src + row * args.src_row_stride, args.words + row * args.word_row_stride,
                     args.word_stride, args.scales + row * args.scale_row_stride,
                     args.scale_stride};
    out->elements += args.cols;
    compare_row<S>(all, args.cols, out);
    count_scales<S>(all, (args.cols + S::kGroup - 1) / S::kGroup, out);
  }
}

template <DType From, DType Model>
void compare_any_bits(const GroupQuantizeArgs& args, Statistics* out) {
  if (args.bits == 4) return compare_rows<Scheme<From, Model, 4>>(args, out);
  compare_rows<Scheme<From, Model, 3>>(args, out);
}

template <DType From>
void compare_any_model(const GroupQuantizeArgs& args, Statistics* out) {
  if (args.model == DType::kF32) return compare_any_bits<From, DType::kF32>(args, out);
  if (args.model == DType::kF16) return compare_any_bits<From, DType::kF16>(args, out);
  compare_any_bits<From, DType::kBf16>(args, out);
}

void compare_groups(const GroupQuantizeArgs* args, Statistics* out) {
  if (args->from == DType::kF32) return compare_any_model<DType::kF32>(*args, out);
  if (args->from == DType::kF16) return compare_any_model<DType::kF16>(*args, out);
  compare_any_model<DType::kBf16>(*args, out);
}

}  // namespace

const StatisticsKernels kAvx512Statistics = {compare, compare_groups};

}  // namespace mlc
