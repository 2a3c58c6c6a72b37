// The types whose scales are searched for, in vectors: see arithmetic.h.
#pragma once

#include "pack.h"
#include "search.h"

namespace mlc {
namespace {

// Elements weigh more the larger they are.
template <typename V, int kMaxCode, int kSteps>
Affine<V> search_q45_k(const Floats<V>* x, float first_step) {
  Floats<V> w[32];
  Floats<V> squares = V::set(0.0f);
  for (int i = 0; i < 32; ++i) squares = V::add(squares, V::mul(x[i], x[i]));
  const Floats<V> average = V::sqrt(V::div(squares, V::set(32.0f)));
  for (int i = 0; i < 32; ++i) w[i] = V::add(average, V::abs(x[i]));
  return search_affine<V, 32, false>(x, w, kMaxCode, first_step, kSteps);
}

// What a type needs: how many elements a sub-block has, how its scales are searched, how a block of
// `kSubBlocks` of them is packed.
template <typename V>
struct Q4K {
  static constexpr GgmlType kType = GgmlType::kQ4K;
  static constexpr int kSubBlocks = 8, kElements = 32, kBytes = 144;
  static Affine<V> search(const Floats<V>* x) { return search_q45_k<V, 15, 20>(x, -1.0f); }
  static constexpr auto pack = pack_q45_k<V, false>;
};

template <typename V>
struct Q5K {
  static constexpr GgmlType kType = GgmlType::kQ5K;
  static constexpr int kSubBlocks = 8, kElements = 32, kBytes = 176;
  static Affine<V> search(const Floats<V>* x) { return search_q45_k<V, 31, 15>(x, -0.5f); }
  static constexpr auto pack = pack_q45_k<V, true>;
};

template <typename V>
struct Q2K {
  static constexpr GgmlType kType = GgmlType::kQ2K;
  static constexpr int kSubBlocks = 16, kElements = 16, kBytes = 84;
  static Affine<V> search(const Floats<V>* x) {
    Floats<V> w[16];
    for (int i = 0; i < 16; ++i) w[i] = V::abs(x[i]);
    return search_affine<V, 16, true>(x, w, 3, -0.5f, 15);
  }
  static constexpr auto pack = pack_q2_k<V>;
};

template <typename V>
struct Q3K {
  static constexpr GgmlType kType = GgmlType::kQ3K;
  static constexpr int kSubBlocks = 16, kElements = 16, kBytes = 110;
  static Affine<V> search(const Floats<V>* x) { return {descend_3bit<V>(x), V::set(0.0f)}; }
  static constexpr auto pack = pack_q3_k<V>;
};

template <typename V>
struct Q6K {
  static constexpr GgmlType kType = GgmlType::kQ6K;
  static constexpr int kSubBlocks = 16, kElements = 16, kBytes = 210;
  static Affine<V> search(const Floats<V>* x) { return {search_symmetric<V>(x), V::set(0.0f)}; }
  static constexpr auto pack = pack_q6_k<V>;
};

template <typename V>
struct Iq4Nl {
  static constexpr GgmlType kType = GgmlType::kIq4Nl;
  static constexpr int kSubBlocks = 1, kElements = 32, kBytes = 18;
  static Affine<V> search(const Floats<V>* x) { return {search_levels<V>(x), V::set(0.0f)}; }
  static constexpr auto pack = pack_iq4_nl<V>;
};

template <typename V>
struct Iq4Xs {
  static constexpr GgmlType kType = GgmlType::kIq4Xs;
  static constexpr int kSubBlocks = 8, kElements = 32, kBytes = 136;
  static Affine<V> search(const Floats<V>* x) { return {search_levels<V>(x), V::set(0.0f)}; }
  static constexpr auto pack = pack_iq4_xs<V>;
};

// Searches as many blocks at once as fill the lanes; the last ones may be fewer.
template <typename V, typename Type>
void quantize_searched(const uint8_t* src, uint8_t* dst, size_t count) {
  constexpr int kPerBlock = Type::kSubBlocks * Type::kElements;
  constexpr int kBlocks = V::kLanes > Type::kSubBlocks ? V::kLanes / Type::kSubBlocks : 1;
  constexpr int kSubBlocks = kBlocks * Type::kSubBlocks;
  const size_t total = count / kPerBlock;
  for (size_t done = 0; done < total; done += kBlocks) {
    const size_t blocks = total - done < kBlocks ? total - done : kBlocks;
    float x[kBlocks * kPerBlock];
    if (blocks < kBlocks) std::memset(x, 0, sizeof(x));
    std::memcpy(x, src, blocks * kPerBlock * 4);
    float scale[kSubBlocks], minimum[kSubBlocks];
    for (int j = 0; j < kSubBlocks; j += V::kLanes) {
      Floats<V> columns[Type::kElements];
      load_columns<V, Type::kElements>(x + j * Type::kElements, columns);
      const Affine<V> fit = Type::search(columns);
      V::store(scale + j, fit.scale);
      V::store(minimum + j, fit.minimum);
    }
    for (size_t b = 0; b < blocks; ++b) {
      const float* own = x + b * kPerBlock;
      const size_t first = b * Type::kSubBlocks;
      if (!Type::pack(own, scale + first, minimum + first, dst)) {
        kGgmlReference.quantize(Type::kType, src, dst, kPerBlock);
      }
      src += kPerBlock * 4;
      dst += Type::kBytes;
    }
  }
}

}  // namespace
}  // namespace mlc
