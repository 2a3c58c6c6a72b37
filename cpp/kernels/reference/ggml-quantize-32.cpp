// Quantization of the plain types of 32 values a block (gguf.md, section 2, "32-blocks").
#include "ggml-arithmetic.h"
#include "ggml.h"

namespace mlc {
namespace ggml {
namespace {

// Truncates; where the scale's inverse overflowed, the product is not finite and the code is 0.
int truncated(float x) { return std::isfinite(x) ? static_cast<int>(x) : 0; }

int at_most(int x, int limit) { return x < limit ? x : limit; }

// 32 codes as nibbles: byte i holds code i low and code i + 16 high.
void pack_nibbles(const int* q, uint8_t* dst) {
  for (int i = 0; i < 16; ++i) {
    dst[i] = static_cast<uint8_t>((q[i] & 15) | ((q[i + 16] & 15) << 4));
  }
}

// Bit 4 of 32 codes, code i at bit i of a little-endian word.
void pack_fifth_bits(const int* q, uint8_t* dst) {
  for (int b = 0; b < 4; ++b) {
    int byte = 0;
    for (int i = 0; i < 8; ++i) byte |= ((q[8 * b + i] >> 4) & 1) << i;
    dst[b] = static_cast<uint8_t>(byte);
  }
}

// floor(float32(log2 a)) for a > 0, without a logarithm: the exponent, or one more if `a` lies so
// closely below a power of two that its logarithm rounds to that integer.
int floor_log2_f32(float a) {
  const uint32_t bits = bits_of(a);
  int exponent = static_cast<int>(bits >> 23) - 127;
  uint32_t mantissa = bits & 0x7FFFFFu;
  int width = 23;  // `a` is (2^width + mantissa) * 2^(exponent - width)
  if (exponent == -127) {
    width = 22;
    while (!(mantissa >> width)) --width;
    exponent = width - 149;
    mantissa -= 1u << width;
  }
  const int next = exponent + 1;
  // Below `next`, float32 values are 2^(p - 23) apart; what is nearer than half of that rounds up.
  const int magnitude = next > 0 ? next - 1 : -next;
  if (next == 0 || magnitude == 0) return exponent;
  int p = 0;
  while ((magnitude >> (p + 1)) != 0) ++p;
  const double below = static_cast<double>((2u << width) - (1u << width) - mantissa);
  const double limit = std::ldexp(0.69314718055994530942, p - 24 + width + 1);
  return below < limit ? next : exponent;
}

void quantize_q8_0(const float* x, uint8_t* dst) {
  const float d = std::fabs(absmax(x, 32)) / 127.0f;
  const float id = inverse(d);
  store_f16(dst, d);
  for (int i = 0; i < 32; ++i) {
    dst[2 + i] = static_cast<uint8_t>(truncated(std::round(x[i] * id)));
  }
}

void quantize_q4_0(const float* x, uint8_t* dst) {
  const float d = absmax(x, 32) / -8.0f;
  const float id = inverse(d);
  int q[32];
  for (int i = 0; i < 32; ++i) q[i] = at_most(truncated(x[i] * id + 8.5f), 15);
  store_f16(dst, d);
  pack_nibbles(q, dst + 2);
}

void quantize_q4_1(const float* x, uint8_t* dst) {
  const float m = first_min(x, 32);
  const float d = (first_max(x, 32) - m) / 15.0f;
  const float id = inverse(d);
  int q[32];
  for (int i = 0; i < 32; ++i) q[i] = at_most(truncated((x[i] - m) * id + 0.5f), 15);
  store_f16(dst, d);
  store_f16(dst + 2, m);
  pack_nibbles(q, dst + 4);
}

void quantize_q5_0(const float* x, uint8_t* dst) {
  const float d = absmax(x, 32) / -16.0f;
  const float id = inverse(d);
  int q[32];
  for (int i = 0; i < 32; ++i) q[i] = at_most(truncated(x[i] * id + 16.5f), 31);
  store_f16(dst, d);
  pack_fifth_bits(q, dst + 2);
  pack_nibbles(q, dst + 6);
}

void quantize_q5_1(const float* x, uint8_t* dst) {
  const float m = first_min(x, 32);
  const float d = (first_max(x, 32) - m) / 31.0f;
  const float id = inverse(d);
  int q[32];
  for (int i = 0; i < 32; ++i) q[i] = truncated((x[i] - m) * id + 0.5f);
  store_f16(dst, d);
  store_f16(dst + 2, m);
  pack_fifth_bits(q, dst + 4);
  pack_nibbles(q, dst + 8);
}

void quantize_mxfp4(const float* x, uint8_t* dst) {
  const float a = std::fabs(absmax(x, 32));
  const uint8_t e = static_cast<uint8_t>(a > 0.0f ? floor_log2_f32(a) + 125 : 0);
  const float d = mxfp4_scale(e);
  int q[32];
  for (int i = 0; i < 32; ++i) {
    int best = 0;
    float best_error = std::fabs(static_cast<float>(kMxfp4Levels[0]) * d - x[i]);
    for (int k = 1; k < 16; ++k) {
      const float error = std::fabs(static_cast<float>(kMxfp4Levels[k]) * d - x[i]);
      if (error < best_error) {
        best = k;
        best_error = error;
      }
    }
    q[i] = best;
  }
  dst[0] = e;
  pack_nibbles(q, dst + 1);
}

QuantizeBlock find_block(GgmlType type) {
  switch (type) {
    case GgmlType::kQ8_0:
      return quantize_q8_0;
    case GgmlType::kQ4_0:
      return quantize_q4_0;
    case GgmlType::kQ4_1:
      return quantize_q4_1;
    case GgmlType::kQ5_0:
      return quantize_q5_0;
    case GgmlType::kQ5_1:
      return quantize_q5_1;
    case GgmlType::kMxfp4:
      return quantize_mxfp4;
    default:
      return nullptr;
  }
}

}  // namespace
}  // namespace ggml

const ggml::FindQuantizer kGgmlQuantize32 = ggml::find_block;

}  // namespace mlc
