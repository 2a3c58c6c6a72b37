// What conversion lost, eight elements at a time: two vectors are the reference's sixteen lanes.
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

struct Sums {
  __m256 squared_error = _mm256_setzero_ps();
  __m256 squared_value = _mm256_setzero_ps();
  __m256 max_error = _mm256_setzero_ps();
};

// Handed on by value: sums whose address is known elsewhere would go through memory in every step.
struct Halves {
  Sums half[2];
};

__m256 absolute(__m256 value) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), value); }

void count_unusable(__m256 magnitude, int usable, Statistics* out) {
  const int finite =
      _mm256_movemask_ps(_mm256_cmp_ps(magnitude, _mm256_set1_ps(kMaxFinite), _CMP_LE_OQ));
  const int unusable = ~usable & 0xFF;
  const int overflowed = _mm_popcnt_u32(static_cast<unsigned>(unusable & finite));
  out->overflowed += static_cast<uint64_t>(overflowed);
  out->non_finite +=
      static_cast<uint64_t>(_mm_popcnt_u32(static_cast<unsigned>(unusable)) - overflowed);
}

template <bool kCompares>
void add(__m256 value, __m256 made, __m256 limit, Sums* sums, Statistics* out) {
  const __m256 magnitude = absolute(value);
  const __m256 usable = _mm256_cmp_ps(magnitude, limit, _CMP_LT_OQ);
  const int mask = _mm256_movemask_ps(usable);
  if (mask != 0xFF) count_unusable(magnitude, mask, out);
  const __m256 square = _mm256_and_ps(usable, _mm256_mul_ps(value, value));
  sums->squared_value = _mm256_add_ps(sums->squared_value, square);
  if (!kCompares) return;
  const __m256 error = absolute(_mm256_sub_ps(made, value));
  const __m256 finite =
      _mm256_and_ps(usable, _mm256_cmp_ps(error, _mm256_set1_ps(kMaxFinite), _CMP_LE_OQ));
  const __m256 kept = _mm256_and_ps(finite, error);
  sums->squared_error =
      _mm256_add_ps(sums->squared_error, _mm256_and_ps(finite, _mm256_mul_ps(error, error)));
  sums->max_error = _mm256_max_ps(sums->max_error, kept);
}

// The same where every value and error is finite, which the sums show afterwards.
void add_finite(__m256 value, __m256 made, Sums* sums) {
  const __m256 error = absolute(_mm256_sub_ps(made, value));
  sums->squared_value = _mm256_add_ps(sums->squared_value, _mm256_mul_ps(value, value));
  sums->squared_error = _mm256_add_ps(sums->squared_error, _mm256_mul_ps(error, error));
  sums->max_error = _mm256_max_ps(sums->max_error, error);
}

bool all_finite(Halves sums) {
  int finite = 0xFF;
  for (size_t half = 0; half < 2; ++half) {
    const __m256 both = _mm256_add_ps(sums.half[half].squared_error, sums.half[half].squared_value);
    finite &= _mm256_movemask_ps(_mm256_cmp_ps(both, _mm256_set1_ps(kMaxFinite), _CMP_LE_OQ));
  }
  return finite == 0xFF;
}

void add_lanes(Halves sums, Statistics* out) {
  alignas(32) float lanes[3][8];
  for (size_t half = 0; half < 2; ++half) {
    _mm256_store_ps(lanes[0], sums.half[half].squared_error);
    _mm256_store_ps(lanes[1], sums.half[half].squared_value);
    _mm256_store_ps(lanes[2], sums.half[half].max_error);
    for (size_t i = 0; i < 8; ++i) {
      out->squared_error += static_cast<double>(lanes[0][i]);
      out->squared_value += static_cast<double>(lanes[1][i]);
      const double error = static_cast<double>(lanes[2][i]);
      if (error > out->max_error) out->max_error = error;
    }
  }
}

template <DType From, bool kCompares>
void add16(const uint8_t* src, const uint8_t* made, __m256 limit, Halves* sums, Statistics* out) {
  for (size_t half = 0; half < 2; ++half) {
    const __m256 value = load8<From>(src + half * 8 * width_of(From));
    const __m256 made8 = kCompares ? _mm256_castsi256_ps(load256(made + half * 32)) : value;
    add<kCompares>(value, made8, limit, &sums->half[half], out);
  }
}

