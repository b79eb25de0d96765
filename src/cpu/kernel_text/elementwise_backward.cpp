// Gradients of the row-wise kernels (docs/model.md has the functions, elementwise.cpp their forward).
#include "cpu/kernel_text/map.h"
#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::MM_ISA {
namespace {

/// d silu(x) / dx = s (1 + x (1 - s)) with s = sigmoid(x).
F32 silu_slope(F32 x, F32 s) {
  return s * (1.0f + x * (1.0f - s));
}

}  // namespace

// y = w x r, r = 1/sqrt(mean(x^2) + eps):  g = w dy;  dx = r g - x r^3 / count * sum(g x)
float rms_norm_backward(const float* x, const float* weight, const float* dy, float eps, int64_t count, float* dx) {
  F32 squares{}, products{};
  map(count, [&](int64_t i, int64_t n) {
    const F32 value = load_some(x + i, n);
    squares = fma(value, value, squares);
    products = fma(load_some(weight + i, n) * load_some(dy + i, n), value, products);
  });
  const float r = 1.0f / __builtin_sqrtf(sum_of_lanes(squares) / (float)count + eps);
  const F32 scale = broadcast(r), pull = broadcast(-r * r * r * (sum_of_lanes(products) / (float)count));
  map(count, [&](int64_t i, int64_t n) {
    const F32 g = load_some(weight + i, n) * load_some(dy + i, n);
    store_some(dx + i, fma(scale, g, pull * load_some(x + i, n)), n);
  });
  return r;
}

void silu_backward(const float* x, const float* dy, int64_t count, float* dx) {
  map(count, [&](int64_t i, int64_t n) {
    const F32 value = load_some(x + i, n);
    store_some(dx + i, load_some(dy + i, n) * silu_slope(value, sigmoid(value)), n);
  });
}

void silu_mul_backward(const float* gate, const float* up, const float* dy, int64_t count, float* dgate, float* dup) {
  map(count, [&](int64_t i, int64_t n) {
    const F32 g = load_some(gate + i, n), d = load_some(dy + i, n), s = sigmoid(g);
    store_some(dgate + i, d * load_some(up + i, n) * silu_slope(g, s), n);
    store_some(dup + i, d * g * s, n);
  });
}

void sigmoid_mul_backward(const float* gate, const float* x, const float* dy, int64_t count, float* dgate, float* dx) {
  map(count, [&](int64_t i, int64_t n) {
    const F32 s = sigmoid(load_some(gate + i, n)), d = load_some(dy + i, n);
    store_some(dgate + i, d * load_some(x + i, n) * s * (1.0f - s), n);
    store_some(dx + i, d * s, n);
  });
}

void exp_shifted(const float* x, float shift, int64_t count, float* out) {
  map(count, [&](int64_t i, int64_t n) { store_some(out + i, exp(load_some(x + i, n) - shift), n); });
}

}  // namespace minimax::cpu::MM_ISA
