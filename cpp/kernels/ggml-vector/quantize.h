// Every type that is made in vectors: see arithmetic.h.
#pragma once

#include "plain-types.h"
#include "searched-types.h"

namespace mlc {
namespace {

template <typename V>
void quantize_vectors(GgmlType type, const uint8_t* src, uint8_t* dst, size_t count) {
  switch (type) {
    case GgmlType::kQ8_0:
      return each_block<quantize_q8_0<V>>(src, dst, count, 34);
    case GgmlType::kQ4_0:
      return each_block<quantize_centred<V, 8>>(src, dst, count, 18);
    case GgmlType::kQ4_1:
      return each_block<quantize_offset<V, 15>>(src, dst, count, 20);
    case GgmlType::kQ5_0:
      return each_block<quantize_centred<V, 16>>(src, dst, count, 22);
    case GgmlType::kQ5_1:
      return each_block<quantize_offset<V, 31>>(src, dst, count, 24);
    case GgmlType::kQ2K:
      return quantize_searched<V, Q2K<V>>(src, dst, count);
    case GgmlType::kQ3K:
      return quantize_searched<V, Q3K<V>>(src, dst, count);
    case GgmlType::kQ4K:
      return quantize_searched<V, Q4K<V>>(src, dst, count);
    case GgmlType::kQ5K:
      return quantize_searched<V, Q5K<V>>(src, dst, count);
    case GgmlType::kQ6K:
      return quantize_searched<V, Q6K<V>>(src, dst, count);
    case GgmlType::kIq4Nl:
      return quantize_searched<V, Iq4Nl<V>>(src, dst, count);
    case GgmlType::kIq4Xs:
      return quantize_searched<V, Iq4Xs<V>>(src, dst, count);
    case GgmlType::kMxfp4:
      return kGgmlReference.quantize(type, src, dst, count);
  }
}

}  // namespace
}  // namespace mlc
