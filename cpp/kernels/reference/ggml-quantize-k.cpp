// Quantization of the K types: 256 values in sub-blocks with scales of their own (gguf.md, section
// 2). Without an importance matrix. Every sum runs in index order with one accumulator.
#include "ggml-arithmetic.h"
#include "ggml.h"

namespace mlc {
namespace ggml {
namespace {

constexpr float kTooSmall = 1e-15f;

// How a sub-block's scale and minimum are searched.
struct AffineSearch {
  int n;
  int max_code;
  float first_step;
  int steps;
  bool absolute;  // the error is |v|, not v * v
};

struct AffineFit {
  float scale;
  float minimum;  // the negated minimum, never negative
};

float affine_error(const float* x, const float* w, const int* code, const AffineSearch& search,
                   const AffineFit& fit) {
  float sum = 0.0f;
  for (int i = 0; i < search.n; ++i) {
    const float v = (fit.scale * static_cast<float>(code[i]) + fit.minimum) - x[i];
    sum += w[i] * (search.absolute ? std::fabs(v) : v * v);
  }
  return sum;
}

void affine_codes(const float* x, float minimum, float inverse_scale, const AffineSearch& search,
                  int* code) {
  for (int i = 0; i < search.n; ++i) {
    code[i] = clamp(nearest(inverse_scale * (x[i] - minimum)), 0, search.max_code);
  }
}

// Least squares for given codes; false where the codes do not determine it.
bool affine_solve(const float* x, const float* w, const int* code, int n, float sum_w, float sum_x,
                  AffineFit* fit) {
  float a = 0.0f, b = 0.0f, c = 0.0f;
  for (int i = 0; i < n; ++i) {
    const float wl = w[i] * static_cast<float>(code[i]);
    a += wl;
    b += wl * static_cast<float>(code[i]);
    c += wl * x[i];
  }
  const float determinant = sum_w * b - a * a;
  if (!(determinant > 0.0f)) return false;
  fit->scale = (sum_w * c - sum_x * a) / determinant;
  fit->minimum = (b * sum_x - a * c) / determinant;
  if (fit->minimum > 0.0f) {
    fit->minimum = 0.0f;
    fit->scale = c / b;
  }
  return true;
}

// qkx2 of gguf.md: codes of x = scale * code - minimum, best of `steps + 2` tries.
AffineFit search_affine(const float* x, const float* w, const AffineSearch& search, int* code) {
  const int n = search.n;
  float minimum = first_min(x, n);
  const float maximum = first_max(x, n);
  float sum_w = w[0], sum_x = w[0] * x[0];
  for (int i = 1; i < n; ++i) {
    sum_w += w[i];
    sum_x += w[i] * x[i];
  }
  if (minimum > 0.0f) minimum = 0.0f;
  if (maximum == minimum) {
    for (int i = 0; i < n; ++i) code[i] = 0;
    return {0.0f, -minimum};
  }
  const float max_code = static_cast<float>(search.max_code);
  const float first = max_code / (maximum - minimum);
  AffineFit best = {1.0f / first, minimum};
  affine_codes(x, minimum, first, search, code);
  float best_error = affine_error(x, w, code, search, best);
  for (int k = 0; k <= search.steps; ++k) {
    const float step = (search.first_step + 0.1f * static_cast<float>(k)) + max_code;
    int tried[32];
    affine_codes(x, best.minimum, step / (maximum - best.minimum), search, tried);
    AffineFit fit;
    if (!affine_solve(x, w, tried, n, sum_w, sum_x, &fit)) continue;
    const float error = affine_error(x, w, tried, search, fit);
    if (error < best_error) {
      std::memcpy(code, tried, sizeof(int) * static_cast<size_t>(n));
      best_error = error;
      best = fit;
    }
  }
  return {best.scale, -best.minimum};
}

float largest_positive(const float* x, int n) {
  float m = 0.0f;
  for (int i = 0; i < n; ++i) {
    if (x[i] > m) m = x[i];
  }
  return m;
}

// Q4_K and Q5_K differ in the number of codes and in where the fifth bit goes.
void quantize_q45_k(const float* x, uint8_t* dst, const AffineSearch& search) {
  float scale[8], minimum[8];
  int code[256];
  for (int j = 0; j < 8; ++j) {
    const float* sub = x + 32 * j;
    float squares = 0.0f;
    for (int i = 0; i < 32; ++i) squares += sub[i] * sub[i];
    const float average = std::sqrt(squares / 32.0f);
    float w[32];
    for (int i = 0; i < 32; ++i) w[i] = average + std::fabs(sub[i]);
    const AffineFit fit = search_affine(sub, w, search, code + 32 * j);
    scale[j] = fit.scale;
    minimum[j] = fit.minimum;
  }
  const float max_scale = largest_positive(scale, 8);
  const float max_minimum = largest_positive(minimum, 8);
  const float inverse_scale = max_scale > 0.0f ? 63.0f / max_scale : 0.0f;
  const float inverse_minimum = max_minimum > 0.0f ? 63.0f / max_minimum : 0.0f;
  const float d = store_f16(dst, max_scale / 63.0f);
  const float dmin = store_f16(dst + 2, max_minimum / 63.0f);
  uint8_t* b = dst + 4;
  std::memset(b, 0, 12);
  for (int j = 0; j < 8; ++j) {
    // A negative scale wraps to a large byte first, and so becomes 63.
    const int ls = clamp(static_cast<uint8_t>(nearest(inverse_scale * scale[j])), 0, 63);
    const int lm = clamp(static_cast<uint8_t>(nearest(inverse_minimum * minimum[j])), 0, 63);
    if (j < 4) {
      b[j] = static_cast<uint8_t>(ls);
      b[j + 4] = static_cast<uint8_t>(lm);
    } else {
      b[j + 4] = static_cast<uint8_t>((ls & 15) | ((lm & 15) << 4));
      b[j - 4] = static_cast<uint8_t>(b[j - 4] | ((ls >> 4) << 6));
      b[j] = static_cast<uint8_t>(b[j] | ((lm >> 4) << 6));
    }
    const float multiplier = d * static_cast<float>(ls);
    if (multiplier == 0.0f) continue;
    const float offset = dmin * static_cast<float>(lm);
    for (int i = 32 * j; i < 32 * j + 32; ++i) {
      code[i] = clamp(nearest((x[i] + offset) / multiplier), 0, search.max_code);
    }
  }
  const bool five_bits = search.max_code == 31;
  uint8_t* qs = dst + (five_bits ? 48 : 16);
  for (int i = 0; i < 128; ++i) {
    const int low = code[64 * (i / 32) + i % 32];
    const int high = code[64 * (i / 32) + 32 + i % 32];
    qs[i] = static_cast<uint8_t>((low & 15) | ((high & 15) << 4));
  }
  if (!five_bits) return;
  for (int l = 0; l < 32; ++l) {
    int byte = 0;
    for (int j = 0; j < 8; ++j) byte |= (code[32 * j + l] >> 4) << j;
    dst[16 + l] = static_cast<uint8_t>(byte);
  }
}

// The low two bits of 256 codes: byte l of a half holds codes l, l + 32, l + 64, l + 96.
void pack_two_bits(const int* code, uint8_t* dst) {
  for (int i = 0; i < 64; ++i) {
    const int* c = code + 128 * (i / 32) + i % 32;
    dst[i] = static_cast<uint8_t>((c[0] & 3) | ((c[32] & 3) << 2) | ((c[64] & 3) << 4) |
                                  ((c[96] & 3) << 6));
  }
}

// The scale of 16 values with codes -32 ... 31: best of nineteen tries, weights x * x.
float search_symmetric(const float* x, int* code) {
  const float m = absmax(x, 16);
  if (std::fabs(m) < kTooSmall) {
    for (int i = 0; i < 16; ++i) code[i] = 0;
    return 0.0f;
  }
  float scale = 0.0f, best = 0.0f;
  for (int k = -10; k <= 9; ++k) {
    const bool first = k == -10;
    if (k == 0) continue;
    const float t = first ? 0.0f : 0.1f * static_cast<float>(k);
    const float inverse_scale = -(32.0f + t) / m;
    int tried[16];
    float a = 0.0f, b = 0.0f;
    for (int i = 0; i < 16; ++i) {
      tried[i] = clamp(nearest(inverse_scale * x[i]), -32, 31);
      const float l = static_cast<float>(tried[i]);
      const float w = x[i] * x[i];
      a += w * x[i] * l;
      b += w * l * l;
    }
    if (first) {
      scale = b != 0.0f ? a / b : 0.0f;
    } else if (b > 0.0f && a * a > best * b) {
      scale = a / b;
    } else {
      continue;
    }
    best = scale * a;
    for (int i = 0; i < 16; ++i) code[i] = tried[i] + 32;
  }
  return scale;
}

// Coordinate descent for codes -4 ... 3 of 16 values, weights x * x; stores code + 4.
float descend_3bit(const float* x, int* code) {
  const float m = absmax(x, 16);
  if (std::fabs(m) < kTooSmall) {
    for (int i = 0; i < 16; ++i) code[i] = 0;
    return 0.0f;
  }
  const float inverse_scale = -4.0f / m;
  float a = 0.0f, b = 0.0f;
  for (int i = 0; i < 16; ++i) {
    code[i] = clamp(nearest(inverse_scale * x[i]), -4, 3);
    const float l = static_cast<float>(code[i]);
    const float w = x[i] * x[i];
    a += w * x[i] * l;
    b += w * l * l;
  }
  bool changed = true;
  for (int pass = 0; pass < 5 && changed; ++pass) {
    changed = false;
    for (int i = 0; i < 16; ++i) {
      const float w = x[i] * x[i];
      const float l = static_cast<float>(code[i]);
      float rest_a = a - w * x[i] * l;
      if (!(rest_a > 0.0f)) continue;
      float rest_b = b - w * l * l;
      const int next = clamp(nearest(x[i] * rest_b / rest_a), -4, 3);
      if (next == code[i]) continue;
      const float n = static_cast<float>(next);
      rest_a += w * x[i] * n;
      rest_b += w * n * n;
      if (rest_b > 0.0f && rest_a * rest_a * b > a * a * rest_b) {
        code[i] = next;
        a = rest_a;
        b = rest_b;
        changed = true;
      }
    }
  }
  for (int i = 0; i < 16; ++i) code[i] += 4;
  return b > 0.0f ? a / b : 0.0f;
}

void quantize_q4_k(const float* x, uint8_t* dst) {
  quantize_q45_k(x, dst, {32, 15, -1.0f, 20, false});
}

void quantize_q5_k(const float* x, uint8_t* dst) {
  quantize_q45_k(x, dst, {32, 31, -0.5f, 15, false});
}

void quantize_q2_k(const float* x, uint8_t* dst) {
  constexpr AffineSearch kSearch = {16, 3, -0.5f, 15, true};
  float scale[16], minimum[16];
  int code[256];
  for (int j = 0; j < 16; ++j) {
    float w[16];
    for (int i = 0; i < 16; ++i) w[i] = std::fabs(x[16 * j + i]);
    const AffineFit fit = search_affine(x + 16 * j, w, kSearch, code + 16 * j);
    scale[j] = fit.scale;
    minimum[j] = fit.minimum;
  }
  const float max_scale = largest_positive(scale, 16);
  const float max_minimum = largest_positive(minimum, 16);
  for (int j = 0; j < 16; ++j) {
    const int ls = max_scale > 0.0f ? nearest(15.0f / max_scale * scale[j]) : 0;
    const int lm = max_minimum > 0.0f ? nearest(15.0f / max_minimum * minimum[j]) : 0;
    dst[j] = static_cast<uint8_t>(static_cast<unsigned>(ls) | (static_cast<unsigned>(lm) << 4));
  }
  const float d = store_f16(dst + 80, max_scale / 15.0f);
  const float dmin = store_f16(dst + 82, max_minimum / 15.0f);
  for (int i = 0; i < 256; ++i) {
    const float multiplier = d * static_cast<float>(dst[i / 16] & 15);
    if (multiplier == 0.0f) continue;
    const float offset = dmin * static_cast<float>(dst[i / 16] >> 4);
    code[i] = clamp(nearest((x[i] + offset) / multiplier), 0, 3);
  }
  pack_two_bits(code, dst + 16);
}

void quantize_q3_k(const float* x, uint8_t* dst) {
  float scale[16];
  int code[256];
  for (int j = 0; j < 16; ++j) scale[j] = descend_3bit(x + 16 * j, code + 16 * j);
  const float largest = absmax(scale, 16);
  uint8_t* b = dst + 96;
  std::memset(b, 0, 12);
  int c[16] = {0};
  float d = 0.0f;
  if (largest != 0.0f) {
    const float inverse_scale = -32.0f / largest;
    for (int j = 0; j < 16; ++j) {
      c[j] = clamp(nearest(inverse_scale * scale[j]), -32, 31) + 32;
      b[j % 8] = static_cast<uint8_t>(b[j % 8] | ((c[j] & 15) << (4 * (j / 8))));
      b[8 + j % 4] = static_cast<uint8_t>(b[8 + j % 4] | ((c[j] >> 4) << (2 * (j / 4))));
    }
    d = 1.0f / inverse_scale;
  }
  d = store_f16(dst + 108, d);
  for (int i = 0; i < 256; ++i) {
    const float multiplier = d * static_cast<float>(c[i / 16] - 32);
    if (multiplier != 0.0f) code[i] = clamp(nearest(x[i] / multiplier), -4, 3) + 4;
  }
  for (int l = 0; l < 32; ++l) {
    int byte = 0;
    for (int j = 0; j < 8; ++j) byte |= (code[32 * j + l] > 3 ? 1 : 0) << j;
    dst[l] = static_cast<uint8_t>(byte);
  }
  pack_two_bits(code, dst + 32);
}

void quantize_q6_k(const float* x, uint8_t* dst) {
  float scale[16];
  int code[256];
  for (int j = 0; j < 16; ++j) scale[j] = search_symmetric(x + 16 * j, code + 16 * j);
  const float largest = absmax(scale, 16);
  if (std::fabs(largest) < kTooSmall) {
    std::memset(dst, 0, 210);
    return;
  }
  const float inverse_scale = -128.0f / largest;
  const float d = store_f16(dst + 208, 1.0f / inverse_scale);
  for (int j = 0; j < 16; ++j) {
    const int sc = clamp(nearest(inverse_scale * scale[j]), -4194304, 127);
    dst[192 + j] = static_cast<uint8_t>(sc);
    const float multiplier = d * static_cast<float>(static_cast<int8_t>(dst[192 + j]));
    if (multiplier == 0.0f) continue;
    for (int i = 16 * j; i < 16 * j + 16; ++i) {
      code[i] = clamp(nearest(x[i] / multiplier), -32, 31) + 32;
    }
  }
  for (int i = 0; i < 64; ++i) {
    const int* c = code + 128 * (i / 32) + i % 32;
    uint8_t* low = dst + 64 * (i / 32) + i % 32;
    low[0] = static_cast<uint8_t>((c[0] & 15) | ((c[64] & 15) << 4));
    low[32] = static_cast<uint8_t>((c[32] & 15) | ((c[96] & 15) << 4));
    dst[128 + i] = static_cast<uint8_t>((c[0] >> 4) | ((c[32] >> 4) << 2) | ((c[64] >> 4) << 4) |
                                        ((c[96] >> 4) << 6));
  }
}

QuantizeBlock find_block(GgmlType type) {
  switch (type) {
    case GgmlType::kQ2K:
      return quantize_q2_k;
    case GgmlType::kQ3K:
      return quantize_q3_k;
    case GgmlType::kQ4K:
      return quantize_q4_k;
    case GgmlType::kQ5K:
      return quantize_q5_k;
    case GgmlType::kQ6K:
      return quantize_q6_k;
    default:
      return nullptr;
  }
}

}  // namespace
}  // namespace ggml

const ggml::FindQuantizer kGgmlQuantizeK = ggml::find_block;

}  // namespace mlc
