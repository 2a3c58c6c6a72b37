// The scales of GGUF blocks, searched for one sub-block a lane: each lane adds in index order.
#pragma once

#include "arithmetic.h"

namespace mlc {
namespace {

// Loads element i of kLanes neighbouring sub-blocks of n elements into columns[i].
template <typename V, int n>
void load_columns(const float* x, Floats<V>* columns) {
  for (int i = 0; i < n; ++i) columns[i] = V::gather(x + i, n);
}

template <typename V>
struct Affine {
  Floats<V> scale;
  Floats<V> minimum;  // negated, never negative
};

template <typename V, int n, bool kAbsolute>
Floats<V> affine_error(const Floats<V>* x, const Floats<V>* w, const Floats<V>* code,
                       Floats<V> scale, Floats<V> minimum) {
  Floats<V> sum = V::set(0.0f);
  for (int i = 0; i < n; ++i) {
    const Floats<V> v = V::sub(V::add(V::mul(scale, code[i]), minimum), x[i]);
    sum = V::add(sum, V::mul(w[i], kAbsolute ? V::abs(v) : V::mul(v, v)));
  }
  return sum;
}

// See search_affine in reference/ggml-quantize-k.cpp. Lanes without a result keep what they had.
template <typename V, int n, bool kAbsolute>
Affine<V> search_affine(const Floats<V>* x, const Floats<V>* w, int max_code, float first_step,
                        int steps) {
  using F = Floats<V>;
  const F zero = V::set(0.0f);
  F minimum = x[0], maximum = x[0], sum_w = w[0], sum_x = V::mul(w[0], x[0]);
  for (int i = 1; i < n; ++i) {
    minimum = V::min(x[i], minimum);
    maximum = V::max(x[i], maximum);
    sum_w = V::add(sum_w, w[i]);
    sum_x = V::add(sum_x, V::mul(w[i], x[i]));
  }
  minimum = V::min(zero, minimum);
  const auto flat = V::equal(maximum, minimum);
  const F flat_minimum = minimum;
  const F levels = V::set(static_cast<float>(max_code));
  const F first = V::div(levels, V::sub(maximum, minimum));
  F code[n];
  for (int i = 0; i < n; ++i) {
    code[i] = V::template nearest<0>(V::mul(first, V::sub(x[i], minimum)), max_code);
  }
  F scale = V::div(V::set(1.0f), first);
  F best = affine_error<V, n, kAbsolute>(x, w, code, scale, minimum);
  for (int k = 0; k <= steps; ++k) {
    const float step = (first_step + 0.1f * static_cast<float>(k)) + static_cast<float>(max_code);
    const F inverse = V::div(V::set(step), V::sub(maximum, minimum));
    F a = zero, b = zero, c = zero;
    for (int i = 0; i < n; ++i) {
      code[i] = V::template nearest<0>(V::mul(inverse, V::sub(x[i], minimum)), max_code);
      const F wl = V::mul(w[i], code[i]);
      a = V::add(a, wl);
      b = V::add(b, V::mul(wl, code[i]));
      c = V::add(c, V::mul(wl, x[i]));
    }
    const F determinant = V::sub(V::mul(sum_w, b), V::mul(a, a));
    F tried_scale = V::div(V::sub(V::mul(sum_w, c), V::mul(sum_x, a)), determinant);
    F tried_minimum = V::div(V::sub(V::mul(b, sum_x), V::mul(a, c)), determinant);
    const auto positive = V::less(zero, tried_minimum);
    tried_scale = V::blend(positive, V::div(c, b), tried_scale);
    tried_minimum = V::blend(positive, zero, tried_minimum);
    const F error = affine_error<V, n, kAbsolute>(x, w, code, tried_scale, tried_minimum);
    const auto better = V::both(V::less(zero, determinant), V::less(error, best));
    best = V::blend(better, error, best);
    scale = V::blend(better, tried_scale, scale);
    minimum = V::blend(better, tried_minimum, minimum);
  }
  return {V::blend(flat, zero, scale), V::negate(V::blend(flat, flat_minimum, minimum))};
}

template <typename V, int n>
Floats<V> largest_in_lanes(const Floats<V>* x) {
  Floats<V> m = V::set(0.0f);
  for (int i = 0; i < n; ++i) m = V::blend(V::less(V::abs(m), V::abs(x[i])), x[i], m);
  return m;
}

// See search_symmetric in reference/ggml-quantize-k.cpp.
template <typename V>
Floats<V> search_symmetric(const Floats<V>* x) {
  using F = Floats<V>;
  const F zero = V::set(0.0f);
  const F m = largest_in_lanes<V, 16>(x);
  F wx[16], w[16];
  for (int i = 0; i < 16; ++i) {
    w[i] = V::mul(x[i], x[i]);
    wx[i] = V::mul(w[i], x[i]);
  }
  F scale = zero, best = zero;
  for (int k = -10; k <= 9; ++k) {
    if (k == 0) continue;
    const float t = k == -10 ? 0.0f : 0.1f * static_cast<float>(k);
    const F inverse = V::div(V::set(-(32.0f + t)), m);
    F a = zero, b = zero;
    for (int i = 0; i < 16; ++i) {
      const F l = V::template nearest<-32>(V::mul(inverse, x[i]), 31);
      a = V::add(a, V::mul(wx[i], l));
      b = V::add(b, V::mul(V::mul(w[i], l), l));
    }
    const F ratio = V::div(a, b);
    if (k == -10) {
      scale = V::blend(V::equal(b, zero), zero, ratio);
      best = V::mul(scale, a);
      continue;
    }
    const auto better = V::both(V::less(zero, b), V::less(V::mul(best, b), V::mul(a, a)));
    scale = V::blend(better, ratio, scale);
    best = V::blend(better, V::mul(ratio, a), best);
  }
  return V::blend(V::less(V::abs(m), V::set(kTooSmall)), zero, scale);
}

// See descend_3bit in reference/ggml-quantize-k.cpp. A lane that has settled stays as it is.
template <typename V>
Floats<V> descend_3bit(const Floats<V>* x) {
  using F = Floats<V>;
  const F zero = V::set(0.0f);
  const F m = largest_in_lanes<V, 16>(x);
  const F inverse = V::div(V::set(-4.0f), m);
  F w[16], wx[16], code[16];
  F a = zero, b = zero;
  for (int i = 0; i < 16; ++i) {
    w[i] = V::mul(x[i], x[i]);
    wx[i] = V::mul(w[i], x[i]);
    code[i] = V::template nearest<-4>(V::mul(inverse, x[i]), 3);
    a = V::add(a, V::mul(wx[i], code[i]));
    b = V::add(b, V::mul(V::mul(w[i], code[i]), code[i]));
  }
  bool changed = true;
  for (int pass = 0; pass < 5 && changed; ++pass) {
    changed = false;
    for (int i = 0; i < 16; ++i) {
      F rest_a = V::sub(a, V::mul(wx[i], code[i]));
      F rest_b = V::sub(b, V::mul(V::mul(w[i], code[i]), code[i]));
      const auto possible = V::less(zero, rest_a);
      const F next = V::template nearest<-4>(V::div(V::mul(x[i], rest_b), rest_a), 3);
      rest_a = V::add(rest_a, V::mul(wx[i], next));
      rest_b = V::add(rest_b, V::mul(V::mul(w[i], next), next));
      const auto moved = V::both(possible, V::differs(next, code[i]));
      const auto gains = V::both(V::less(zero, rest_b), V::less(V::mul(V::mul(a, a), rest_b),
                                                                V::mul(V::mul(rest_a, rest_a), b)));
      const auto better = V::both(moved, gains);
      if (!V::any(better)) continue;
      code[i] = V::blend(better, next, code[i]);
      a = V::blend(better, rest_a, a);
      b = V::blend(better, rest_b, b);
      changed = true;
    }
  }
  const F scale = V::blend(V::less(zero, b), V::div(a, b), zero);
  return V::blend(V::less(V::abs(m), V::set(kTooSmall)), zero, scale);
}

// See search_scale in reference/ggml-quantize-iq4.cpp.
template <typename V>
Floats<V> search_levels(const Floats<V>* x) {
  using F = Floats<V>;
  const F zero = V::set(0.0f);
  const F m = largest_in_lanes<V, 32>(x);
  F scale = zero, best = zero;
  for (int t = -8; t <= 7; ++t) {
    // The first try is 1 / (-m / -127), which rounds differently from 127 / m.
    const F inverse = t == -8 ? V::div(V::set(1.0f), V::div(V::negate(m), V::set(-127.0f)))
                              : V::div(V::set(static_cast<float>(t) + -127.0f), m);
    F a = zero, b = zero;
    for (int i = 0; i < 32; ++i) {
      const F q = V::level(V::level_index(V::mul(inverse, x[i])));
      const F wq = V::mul(V::mul(x[i], x[i]), q);
      a = V::add(a, V::mul(wq, x[i]));
      b = V::add(b, V::mul(wq, q));
    }
    const F ratio = V::div(a, b);
    const auto valid = V::less(zero, b);
    if (t == -8) {
      scale = V::blend(valid, ratio, zero);
      best = V::mul(scale, a);
      continue;
    }
    const auto better = V::both(valid, V::less(V::mul(best, b), V::mul(a, a)));
    scale = V::blend(better, ratio, scale);
    best = V::blend(better, V::mul(ratio, a), best);
  }
  return V::blend(V::less(V::abs(m), V::set(kTooSmall)), zero, scale);
}

}  // namespace
}  // namespace mlc