// At most one block.
template <DType From, bool kCompares>
void compare_block(__m256 limit, const uint8_t* src, const uint8_t* made, size_t count,
                   Statistics* out) {
  constexpr size_t kWidth = width_of(From);
  Halves sums;
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    add16<From, kCompares>(src + i * kWidth, kCompares ? made + i * 4 : nullptr, limit, &sums, out);
  }
  if (i < count) {  // zeros, which change no sum, behind the last elements
    uint8_t last[64] = {};
    uint8_t last_made[64] = {};
    std::memcpy(last, src + i * kWidth, (count - i) * kWidth);
    if (kCompares) std::memcpy(last_made, made + i * 4, (count - i) * 4);
    add16<From, kCompares>(last, last_made, limit, &sums, out);
  }
  add_lanes(sums, out);
}

template <DType From>
void compare_any(__m256 limit, const uint8_t* src, const uint8_t* made, size_t count,
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
  const __m256 limit = _mm256_set1_ps(overflow_limit(model));
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
__m256 scale_at(const uint8_t* at) {
  uint8_t padded[32] = {};
  std::memcpy(padded, at, S::kScale);
  return _mm256_set1_ps(_mm256_cvtss_f32(load8<S::kModel>(padded)));
}

// Values `first` ... `first` + 7 of a word; what is behind the word's last is meaningless.
template <class S>
__m256 decode8(uint32_t word, int first, __m256 scale) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i places = _mm256_add_epi32(lanes, _mm256_set1_epi32(first));
  const __m256i shifts = _mm256_mullo_epi32(places, _mm256_set1_epi32(S::kBits));
  const __m256i codes =
      _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(word)), shifts),
                       _mm256_set1_epi32((1 << S::kBits) - 1));
  const __m256i centred = _mm256_sub_epi32(codes, _mm256_set1_epi32((1 << (S::kBits - 1)) - 1));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(centred), scale);
}

// One block of a row, decoded to memory; a word's meaningless values are overwritten by the next.
template <class S>
void decode_block(const Row& row, size_t count, float* made) {
  constexpr size_t kPerWord = S::kBits == 4 ? 8 : 10;
  for (size_t col = 0; col < count; col += S::kGroup) {
    const size_t group = col / S::kGroup;
    const __m256 scale = scale_at<S>(row.scales + group * row.scale_stride);
    const uint8_t* words = row.words + group * 4 * row.word_stride;
    for (size_t i = 0; i < 4; ++i) {
      const uint32_t word = read_bits(words + i * row.word_stride, 4);
      float* at = made + col + i * kPerWord;
      _mm256_storeu_ps(at, decode8<S>(word, 0, scale));
      if (S::kBits == 3) _mm256_storeu_ps(at + 8, decode8<S>(word, 8, scale));
    }
  }
}

// One block of whole groups of 4 bits without a detour through memory; false if something is not
// finite.
template <class S>
bool compare_finite4(const Row& row, size_t count, Halves* result) {
  Halves sums;
  for (size_t col = 0; col < count; col += 32) {
    const size_t group = col / 32;
    const __m256 scale = scale_at<S>(row.scales + group * row.scale_stride);
    const uint8_t* words = row.words + group * 4 * row.word_stride;
    const uint8_t* src = row.src + col * S::kSource;
    for (size_t i = 0; i < 4; ++i) {
      const __m256 made = decode8<S>(read_bits(words + i * row.word_stride, 4), 0, scale);
      add_finite(load8<S::kFrom>(src + i * 8 * S::kSource), made, &sums.half[i % 2]);
    }
  }
  *result = sums;
  return all_finite(sums);
}

template <class S>
void compare_row(const Row& row, size_t cols, Statistics* out) {
  constexpr size_t kPart = S::kBits == 4 ? kBlock : kBlock3;
  const __m256 limit = _mm256_set1_ps(overflow_limit(S::kModel));
  alignas(32) float made[kBlock + 8];
  for (size_t first = 0; first < cols; first += kPart) {
    const size_t count = cols - first < kPart ? cols - first : kPart;
    const size_t group = first / S::kGroup;
    const Row part = {row.src + first * S::kSource, row.words + group * 4 * row.word_stride,
                      row.word_stride, row.scales + group * row.scale_stride, row.scale_stride};
    Halves sums;
    if (S::kBits == 4 && count % 32 == 0 && compare_finite4<S>(part, count, &sums)) {
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

const StatisticsKernels kAvx2Statistics = {compare, compare_groups};

}  // namespace mlc
