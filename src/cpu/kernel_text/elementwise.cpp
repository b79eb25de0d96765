// Norms, activations and conversions over one row each. Memory bound: one pass, unit stride.
#include "cpu/kernel_text/map.h"
#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::MM_ISA {
void rms_norm(const float* x, const float* weight, float eps, int64_t count, float* out) {
  // Four sums hide the latency of the multiply-add; they are always combined in this order.
  F32 squares[4] = {};
  int which = 0;
  map(count, [&](int64_t i, int64_t n) {
    const F32 value = load_some(x + i, n);
    squares[which] = fma(value, value, squares[which]);
    which = (which + 1) & 3;
  });
  const float mean = sum_of_lanes((squares[0] + squares[1]) + (squares[2] + squares[3])) / (float)count;
  const F32 scale = broadcast(1.0f / __builtin_sqrtf(mean + eps));
  map(count,
      [&](int64_t i, int64_t n) { store_some(out + i, load_some(x + i, n) * scale * load_some(weight + i, n), n); });
}

void silu(const float* x, int64_t count, float* out) {
  map(count, [&](int64_t i, int64_t n) {
    const F32 value = load_some(x + i, n);
    store_some(out + i, value * sigmoid(value), n);
  });
}

void silu_mul(const float* gate, const float* up, int64_t count, float* out) {
  map(count, [&](int64_t i, int64_t n) {
    const F32 value = load_some(gate + i, n);
    store_some(out + i, value * sigmoid(value) * load_some(up + i, n), n);
  });
}

void sigmoid_mul(const float* gate, const float* x, int64_t count, float* out) {
  map(count,
      [&](int64_t i, int64_t n) { store_some(out + i, sigmoid(load_some(gate + i, n)) * load_some(x + i, n), n); });
}

void scaled_add(float alpha, const float* x, float beta, const float* y, int64_t count, float* out) {
  map(count, [&](int64_t i, int64_t n) {
    store_some(out + i, fma(broadcast(alpha), load_some(x + i, n), broadcast(beta) * load_some(y + i, n)), n);
  });
}

void widen_bf16(const uint16_t* x, int64_t count, float* out) {
  map(count, [&](int64_t i, int64_t n) {
    store_some(out + i, n == kLanes ? load_bf16(x + i) : load_bf16_partial(x + i, n), n);
  });
}

void widen_f16(const uint16_t* x, int64_t count, float* out) {
  map(count, [&](int64_t i, int64_t n) {
    store_some(out + i, n == kLanes ? load_f16(x + i) : load_f16_partial(x + i, n), n);
  });
}

void round_bf16(const float* x, int64_t count, uint16_t* out) {
  map(count, [&](int64_t i, int64_t n) {
    const U32 bits = as_bits(load_some(x + i, n));
    const U32 rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const U32 quiet = (bits >> 16) | 0x40u;
    const U32 half = (bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded;
    for (int64_t lane = 0; lane < n; ++lane) out[i + lane] = (uint16_t)half[lane];
  });
}

}  // namespace minimax::cpu::MM_ISA
