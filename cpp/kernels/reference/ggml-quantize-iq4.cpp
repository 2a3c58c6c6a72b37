// Quantization of IQ4_NL and IQ4_XS: sixteen fixed levels (gguf.md, section 2).
#include "ggml-arithmetic.h"
#include "ggml.h"

namespace mlc {
namespace ggml {
namespace {

float level(int index) { return static_cast<float>(kNonlinearLevels[index]); }

// Index of the nearest level; the upper one on a tie.
int nearest_level(float v) {
  if (v <= level(0)) return 0;
  if (v >= level(15)) return 15;
  int upper = 1;
  while (upper < 15 && !(v < level(upper))) ++upper;
  return v - level(upper - 1) < level(upper) - v ? upper - 1 : upper;
}

struct Fit {
  float product;  // sum of w q x
  float square;   // sum of w q q
};

Fit fit_scale(const float* x, float inverse_scale) {
  Fit fit = {0.0f, 0.0f};
  for (int i = 0; i < 32; ++i) {
    const float w = x[i] * x[i];
    const float q = level(nearest_level(inverse_scale * x[i]));
    fit.product += w * q * x[i];
    fit.square += w * q * q;
  }
  return fit;
}

// The scale of 32 values: the best of sixteen tries in the weighted least-squares sense.
float search_scale(const float* x) {
  const float m = absmax(x, 32);
  if (std::fabs(m) < 1e-15f) return 0.0f;
  const float first = -m / level(0);
  Fit fit = fit_scale(x, 1.0f / first);
  float scale = fit.square > 0.0f ? fit.product / fit.square : 0.0f;
  float best = scale * fit.product;
  for (int t = -7; t <= 7; ++t) {
    fit = fit_scale(x, (static_cast<float>(t) + level(0)) / m);
    if (fit.square > 0.0f && fit.product * fit.product > best * fit.square) {
      scale = fit.product / fit.square;
      best = scale * fit.product;
    }
  }
  return scale;
}

void pack_levels(const float* x, float inverse_scale, uint8_t* dst) {
  for (int i = 0; i < 16; ++i) {
    const int low = nearest_level(inverse_scale * x[i]);
    const int high = nearest_level(inverse_scale * x[i + 16]);
    dst[i] = static_cast<uint8_t>(low | (high << 4));
  }
}

void quantize_iq4_nl(const float* x, uint8_t* dst) {
  const float scale = search_scale(x);
  store_f16(dst, scale);
  pack_levels(x, inverse(scale), dst + 2);
}

void quantize_iq4_xs(const float* x, uint8_t* dst) {
  float scale[8];
  for (int j = 0; j < 8; ++j) scale[j] = search_scale(x + 32 * j);
  const float d = -absmax(scale, 8) / 32.0f;
  const float id = inverse(d);
  store_f16(dst, d);
  for (int b = 2; b < 8; ++b) dst[b] = 0;
  for (int j = 0; j < 8; ++j) {
    const int l = clamp(nearest(id * scale[j]), -32, 31);
    const int u = l + 32;
    dst[2 + j / 4] = static_cast<uint8_t>(dst[2 + j / 4] | ((u >> 4) << (2 * (j % 4))));
    dst[4 + j / 2] = static_cast<uint8_t>(dst[4 + j / 2] | ((u & 15) << (4 * (j % 2))));
    pack_levels(x + 32 * j, inverse(d * static_cast<float>(l)), dst + 8 + 16 * j);
  }
}

QuantizeBlock find_block(GgmlType type) {
  switch (type) {
    case GgmlType::kIq4Nl:
      return quantize_iq4_nl;
    case GgmlType::kIq4Xs:
      return quantize_iq4_xs;
    default:
      return nullptr;
  }
}

}  // namespace
}  // namespace ggml

const ggml::FindQuantizer kGgmlQuantizeIq4 = ggml::find_block;

}  // namespace mlc
