// Number by number, row by row: activations, residuals, norms, rotary embedding, rows by index.
#include <algorithm>
#include <cmath>

#include "cuda/played/played.h"

namespace minimax::cuda::played {
namespace {

float silu_slope(float x) {
  return sigmoid(x) * (1.0f + x * (1.0f - sigmoid(x)));
}

float inverse_rms(const float* x, int64_t hidden, float eps) {
  float squares = 0;
  for (int64_t i = 0; i < hidden; ++i) squares += x[i] * x[i];
  return 1.0f / std::sqrt(squares / static_cast<float>(hidden) + eps);
}

}  // namespace

Failure cast(const void* x, Type from, void* out, Type to, int64_t count, Stream) {
  return run([=] {
    for (int64_t i = 0; i < count; ++i) put(out, to, i, get(x, from, i));
  });
}
Failure split(const float* x, int64_t rows, int64_t columns, int64_t parts, int64_t padded, void* out, Stream) {
  return run([=] {
    for (int64_t at = 0; at < rows * padded; ++at) {
      const int64_t row = at / padded, column = at % padded;
      float left = column < columns ? x[row * columns + column] : 0.0f;
      for (int64_t part = 0; part < parts; ++part) {
        const bfloat16 taken = to_bfloat16(left);
        static_cast<bfloat16*>(out)[(row * parts + part) * padded + column] = taken;
        left -= to_float(taken);
      }
    }
  });
}
Failure silu(const float* x, void* out, Type type, int64_t count, Stream) {
  return run([=] {
    for (int64_t i = 0; i < count; ++i) put(out, type, i, x[i] * sigmoid(x[i]));
  });
}
Failure silu_backward(const float* x, const float* dy, float* dx, int64_t count, Stream) {
  return run([=] {
    for (int64_t i = 0; i < count; ++i) dx[i] = dy[i] * silu_slope(x[i]);
  });
}
Failure silu_mul(const float* gate, const float* up, void* out, Type type, int64_t count, Stream) {
  return run([=] {
    for (int64_t i = 0; i < count; ++i) put(out, type, i, gate[i] * sigmoid(gate[i]) * up[i]);
  });
}
Failure silu_mul_backward(const float* gate, const float* up, const float* dy, void* dgate, void* dup, Type type,
                          int64_t count, Stream) {
  return run([=] {
    for (int64_t i = 0; i < count; ++i) {
      put(dgate, type, i, dy[i] * up[i] * silu_slope(gate[i]));
      put(dup, type, i, dy[i] * gate[i] * sigmoid(gate[i]));
    }
  });
}
Failure sigmoid_mul(const float* gate, const float* x, float* out, int64_t count, Stream) {
  return run([=] {
    for (int64_t i = 0; i < count; ++i) out[i] = sigmoid(gate[i]) * x[i];
  });
}
Failure sigmoid_mul_backward(const float* gate, const float* x, const float* dy, float* dgate, float* dx, int64_t count,
                             Stream) {
  return run([=] {
    for (int64_t i = 0; i < count; ++i) {
      const float s = sigmoid(gate[i]);
      dgate[i] = dy[i] * x[i] * s * (1.0f - s);
      dx[i] = dy[i] * s;
    }
  });
}
Failure scaled_add(float alpha, const float* x, float beta, const float* y, float* out, int64_t count, Stream) {
  return run([=] {
    for (int64_t i = 0; i < count; ++i) out[i] = alpha * x[i] + (y ? beta * y[i] : 0.0f);
  });
}
Failure mix_shared(const float* logits, const float* routed, const float* shared, float* out, int64_t tokens,
                   int64_t hidden, Stream) {
  return run([=] {
    for (int64_t i = 0; i < tokens * hidden; ++i) {
      const float c = sigmoid(logits[i / hidden]);
      out[i] = (1.0f - c) * routed[i] + c * shared[i];
    }
  });
}
Failure mix_shared_backward(const float* logits, const float* routed, const float* shared, const float* dout,
                            float* dlogits, float* drouted, float* dshared, int64_t tokens, int64_t hidden, Stream) {
  return run([=] {
    for (int64_t token = 0; token < tokens; ++token) {
      const float c = sigmoid(logits[token]);
      float dot = 0;
      for (int64_t i = token * hidden; i < (token + 1) * hidden; ++i) {
        dot += dout[i] * (shared[i] - routed[i]);
        drouted[i] = (1.0f - c) * dout[i];
        dshared[i] = c * dout[i];
      }
      dlogits[token] = dot * c * (1.0f - c);
    }
  });
}

Failure rms_norm(const float* x, const float* weight, float eps, float* out, int64_t rows, int64_t hidden, Stream) {
  return run([=] {
    for (int64_t row = 0; row < rows; ++row) {
      const float scale = inverse_rms(x + row * hidden, hidden, eps);
      for (int64_t i = 0; i < hidden; ++i) out[row * hidden + i] = x[row * hidden + i] * scale * weight[i];
    }
  });
}
Failure rms_norm_backward(const float* x, const float* weight, float eps, const float* dy, float* dx,
                          float* dweight_sum, float*, int64_t rows, int64_t hidden, Stream) {
  return run([=] {
    for (int64_t row = 0; row < rows; ++row) {
      const float *v = x + row * hidden, *g = dy + row * hidden;
      const float scale = inverse_rms(v, hidden, eps);
      float dot = 0;
      for (int64_t i = 0; i < hidden; ++i) dot += weight[i] * g[i] * v[i];
      for (int64_t i = 0; i < hidden; ++i) {
        dx[row * hidden + i] = scale * (weight[i] * g[i] - v[i] * dot / static_cast<float>(hidden) * scale * scale);
        dweight_sum[i] += g[i] * v[i] * scale;
      }
    }
  });
}

Failure rotary_table(const int32_t* positions, const RotaryFrequencies& given, float* table, int64_t tokens,
                     int64_t pairs, Stream) {
  return run([=, frequencies = given] {
    for (int64_t token = 0; token < tokens; ++token)
      for (int64_t pair = 0; pair < pairs; ++pair) {
        const float angle = static_cast<float>(positions[token]) * frequencies.inverse[pair];
        table[token * 2 * pairs + pair] = static_cast<float>(std::cos(static_cast<double>(angle)));
        table[(token * 2 + 1) * pairs + pair] = static_cast<float>(std::sin(static_cast<double>(angle)));
      }
  });
}
Failure rotate(const float* x, const float* table, float* out, int64_t tokens, int64_t heads, int64_t head_dim,
               int64_t pairs, float direction, Stream) {
  return run([=] {
    for (int64_t at = 0; at < tokens * heads * head_dim; ++at) {
      const int64_t channel = at % head_dim, token = at / (heads * head_dim),
                    pair = channel % std::max<int64_t>(pairs, 1);
      if (channel >= 2 * pairs) {
        out[at] = x[at];
        continue;
      }
      const float cosine = table[token * 2 * pairs + pair], sine = direction * table[(token * 2 + 1) * pairs + pair];
      out[at] = channel < pairs ? x[at] * cosine - x[at + pairs] * sine : x[at] * cosine + x[at - pairs] * sine;
    }
  });
}
Failure take_rows(const void* table, Type type, int64_t table_rows, const int32_t* indices, float* out, int64_t count,
                  int64_t width, Stream) {
  return run([=] {
    for (int64_t i = 0; i < count; ++i)
      for (int64_t c = 0; c < width; ++c)
        out[i * width + c] =
            indices[i] >= 0 && indices[i] < table_rows ? get(table, type, indices[i] * width + c) : std::nanf("");
  });
}
Failure add_rows(const float* rows, const int32_t* indices, float* sum, int64_t count, int64_t width, Stream) {
  return run([=] {
    for (int64_t i = 0; i < count; ++i)
      for (int64_t c = 0; c < width; ++c) sum[indices[i] * width + c] += rows[i * width + c];
  });
}

}  // namespace minimax::cuda::played
