// What conversion lost, eight elements at a time: two vectors are the reference's sixteen lanes.
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
  __m256 squared_error = _mm256_setzero_ps();
  __m256 squared_value = _mm256_setzero_ps();
  __m256 max_error = _mm256_setzero_ps();
};

__m256 absolute(__m256 value) {
  return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), value);
}

void count_unusable(__m256 magnitude, int usable, Statistics* out) {
  const int finite = _mm256_movemask_ps(_mm256_cmp_ps(magnitude, _mm256_set1_ps(kMaxFinite), _CMP_LE_OQ));
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

void add_lanes(const Sums* sums, Statistics* out) {
  alignas(32) float lanes[3][8];
  for (size_t half = 0; half < 2; ++half) {
    _mm256_store_ps(lanes[0], sums[half].squared_error);
    _mm256_store_ps(lanes[1], sums[half].squared_value);
    _mm256_store_ps(lanes[2], sums[half].max_error);
    for (size_t i = 0; i < 8; ++i) {
      out->squared_error += static_cast<double>(lanes[0][i]);
      out->squared_value += static_cast<double>(lanes[1][i]);
      const double error = static_cast<double>(lanes[2][i]);
      if (error > out->max_error) out->max_error = error;
    }
  }
}

template <DType From, bool kCompares>
void add16(const uint8_t* src, const uint8_t* made, __m256 limit, Sums* sums, Statistics* out) {
  for (size_t half = 0; half < 2; ++half) {
    const __m256 value = load8<From>(src + half * 8 * width_of(From));
    const __m256 made8 = kCompares ? _mm256_castsi256_ps(load256(made + half * 32)) : value;
    add<kCompares>(value, made8, limit, &sums[half], out);
  }
}

template <DType From, bool kCompares>
void compare_from(__m256 limit, const uint8_t* src, const uint8_t* made, size_t count,
                  Statistics* out) {
  constexpr size_t kWidth = width_of(From);
  for (size_t first = 0; first < count; first += kBlock) {
    const size_t end = count - first < kBlock ? count : first + kBlock;
    Sums sums[2];
    size_t i = first;
    for (; i + 16 <= end; i += 16) {
      add16<From, kCompares>(src + i * kWidth, kCompares ? made + i * 4 : nullptr, limit, sums, out);
    }
    if (i < end) {  // zeros, which change no sum, behind the last elements
      uint8_t last[64] = {};
      uint8_t last_made[64] = {};
      std::memcpy(last, src + i * kWidth, (end - i) * kWidth);
      if (kCompares) std::memcpy(last_made, made + i * 4, (end - i) * 4);
      add16<From, kCompares>(last, last_made, limit, sums, out);
    }
    add_lanes(sums, out);
  }
}

template <DType From>
void compare_any(__m256 limit, const uint8_t* src, const uint8_t* made, size_t count,
                 Statistics* out) {
  if (made == nullptr) return compare_from<From, false>(limit, src, made, count, out);
  compare_from<From, true>(limit, src, made, count, out);
}

void compare(DType from, DType model, const uint8_t* src, const uint8_t* made_f32, size_t count,
             Statistics* out) {
  const __m256 limit = _mm256_set1_ps(overflow_limit(model));
  out->elements += count;
  if (from == DType::kF32) return compare_any<DType::kF32>(limit, src, made_f32, count, out);
  if (from == DType::kF16) return compare_any<DType::kF16>(limit, src, made_f32, count, out);
  compare_any<DType::kBf16>(limit, src, made_f32, count, out);
}

template <DType Model>
__m256 scale_at(const uint8_t* at) {
  uint8_t padded[32] = {};
  std::memcpy(padded, at, width_of(Model));
  return _mm256_set1_ps(_mm256_cvtss_f32(load8<Model>(padded)));
}

// Values `first` ... `first` + 7 of a word.
template <int kBits>
__m256 decode8(uint32_t word, size_t first, __m256 scale) {
  const __m256i step = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(kBits));
  const __m256i shifts = _mm256_add_epi32(step, _mm256_set1_epi32(static_cast<int>(first) * kBits));
  const __m256i codes = _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(word)), shifts),
                                         _mm256_set1_epi32((1 << kBits) - 1));
  const __m256i centred = _mm256_sub_epi32(codes, _mm256_set1_epi32((1 << (kBits - 1)) - 1));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(centred), scale);
}

template <DType Model, int kBits>
void decode(const GroupDecodeArgs& args, uint8_t* dst) {
  constexpr size_t kPerWord = kBits == 4 ? 8 : 10;
  __m256 scale = _mm256_setzero_ps();
  for (size_t col = 0; col < args.cols; col += kPerWord) {
    if (col % (4 * kPerWord) == 0) {
      scale = scale_at<Model>(args.scales + col / (4 * kPerWord) * args.scale_stride);
    }
    uint32_t word;
    std::memcpy(&word, args.words + col / kPerWord * args.word_stride, 4);
    const size_t left = args.cols - col < kPerWord ? args.cols - col : kPerWord;
    if (left == kPerWord) {
      store256(dst + col * 4, _mm256_castps_si256(decode8<kBits>(word, 0, scale)));
    }
    if (left == kPerWord && kPerWord == 8) continue;
    uint8_t both[64];
    store256(both, _mm256_castps_si256(decode8<kBits>(word, 0, scale)));
    store256(both + 32, _mm256_castps_si256(decode8<kBits>(word, 8, scale)));
    std::memcpy(dst + col * 4, both, left * 4);
  }
}

template <DType Model>
void decode_any(const GroupDecodeArgs& args, uint8_t* dst) {
  if (args.bits == 4) return decode<Model, 4>(args, dst);
  decode<Model, 3>(args, dst);
}

void decode_groups(const GroupDecodeArgs* args, uint8_t* dst_f32) {
  if (args->model == DType::kF32) return decode_any<DType::kF32>(*args, dst_f32);
  if (args->model == DType::kF16) return decode_any<DType::kF16>(*args, dst_f32);
  decode_any<DType::kBf16>(*args, dst_f32);
}

}  // namespace

const StatisticsKernels kAvx2Statistics = {compare, decode_groups};

}  // namespace mlc
