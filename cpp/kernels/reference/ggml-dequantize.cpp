// Values of GGUF blocks (gguf.md, section 2, "Dequantization"): float32, in the order written
// there.
#include "ggml-arithmetic.h"
#include "ggml.h"

namespace mlc {
namespace ggml {
namespace {

void q8_0(const uint8_t* src, float* dst) {
  const float d = load_f16(src);
  for (int i = 0; i < 32; ++i) dst[i] = static_cast<float>(static_cast<int8_t>(src[2 + i])) * d;
}

void q4_0(const uint8_t* src, float* dst) {
  const float d = load_f16(src);
  for (int i = 0; i < 16; ++i) {
    dst[i] = static_cast<float>((src[2 + i] & 15) - 8) * d;
    dst[i + 16] = static_cast<float>((src[2 + i] >> 4) - 8) * d;
  }
}

void q4_1(const uint8_t* src, float* dst) {
  const float d = load_f16(src);
  const float m = load_f16(src + 2);
  for (int i = 0; i < 16; ++i) {
    dst[i] = static_cast<float>(src[4 + i] & 15) * d + m;
    dst[i + 16] = static_cast<float>(src[4 + i] >> 4) * d + m;
  }
}

// Code i of a 5-bit block: bit i of `high` above a nibble of `low`.
int code5(const uint8_t* high, const uint8_t* low, int i) {
  const int bit = (high[i / 8] >> (i % 8)) & 1;
  const int nibble = i < 16 ? low[i] & 15 : low[i - 16] >> 4;
  return nibble | (bit << 4);
}

void q5_0(const uint8_t* src, float* dst) {
  const float d = load_f16(src);
  for (int i = 0; i < 32; ++i) dst[i] = static_cast<float>(code5(src + 2, src + 6, i) - 16) * d;
}

void q5_1(const uint8_t* src, float* dst) {
  const float d = load_f16(src);
  const float m = load_f16(src + 2);
  for (int i = 0; i < 32; ++i) dst[i] = static_cast<float>(code5(src + 4, src + 8, i)) * d + m;
}

void iq4_nl(const uint8_t* src, float* dst) {
  const float d = load_f16(src);
  for (int i = 0; i < 16; ++i) {
    dst[i] = d * static_cast<float>(kNonlinearLevels[src[2 + i] & 15]);
    dst[i + 16] = d * static_cast<float>(kNonlinearLevels[src[2 + i] >> 4]);
  }
}

void mxfp4(const uint8_t* src, float* dst) {
  const float d = mxfp4_scale(src[0]);
  for (int i = 0; i < 16; ++i) {
    dst[i] = static_cast<float>(kMxfp4Levels[src[1 + i] & 15]) * d;
    dst[i + 16] = static_cast<float>(kMxfp4Levels[src[1 + i] >> 4]) * d;
  }
}

// Element i of 256 two-bit codes, four to a byte: within a half of 128, plane i div 32, byte i
// mod 32.
int code2(const uint8_t* qs, int i) {
  return (qs[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32))) & 3;
}

void q2_k(const uint8_t* src, float* dst) {
  const float d = load_f16(src + 80);
  const float dmin = load_f16(src + 82);
  for (int i = 0; i < 256; ++i) {
    const uint8_t scale = src[i / 16];
    const float multiplier = d * static_cast<float>(scale & 15);
    const float minimum = dmin * static_cast<float>(scale >> 4);
    dst[i] = multiplier * static_cast<float>(code2(src + 16, i)) - minimum;
  }
}

int q3_scale(const uint8_t* b, int j) {
  const int low = j < 8 ? b[j] & 15 : b[j - 8] >> 4;
  return low | (((b[8 + j % 4] >> (2 * (j / 4))) & 3) << 4);
}

void q3_k(const uint8_t* src, float* dst) {
  const float d = load_f16(src + 108);
  for (int i = 0; i < 256; ++i) {
    const float multiplier = d * static_cast<float>(q3_scale(src + 96, i / 16) - 32);
    const int high = (src[i % 32] >> (i / 32)) & 1;
    dst[i] = multiplier * static_cast<float>(code2(src + 32, i) - (high ? 0 : 4));
  }
}

// Q4_K and Q5_K: 64 values share 32 bytes of nibbles, low nibbles first.
template <bool kFiveBits>
void q45_k(const uint8_t* src, float* dst) {
  const float d = load_f16(src);
  const float dmin = load_f16(src + 2);
  const uint8_t* qh = src + 16;
  const uint8_t* qs = src + (kFiveBits ? 48 : 16);
  for (int j = 0; j < 8; ++j) {
    int scale, minimum;
    unpack_scale_min(src + 4, j, &scale, &minimum);
    const float multiplier = d * static_cast<float>(scale);
    const float offset = dmin * static_cast<float>(minimum);
    for (int l = 0; l < 32; ++l) {
      int q = (qs[32 * (j / 2) + l] >> (4 * (j % 2))) & 15;
      if (kFiveBits) q |= ((qh[l] >> j) & 1) << 4;
      dst[32 * j + l] = multiplier * static_cast<float>(q) - offset;
    }
  }
}

void q6_k(const uint8_t* src, float* dst) {
  const float d = load_f16(src + 208);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;
    const int plane = i % 128 / 32;
    const int l = i % 32;
    const int low = (src[64 * half + 32 * (plane % 2) + l] >> (4 * (plane / 2))) & 15;
    const int high = (src[128 + 32 * half + l] >> (2 * plane)) & 3;
    const float multiplier = d * static_cast<float>(static_cast<int8_t>(src[192 + i / 16]));
    dst[i] = multiplier * static_cast<float>((low | (high << 4)) - 32);
  }
}

void iq4_xs(const uint8_t* src, float* dst) {
  const float d = load_f16(src);
  const int scales_h = src[2] | (src[3] << 8);
  for (int j = 0; j < 8; ++j) {
    const int low = (src[4 + j / 2] >> (4 * (j % 2))) & 15;
    const int u = low | (((scales_h >> (2 * j)) & 3) << 4);
    const float multiplier = d * static_cast<float>(u - 32);
    const uint8_t* qs = src + 8 + 16 * j;
    for (int i = 0; i < 16; ++i) {
      dst[32 * j + i] = multiplier * static_cast<float>(kNonlinearLevels[qs[i] & 15]);
      dst[32 * j + i + 16] = multiplier * static_cast<float>(kNonlinearLevels[qs[i] >> 4]);
    }
  }
}

DequantizeBlock find_block(GgmlType type) {
  switch (type) {
    case GgmlType::kQ8_0:
      return q8_0;
    case GgmlType::kQ4_0:
      return q4_0;
    case GgmlType::kQ4_1:
      return q4_1;
    case GgmlType::kQ5_0:
      return q5_0;
    case GgmlType::kQ5_1:
      return q5_1;
    case GgmlType::kQ2K:
      return q2_k;
    case GgmlType::kQ3K:
      return q3_k;
    case GgmlType::kQ4K:
      return q45_k<false>;
    case GgmlType::kQ5K:
      return q45_k<true>;
    case GgmlType::kQ6K:
      return q6_k;
    case GgmlType::kIq4Nl:
      return iq4_nl;
    case GgmlType::kIq4Xs:
      return iq4_xs;
    case GgmlType::kMxfp4:
      return mxfp4;
  }
  return nullptr;
}

}  // namespace
}  // namespace ggml

const ggml::FindDequantizer kGgmlDequantize = ggml::find_block;

}  // namespace mlc
