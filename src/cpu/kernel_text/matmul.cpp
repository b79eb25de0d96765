// Products with row-major weights, y = x W^T. Vector lanes run along k, so weights are read as they lie in the file and
// every output is one chain of multiply-adds, the same for one row as for many.
#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::MM_ISA {
namespace {

struct WeightF32 {
  using Element = float;
  static F32 load(const float* from) { return MM_ISA::load(from); }
  static F32 load_partial(const float* from, int64_t count) { return MM_ISA::load_partial(from, count); }
};
struct WeightBF16 {
  using Element = uint16_t;
  static F32 load(const uint16_t* from) { return load_bf16(from); }
  static F32 load_partial(const uint16_t* from, int64_t count) { return load_bf16_partial(from, count); }
};
struct WeightF16 {
  using Element = uint16_t;
  static F32 load(const uint16_t* from) { return load_f16(from); }
  static F32 load_partial(const uint16_t* from, int64_t count) { return load_f16_partial(from, count); }
};

/// Outputs [0, kOutputs) of rows [0, kRows): kOutputs * kRows accumulators live in registers.
template <typename Weight, int kOutputs, int kRows>
void tile(const typename Weight::Element* w, const float* x, int64_t k, float* y, int64_t y_stride) {
  F32 sums[kOutputs][kRows] = {};
  int64_t i = 0;
  for (; i + kLanes <= k; i += kLanes) {
    F32 weights[kOutputs];
    for (int o = 0; o < kOutputs; ++o) weights[o] = Weight::load(w + o * k + i);
    for (int row = 0; row < kRows; ++row) {
      const F32 values = load(x + row * k + i);
      for (int o = 0; o < kOutputs; ++o) sums[o][row] = fma(weights[o], values, sums[o][row]);
    }
  }
  if (i < k) {
    for (int row = 0; row < kRows; ++row) {
      const F32 values = load_partial(x + row * k + i, k - i);
      for (int o = 0; o < kOutputs; ++o)
        sums[o][row] = fma(Weight::load_partial(w + o * k + i, k - i), values, sums[o][row]);
    }
  }
  for (int row = 0; row < kRows; ++row)
    for (int o = 0; o < kOutputs; ++o) y[row * y_stride + o] = sum_of_lanes(sums[o][row]);
}

template <typename Weight, int kRows>
void rows_of_tiles(const MatmulArgs& args, int64_t first_row) {
  const auto* w = static_cast<const typename Weight::Element*>(args.w);
  const float* x = static_cast<const float*>(args.x) + first_row * args.k;
  float* y = args.y + first_row * args.y_stride;
  int64_t o = 0;
  for (; o + 4 <= args.outputs; o += 4) tile<Weight, 4, kRows>(w + o * args.k, x, args.k, y + o, args.y_stride);
  for (; o < args.outputs; ++o) tile<Weight, 1, kRows>(w + o * args.k, x, args.k, y + o, args.y_stride);
}

template <typename Weight>
void matmul(const MatmulArgs& args) {
  int64_t row = 0;
  for (; row + 4 <= args.rows; row += 4) rows_of_tiles<Weight, 4>(args, row);
  for (; row < args.rows; ++row) rows_of_tiles<Weight, 1>(args, row);
}

}  // namespace

void matmul_f32(const MatmulArgs& args) {
  matmul<WeightF32>(args);
}
void matmul_bf16(const MatmulArgs& args) {
  matmul<WeightBF16>(args);
}
void matmul_f16(const MatmulArgs& args) {
  matmul<WeightF16>(args);
}

#if defined(__AVX512BF16__)
void matmul_bf16_bf16(const MatmulArgs& args) {
  const auto* w = static_cast<const uint16_t*>(args.w);
  const auto* x = static_cast<const uint16_t*>(args.x);
  for (int64_t row = 0; row < args.rows; ++row)
    for (int64_t o = 0; o < args.outputs; ++o) {
      __m512 sum = _mm512_setzero_ps();
      for (int64_t i = 0; i < args.k; i += 32) {
        const __mmask32 mask = args.k - i >= 32 ? 0xffffffffu : (1u << (args.k - i)) - 1;
        sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_maskz_loadu_epi16(mask, w + o * args.k + i),
                               (__m512bh)_mm512_maskz_loadu_epi16(mask, x + row * args.k + i));
      }
      args.y[row * args.y_stride + o] = sum_of_lanes((F32)sum);
    }
}
#endif

}  // namespace minimax::cpu::MM_ISA
