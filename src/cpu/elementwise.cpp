#include "cpu/elementwise.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "cpu/isa.h"
#include "cpu/row_loops.h"
#include "quant/panel.h"

namespace minimax::cpu {

void rms_norm(const Context& ctx, const Tensor& x, const Tensor& weight, float eps, const Tensor& out) {
  const int64_t count = x.dim(-1);
  for_each_row(ctx, count ? x.elements() / count : 0, count, [&](int64_t row) {
    kernels().rms_norm(x.data<float>() + row * count, weight.data<float>(), eps, count,
                       out.data<float>() + row * count);
  });
}

void silu(const Context& ctx, const Tensor& x, const Tensor& out) {
  for_each_piece(ctx, x.elements(), [&](int64_t first, int64_t count) {
    kernels().silu(x.data<float>() + first, count, out.data<float>() + first);
  });
}

void silu_mul(const Context& ctx, const Tensor& gate, const Tensor& up, const Tensor& out) {
  for_each_piece(ctx, gate.elements(), [&](int64_t first, int64_t count) {
    kernels().silu_mul(gate.data<float>() + first, up.data<float>() + first, count, out.data<float>() + first);
  });
}

void sigmoid_mul(const Context& ctx, const Tensor& gate, const Tensor& x, const Tensor& out) {
  for_each_piece(ctx, gate.elements(), [&](int64_t first, int64_t count) {
    kernels().sigmoid_mul(gate.data<float>() + first, x.data<float>() + first, count, out.data<float>() + first);
  });
}

void scaled_add(const Context& ctx, float alpha, const Tensor& x, float beta, const Tensor& y, const Tensor& out) {
  for_each_piece(ctx, x.elements(), [&](int64_t first, int64_t count) {
    kernels().scaled_add(alpha, x.data<float>() + first, beta, y.data<float>() + first, count,
                         out.data<float>() + first);
  });
}

void embedding(const Context& ctx, const Weight& weight, const Tensor& tokens, const Tensor& out) {
  const int64_t hidden = weight.inputs();
  const Tensor& table = weight.data;
  for_each_row(ctx, tokens.dim(0), hidden, [&](int64_t row) {
    if (weight.format)
      return quant::dequantize_rows(*weight.format, hidden, static_cast<const std::byte*>(table.raw()),
                                    tokens.data<int32_t>()[row], 1, out.data<float>() + row * hidden);
    const Tensor from = table.rows(tokens.data<int32_t>()[row], tokens.data<int32_t>()[row] + 1);
    float* to = out.data<float>() + row * hidden;
    const auto* half = static_cast<const uint16_t*>(from.raw());
    switch (table.dtype()) {
      case DType::kFloat32:
        std::memcpy(to, from.raw(), static_cast<size_t>(from.bytes()));
        break;
      case DType::kBFloat16:
        kernels().widen_bf16(half, hidden, to);
        break;
      case DType::kFloat16:
        kernels().widen_f16(half, hidden, to);
        break;
      default:
        throw Error(ErrorKind::kInvalidArgument,
                    cat("embedding table is ", table.dtype(), ", expected F32, BF16 or F16"));
    }
  });
}

void rotary_table(const Context& ctx, const Tensor& positions, double theta, const Tensor& table) {
  const int64_t pairs = table.dim(2);
  // The published code's float32 steps: theta^(2j/rotary_dim), its inverse, times the position. At position 1e6 the
  // float32 product is up to 0.03 rad from the true angle, so it must be formed in float32 too; its cosine is then
  // exact.
  std::vector<float> inverse_frequency(static_cast<size_t>(pairs));
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const float exponent = static_cast<float>(2 * pair) / static_cast<float>(2 * pairs);
    inverse_frequency[pair] = 1.0f / static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
  }
  for_each_row(ctx, positions.dim(0), 32 * pairs, [&](int64_t token) {
    float* cosines = table.data<float>() + token * 2 * pairs;
    const float position = static_cast<float>(positions.data<int32_t>()[token]);
    for (int64_t pair = 0; pair < pairs; ++pair) {
      const float angle = position * inverse_frequency[pair];
      cosines[pair] = static_cast<float>(std::cos(static_cast<double>(angle)));
      cosines[pairs + pair] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  });
}

void rotate(const Context& ctx, const Tensor& x, const Tensor& table, int64_t head_dim, const Tensor& out) {
  const int64_t pairs = table.dim(2), width = x.dim(1);
  for_each_row(ctx, x.dim(0), width, [&](int64_t token) {
    const float* cosines = table.data<float>() + token * 2 * pairs;
    const float* sines = cosines + pairs;
    for (int64_t head = 0; head < width; head += head_dim) {
      const float* from = x.data<float>() + token * width + head;
      float* to = out.data<float>() + token * width + head;
      for (int64_t pair = 0; pair < pairs; ++pair) {
        const float first = from[pair], second = from[pairs + pair];
        to[pair] = first * cosines[pair] - second * sines[pair];
        to[pairs + pair] = second * cosines[pair] + first * sines[pair];
      }
      std::memcpy(to + 2 * pairs, from + 2 * pairs, static_cast<size_t>(head_dim - 2 * pairs) * sizeof(float));
    }
  });
}

}  // namespace minimax::cpu
