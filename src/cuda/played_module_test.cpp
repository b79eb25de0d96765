// A module that plays a GPU on the processor: every kernel of cuda/op_kernels.h as the plainest loop, in float32 from
// operands of the given types. With it ./check runs on machines without a GPU what only a GPU could run otherwise: the
// ops' callers, caches, steps, recorded graphs and training on a "device" whose memory the ops may not touch
// themselves.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include "core/dtype.h"
#include "cuda/kernels.h"
#include "cuda/module.h"

namespace minimax::cuda {
namespace {

// A recorded graph is the list of what was asked for meanwhile.
using Recorded = std::vector<std::function<void()>>;
Recorded* g_recording = nullptr;

template <typename Work>
Failure run(Work work) {
  if (g_recording)
    g_recording->push_back(work);
  else
    work();
  return nullptr;
}

float get(const void* x, Type type, int64_t i) {
  return type == Type::kFloat32 ? static_cast<const float*>(x)[i] : to_float(static_cast<const bfloat16*>(x)[i]);
}
void put(void* x, Type type, int64_t i, float value) {
  if (type == Type::kFloat32)
    static_cast<float*>(x)[i] = value;
  else
    static_cast<bfloat16*>(x)[i] = to_bfloat16(value);
}
/// x as a kernel of that type takes it.
float as(Type type, float x) {
  return type == Type::kFloat32 ? x : to_float(to_bfloat16(x));
}
float sigmoid(float x) {
  return 1.0f / (1.0f + std::exp(-x));
}
float silu_slope(float x) {
  return sigmoid(x) * (1.0f + x * (1.0f - sigmoid(x)));
}

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

float inverse_rms(const float* x, int64_t hidden, float eps) {
  float squares = 0;
  for (int64_t i = 0; i < hidden; ++i) squares += x[i] * x[i];
  return 1.0f / std::sqrt(squares / static_cast<float>(hidden) + eps);
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

Failure product(const ProductArgs& given, Stream) {
  return run([args = given] {
    const auto dot = [&](const void* b, int64_t b_start, int64_t row, int64_t column, int64_t begin, int64_t end) {
      float sum = 0;
      for (int64_t k = begin; k < end; ++k) {
        const int64_t b_k = args.a_parts > 1 ? k % args.a_part_columns : k;
        if (b_k >= args.k && args.a_parts > 1) continue;
        const int64_t width = args.a_parts > 1 ? args.a_parts * args.a_part_columns : args.k;
        const float left = get(args.a, args.a_type, args.a_transposed ? k * args.m + row : row * width + k);
        sum +=
            left * get(b, args.b_type, b_start + (args.b_transposed ? b_k * args.n + column : column * args.k + b_k));
      }
      return sum;
    };
    for (int64_t group = 0; group < std::max<int64_t>(args.groups, 1); ++group) {
      int64_t row = 0, row_end = args.m, k = 0;
      int64_t k_end = args.a_parts > 1 ? args.a_parts * args.a_part_columns : args.k;
      if (args.groups) {
        (args.groups_are_terms ? k : row) = args.group_starts[group];
        (args.groups_are_terms ? k_end : row_end) = args.group_starts[group + 1];
      }
      void* out = args.groups_are_terms ? args.group_outs[group] : args.out;
      if (!out || k == k_end) continue;
      const int64_t b_start = args.groups_are_terms ? 0 : group * args.b_group_stride;
      for (; row < row_end; ++row)
        for (int64_t column = 0; column < args.n; ++column) {
          float value = dot(args.b, b_start, row, column, k, k_end);
          if (args.b2) value *= sigmoid(value) * dot(args.b2, group * args.b2_group_stride, row, column, k, k_end);
          const int64_t at = row * args.n + column;
          const bool add = args.accumulate || args.groups_are_terms;
          put(out, args.out_type, at, add ? get(out, args.out_type, at) + value : value);
        }
    }
  });
}
Failure few_rows_product(const float* x, const void* weight, Type type, float* out, int64_t rows, int64_t n, int64_t k,
                         Stream stream) {
  return product({.a = x, .b = weight, .out = out, .b_type = type, .m = rows, .n = n, .k = k}, stream);
}
Failure thin_product(const float* x, const float* weight, float* out, int64_t rows, int64_t n, int64_t k,
                     Stream stream) {
  return product({.a = x, .b = weight, .out = out, .m = rows, .n = n, .k = k}, stream);
}

std::vector<float> softmax(const float* row, int64_t count) {
  std::vector<float> p(row, row + count);
  const float largest = *std::max_element(p.begin(), p.end());
  float sum = 0;
  for (float& value : p) sum += value = std::exp(value - largest);
  for (float& value : p) value /= sum;
  return p;
}
Failure route_to(const float* logits, const int32_t* chosen, float* weights, int64_t tokens, int64_t experts,
                 int64_t top_k, Stream) {
  return run([=] {
    for (int64_t token = 0; token < tokens; ++token) {
      float largest = -INFINITY, sum = 0;
      for (int64_t i = token * top_k; i < (token + 1) * top_k; ++i)
        largest = std::max(largest, logits[token * experts + chosen[i]]);
      for (int64_t i = token * top_k; i < (token + 1) * top_k; ++i)
        sum += weights[i] = std::exp(logits[token * experts + chosen[i]] - largest);
      for (int64_t i = token * top_k; i < (token + 1) * top_k; ++i) weights[i] /= sum;
    }
  });
}
Failure route(const float* logits, int32_t* chosen, float* weights, int64_t tokens, int64_t experts, int64_t top_k,
              Stream stream) {
  run([=] {
    for (int64_t token = 0; token < tokens; ++token) {
      std::vector<int32_t> order;
      for (int32_t e = 0; e < experts; ++e) order.push_back(e);
      const float* row = logits + token * experts;
      std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return row[a] > row[b]; });
      std::copy_n(order.begin(), top_k, chosen + token * top_k);
    }
  });
  return route_to(logits, chosen, weights, tokens, experts, top_k, stream);
}
Failure count_flips(const int32_t* a, const int32_t* b, int32_t* count, int64_t tokens, int64_t top_k, Stream) {
  return run([=] {
    for (int64_t token = 0; token < tokens; ++token)
      *count += !std::is_permutation(a + token * top_k, a + (token + 1) * top_k, b + token * top_k);
  });
}
Failure add_entropy(const float* logits, double* sum, int64_t tokens, int64_t experts, Stream) {
  return run([=] {
    for (int64_t token = 0; token < tokens; ++token)
      for (const float p : softmax(logits + token * experts, experts)) *sum -= p > 0 ? p * std::log(p) : 0.0f;
  });
}
Failure route_backward(const int32_t* chosen, const float* weights, const float* dweights, float* dlogits_sum,
                       int64_t tokens, int64_t experts, int64_t top_k, Stream) {
  return run([=] {
    for (int64_t i = 0; i < tokens * top_k; ++i) {
      const int64_t first = i / top_k * top_k;
      float slope = 0;
      for (int64_t other = first; other < first + top_k; ++other)
        slope += weights[other] * (dweights[i] - dweights[other]);
      dlogits_sum[i / top_k * experts + chosen[i]] += weights[i] * slope;
    }
  });
}

Failure balance(const float* logits, const int32_t* chosen, float* loss, float* shares, float*, int64_t tokens,
                int64_t experts, int64_t top_k, Stream) {
  return run([=] {
    std::fill_n(shares, experts, 0.0f);
    for (int64_t i = 0; i < tokens * top_k; ++i) shares[chosen[i]] += 1.0f / static_cast<float>(tokens);
    float sum = 0;
    for (int64_t token = 0; token < tokens; ++token) {
      const std::vector<float> p = softmax(logits + token * experts, experts);
      for (int64_t e = 0; e < experts; ++e) sum += p[static_cast<size_t>(e)] * shares[e];
    }
    *loss = sum * static_cast<float>(experts) / static_cast<float>(tokens);
  });
}
Failure balance_backward(const float* logits, const float* shares, const float* dloss, float* dlogits, int64_t tokens,
                         int64_t experts, Stream) {
  return run([=] {
    for (int64_t token = 0; token < tokens; ++token) {
      const std::vector<float> p = softmax(logits + token * experts, experts);
      float mean = 0;
      for (int64_t e = 0; e < experts; ++e) mean += p[static_cast<size_t>(e)] * shares[e];
      for (int64_t e = 0; e < experts; ++e)
        dlogits[token * experts + e] = *dloss * static_cast<float>(experts) / static_cast<float>(tokens) *
                                       p[static_cast<size_t>(e)] * (shares[e] - mean);
    }
  });
}
Failure expert_order(const int32_t* chosen, int64_t pairs, int64_t experts, int64_t align, const ExpertOrder& given,
                     Stream) {
  return run([=, order = given] {
    order.starts[0] = 0;
    int32_t row = 0;
    for (int64_t e = 0; e < experts; ++e) {
      for (int64_t pair = 0; pair < pairs; ++pair)
        if (chosen[pair] == e) {
          order.row_of[pair] = row;
          order.pair_of[row++] = static_cast<int32_t>(pair);
        }
      while (row % align != 0) order.pair_of[row++] = -1;
      order.starts[e + 1] = row;
    }
  });
}
Failure gather_pairs(const float* x, const ExpertOrder& given, int64_t experts, int64_t top_k, const float* scale,
                     void* out, Type type, int64_t hidden, Stream) {
  return run([=, order = given] {
    for (int64_t row = 0; row < order.starts[experts]; ++row) {
      const int64_t pair = order.pair_of[row];
      for (int64_t i = 0; i < hidden; ++i)
        put(out, type, row * hidden + i, pair < 0 ? 0.0f : (scale ? scale[pair] : 1.0f) * x[pair / top_k * hidden + i]);
    }
  });
}
Failure combine_pairs(const float* rows, const int32_t* row_of, const float* weights, float* out, int64_t tokens,
                      int64_t top_k, int64_t hidden, Stream) {
  return run([=] {
    for (int64_t token = 0; token < tokens; ++token)
      for (int64_t i = 0; i < hidden; ++i) {
        float sum = 0;
        for (int64_t pair = token * top_k; pair < (token + 1) * top_k; ++pair)
          sum += (weights ? weights[pair] : 1.0f) * rows[row_of[pair] * hidden + i];
        out[token * hidden + i] = sum;
      }
  });
}
Failure pair_dots(const float* dout, const float* rows, const int32_t* row_of, float* dweights, int64_t pairs,
                  int64_t top_k, int64_t hidden, Stream) {
  return run([=] {
    for (int64_t pair = 0; pair < pairs; ++pair) {
      double dot = 0;
      for (int64_t i = 0; i < hidden; ++i)
        dot +=
            static_cast<double>(dout[pair / top_k * hidden + i]) * static_cast<double>(rows[row_of[pair] * hidden + i]);
      dweights[pair] = static_cast<float>(dot);
    }
  });
}
Failure expert_rows(const ExpertRowsArgs& given, Stream) {
  return run([args = given] {
    const auto dot = [&](const float* x, const void* weight, int64_t start, int64_t count) {
      float sum = 0;
      for (int64_t i = 0; i < count; ++i) sum += x[i] * get(weight, args.type, start + i);
      return sum;
    };
    std::fill_n(args.out, args.tokens * args.hidden, 0.0f);
    for (int64_t pair = 0; pair < args.tokens * args.top_k; ++pair) {
      const int64_t expert = args.chosen[pair], token = pair / args.top_k;
      float* h = args.hidden_rows + pair * args.ffn;
      for (int64_t row = 0; row < args.ffn; ++row) {
        const float* x = args.x + token * args.hidden;
        const float gate = dot(x, args.gate, expert * args.gate_stride + row * args.hidden, args.hidden);
        h[row] = gate * sigmoid(gate) * dot(x, args.up, expert * args.up_stride + row * args.hidden, args.hidden);
      }
      for (int64_t row = 0; row < args.hidden; ++row)
        args.out[token * args.hidden + row] +=
            args.weights[pair] * dot(h, args.down, expert * args.down_stride + row * args.ffn, args.ffn);
    }
  });
}

int64_t seq_of(const int32_t* cu_seqlens, int64_t seqs, int64_t token) {
  return std::upper_bound(cu_seqlens, cu_seqlens + seqs + 1, static_cast<int32_t>(token)) - cu_seqlens - 1;
}
int64_t page_place(const int32_t* page_table, int64_t max_pages, int64_t seq, int64_t position, int64_t kv_heads,
                   int64_t head, int64_t head_dim) {
  const int64_t page = page_table[seq * max_pages + position / kChunk];
  return ((page * kv_heads + head) * kChunk + position % kChunk) * head_dim;
}
Failure store_kv(const float* k, const float* v, const int32_t* positions, const int32_t* cu_seqlens,
                 const int32_t* page_table, void* k_pages, void* v_pages, Type type, int64_t tokens, int64_t seqs,
                 int64_t kv_heads, int64_t head_dim, int64_t max_pages, Stream) {
  return run([=] {
    for (int64_t token = 0; token < tokens; ++token)
      for (int64_t head = 0; head < kv_heads; ++head) {
        const int64_t to = page_place(page_table, max_pages, seq_of(cu_seqlens, seqs, token), positions[token],
                                      kv_heads, head, head_dim);
        for (int64_t d = 0; d < head_dim; ++d) {
          put(k_pages, type, to + d, k[(token * kv_heads + head) * head_dim + d]);
          put(v_pages, type, to + d, v[(token * kv_heads + head) * head_dim + d]);
        }
      }
  });
}
Failure attention(const AttentionArgs& given, Stream) {
  return run([args = given] {
    for (int64_t row = 0; row < args.tokens * args.heads; ++row) {
      const int64_t token = row / args.heads, kv_head = row % args.heads / (args.heads / args.kv_heads);
      const int64_t seq = seq_of(args.cu_seqlens, args.seqs, token), count = args.positions[token] + 1;
      const auto at = [&](int64_t key) {
        return page_place(args.page_table, args.max_pages, seq, key, args.kv_heads, kv_head, args.head_dim);
      };
      std::vector<float> scores(static_cast<size_t>(count), 0.0f);
      for (int64_t key = 0; key < count; ++key) {
        for (int64_t d = 0; d < args.head_dim; ++d)
          scores[static_cast<size_t>(key)] +=
              as(args.type, args.q[row * args.head_dim + d]) * get(args.k_pages, args.type, at(key) + d);
        scores[static_cast<size_t>(key)] *= args.scale;
      }
      const float largest = *std::max_element(scores.begin(), scores.end());
      float sum = 0;
      for (float& score : scores) sum += score = std::exp(score - largest);
      for (int64_t d = 0; d < args.head_dim; ++d) {
        float out = 0;
        for (int64_t key = 0; key < count; ++key)
          out += scores[static_cast<size_t>(key)] * get(args.v_pages, args.type, at(key) + d);
        args.out[row * args.head_dim + d] = out / sum;
      }
      if (args.log_sums) args.log_sums[row] = largest + std::log(sum);
    }
  });
}
Failure attention_decode(const AttentionDecodeArgs& given, Stream stream) {
  return run([args = given, stream] {
    std::vector<float> q, out(static_cast<size_t>(args.seqs * args.heads * args.head_dim));
    for (size_t i = 0; i < out.size(); ++i) q.push_back(get(args.q, Type::kBFloat16, static_cast<int64_t>(i)));
    std::vector<int32_t> starts;
    for (int32_t seq = 0; seq <= args.seqs; ++seq) starts.push_back(seq);
    Recorded* recording = std::exchange(g_recording, nullptr);
    attention({.q = q.data(),
               .k_pages = args.k_pages,
               .v_pages = args.v_pages,
               .page_table = args.page_table,
               .positions = args.positions,
               .cu_seqlens = starts.data(),
               .out = out.data(),
               .tokens = args.seqs,
               .seqs = args.seqs,
               .heads = args.heads,
               .kv_heads = args.kv_heads,
               .head_dim = args.head_dim,
               .max_pages = args.max_pages,
               .scale = args.scale},
              stream);
    g_recording = recording;
    for (size_t i = 0; i < out.size(); ++i) put(args.out, Type::kBFloat16, static_cast<int64_t>(i), out[i]);
  });
}
Failure attention_backward(const AttentionBackwardArgs& given, Stream) {
  return run([args = given] {
    const int64_t dim = args.head_dim, group = args.heads / args.kv_heads;
    const Type type = args.exact ? Type::kFloat32 : Type::kBFloat16;
    std::fill_n(args.dq, args.tokens * args.heads * dim, 0.0f);
    std::fill_n(args.dk, args.tokens * args.kv_heads * dim, 0.0f);
    std::fill_n(args.dv, args.tokens * args.kv_heads * dim, 0.0f);
    for (int64_t row = 0; row < args.tokens * args.heads; ++row) {
      const int64_t token = row / args.heads, kv_head = row % args.heads / group;
      const float *q = args.q + row * dim, *dout = args.dout + row * dim;
      float dot = 0;
      for (int64_t d = 0; d < dim; ++d) dot += dout[d] * args.out[row * dim + d];
      for (int64_t key = args.cu_seqlens[seq_of(args.cu_seqlens, args.seqs, token)]; key <= token; ++key) {
        const int64_t at = (key * args.kv_heads + kv_head) * dim;
        float score = 0, dp = 0;
        for (int64_t d = 0; d < dim; ++d) {
          score += as(type, q[d]) * as(type, args.k[at + d]);
          dp += as(type, dout[d]) * as(type, args.v[at + d]);
        }
        const float p = std::exp(score * args.scale - args.log_sums[row]), ds = p * (dp - dot) * args.scale;
        for (int64_t d = 0; d < dim; ++d) {
          args.dq[row * dim + d] += ds * args.k[at + d];
          args.dk[at + d] += ds * q[d];
          args.dv[at + d] += p * dout[d];
        }
      }
    }
  });
}

/// lambda from lambda^kChunk, which the table has to twice float32's precision.
double lambda_of(const float* decay) {
  const double chunk = static_cast<double>(decay[kChunk]) + static_cast<double>(decay[kChunk + 1]);
  return chunk > 0 ? std::pow(chunk, 1.0 / static_cast<double>(kChunk)) : static_cast<double>(decay[1]);
}
Failure lightning_float(const LightningFloatArgs& given, Stream) {
  return run([args = given] {
    const int64_t dim = args.head_dim;
    for (int64_t item = 0; item < args.seqs * args.heads; ++item) {
      const int64_t seq = item / args.heads, head = item % args.heads;
      const double lambda = lambda_of(args.decay + head * (kChunk + 2));
      const int64_t first = args.cu_seqlens[seq], start = args.positions[first];
      const int64_t place = args.slots ? args.slots[seq] * args.heads + head : 0;
      std::vector<double> state(static_cast<size_t>(dim * dim), 0.0);
      if (args.slots && start >= kChunk) std::copy_n(args.state + place * dim * dim, dim * dim, state.begin());
      const auto step = [&](const float* k, const float* v) {
        for (int64_t i = 0; i < dim * dim; ++i)
          state[static_cast<size_t>(i)] = lambda * state[static_cast<size_t>(i)] +
                                          static_cast<double>(k[i / dim]) * static_cast<double>(v[i % dim]);
      };
      for (int64_t row = 0; row < start % kChunk; ++row)
        step(args.k_window + (place * kChunk + row) * dim, args.v_window + (place * kChunk + row) * dim);
      for (int64_t token = first; token < args.cu_seqlens[seq + 1]; ++token) {
        const float* q = args.qkv + (token * args.heads + head) * 3 * dim;
        step(q + dim, q + 2 * dim);
        for (int64_t d = 0; d < dim; ++d) {
          double out = 0;
          for (int64_t key = 0; key < dim; ++key)
            out += static_cast<double>(q[key]) * state[static_cast<size_t>(key * dim + d)];
          args.out[(token * args.heads + head) * dim + d] = static_cast<float>(out);
        }
        const int64_t position = start + token - first;
        // At a chunk's end the state is what a cache would hold, so that cuts change no bit.
        if ((position + 1) % kChunk == 0)
          for (double& value : state) value = static_cast<double>(static_cast<float>(value));
        if (!args.slots) continue;
        std::copy_n(q + dim, dim, args.k_window + (place * kChunk + position % kChunk) * dim);
        std::copy_n(q + 2 * dim, dim, args.v_window + (place * kChunk + position % kChunk) * dim);
        if ((position + 1) % kChunk == 0)
          for (int64_t i = 0; i < dim * dim; ++i)
            args.state[place * dim * dim + i] = static_cast<float>(state[static_cast<size_t>(i)]);
      }
    }
  });
}
/// dq_t = dO_t S_t^T with S the state after token t; dk_t = G_t v_t, dv_t = G_t^T k_t with G_t = q_t dO_t^T + lambda
/// G_t+1.
Failure lightning_backward(const LightningBackwardArgs& given, Stream) {
  return run([args = given] {
    const int64_t dim = args.head_dim;
    for (int64_t item = 0; item < args.seqs * args.heads; ++item) {
      const int64_t seq = item / args.heads, head = item % args.heads;
      const double lambda = lambda_of(args.decay + head * (kChunk + 2));
      const auto size = static_cast<size_t>(dim * dim);
      std::vector<double> state(size, 0.0), gradient(size, 0.0);
      const auto qkv = [&](int64_t token) { return args.qkv + (token * args.heads + head) * 3 * dim; };
      const auto dqkv = [&](int64_t token) { return args.dqkv + (token * args.heads + head) * 3 * dim; };
      const auto dout = [&](int64_t token) { return args.dout + (token * args.heads + head) * dim; };
      for (int64_t token = args.cu_seqlens[seq]; token < args.cu_seqlens[seq + 1]; ++token)
        for (int64_t key = 0; key < dim; ++key) {
          double sum = 0;
          for (int64_t d = 0; d < dim; ++d) {
            double& s = state[static_cast<size_t>(key * dim + d)];
            s = lambda * s + static_cast<double>(qkv(token)[dim + key]) * static_cast<double>(qkv(token)[2 * dim + d]);
            sum += s * static_cast<double>(dout(token)[d]);
          }
          dqkv(token)[key] = static_cast<float>(sum);
        }
      for (int64_t token = args.cu_seqlens[seq + 1]; token-- > args.cu_seqlens[seq];) {
        std::vector<double> dk(static_cast<size_t>(dim), 0.0), dv(static_cast<size_t>(dim), 0.0);
        for (int64_t key = 0; key < dim; ++key)
          for (int64_t d = 0; d < dim; ++d) {
            double& g = gradient[static_cast<size_t>(key * dim + d)];
            g = lambda * g + static_cast<double>(qkv(token)[key]) * static_cast<double>(dout(token)[d]);
            dk[static_cast<size_t>(key)] += g * static_cast<double>(qkv(token)[2 * dim + d]);
            dv[static_cast<size_t>(d)] += g * static_cast<double>(qkv(token)[dim + key]);
          }
        for (int64_t d = 0; d < dim; ++d) {
          dqkv(token)[dim + d] = static_cast<float>(dk[static_cast<size_t>(d)]);
          dqkv(token)[2 * dim + d] = static_cast<float>(dv[static_cast<size_t>(d)]);
        }
      }
    }
  });
}

Failure log_probs(const float* logits, const int32_t* targets, float* out, float* log_sums, int64_t rows, int64_t vocab,
                  Stream) {
  return run([=] {
    for (int64_t row = 0; row < rows; ++row) {
      const float* x = logits + row * vocab;
      const float largest = *std::max_element(x, x + vocab);
      double sum = 0;
      for (int64_t i = 0; i < vocab; ++i) sum += std::exp(static_cast<double>(x[i] - largest));
      const double log_sum = static_cast<double>(largest) + std::log(sum);
      log_sums[row] = static_cast<float>(log_sum);
      out[row] = static_cast<float>(static_cast<double>(x[targets[row]]) - log_sum);
    }
  });
}
Failure log_probs_backward(const float* logits, const int32_t* targets, const float* log_sums, const float* dy,
                           void* out, Type type, int64_t rows, int64_t vocab, Stream) {
  return run([=] {
    for (int64_t at = 0; at < rows * vocab; ++at) {
      const int64_t row = at / vocab;
      put(out, type, at, dy[row] * ((at % vocab == targets[row] ? 1.0f : 0.0f) - std::exp(logits[at] - log_sums[row])));
    }
  });
}
Failure choose(const ChooseArgs& given, Stream) {
  return run([args = given] {
    for (int64_t i = 0; i < args.rows; ++i) {
      const ChoiceRow& wanted = args.wanted[i];
      const float* x = args.logits + wanted.row * args.vocab;
      const auto open = [&](int64_t id) {
        return wanted.banned < 0 || !(args.banned[wanted.banned * ((args.vocab + 31) / 32) + id / 32] >> (id % 32) & 1);
      };
      float largest = -INFINITY, top = -INFINITY;
      int64_t best = -1;
      bool wrong = false;
      for (int64_t id = 0; id < args.vocab; ++id) {
        wrong = wrong || !(x[id] < INFINITY);
        largest = std::max(largest, x[id]);
        if (open(id) && x[id] > top) top = x[best = id];
      }
      if (wrong || largest == -INFINITY || best < 0) {
        args.chosen[i] = {wrong || largest == -INFINITY ? kNotALogit : kNothingLeft, 0};
        continue;
      }
      double sum = 0, total = 0, reached = 0;
      for (int64_t id = 0; id < args.vocab; ++id) sum += std::exp(static_cast<double>(x[id] - largest));
      const float inverse = wanted.temperature == 0 ? 0 : 1 / wanted.temperature;
      const auto weight = [&](int64_t id) {
        return open(id) ? static_cast<double>(std::exp((x[id] - top) * inverse)) : 0.0;
      };
      for (int64_t id = 0; wanted.temperature > 0 && id < args.vocab; ++id) total += weight(id);
      for (int64_t id = 0; wanted.temperature > 0 && id < args.vocab; ++id) {
        if (weight(id) > 0) best = id;
        if ((reached += weight(id)) > wanted.uniform * total) break;
      }
      args.chosen[i] = {static_cast<int32_t>(best),
                        static_cast<float>(static_cast<double>(x[best] - largest) - std::log(sum))};
    }
  });
}
Failure add_squares(const float* const* x, const int64_t* counts, int64_t tensors, double*, double* out, Stream) {
  for (int64_t tensor = 0; tensor < tensors; ++tensor)
    if (const Failure failure = run([values = x[tensor], count = counts[tensor], out] {
          for (int64_t i = 0; i < count; ++i) *out += static_cast<double>(values[i]) * static_cast<double>(values[i]);
        }))
      return failure;
  return nullptr;
}
Failure adamw_of_one(const AdamWArgs& given) {
  return run([args = given] {
    for (int64_t i = 0; i < args.count; ++i) {
      const double g = args.gradient ? args.scale * static_cast<double>(args.gradient[i]) : 0.0;
      args.m[i] = static_cast<float>(args.beta1 * static_cast<double>(args.m[i]) + (1 - args.beta1) * g);
      args.v[i] = static_cast<float>(args.beta2 * static_cast<double>(args.v[i]) + (1 - args.beta2) * g * g);
      const double direction = static_cast<double>(args.m[i]) * args.correction1 /
                               (std::sqrt(static_cast<double>(args.v[i]) * args.correction2) + args.eps);
      const double before = static_cast<double>(args.master[i]);
      args.master[i] = static_cast<float>(before - args.rate * (direction + args.decay * before));
      if (args.working) static_cast<bfloat16*>(args.working)[i] = to_bfloat16(args.master[i]);
    }
  });
}
Failure adamw(const AdamWArgs* args, int64_t tensors, Stream) {
  for (int64_t tensor = 0; tensor < tensors; ++tensor)
    if (const Failure failure = adamw_of_one(args[tensor])) return failure;
  return nullptr;
}
Failure random_uniform(void* out, Type type, int64_t count, uint64_t seed, float limit, Stream) {
  return run([=] {
    uint64_t bits = seed;
    for (int64_t i = 0; i < count; ++i) {
      bits = bits * 6364136223846793005u + 1442695040888963407u;
      put(out, type, i, limit * (static_cast<float>(bits >> 40) / 8388608.0f - 1.0f));
    }
  });
}
Failure fill_float(float* out, float value, int64_t count, Stream) {
  return run([=] { std::fill_n(out, count, value); });
}

Failure allocate(void** memory, int64_t bytes) {
  *memory = std::aligned_alloc(256, static_cast<size_t>((bytes + 255) / 256 * 256));
  return *memory ? nullptr : "no memory left";
}
Failure release(void* memory) {
  std::free(memory);
  return nullptr;
}
Failure free_memory(int64_t* free_bytes, int64_t* total_bytes) {
  *free_bytes = *total_bytes = int64_t{1} << 34;
  return nullptr;
}
Failure copy(void* to, const void* from, int64_t bytes, Stream) {
  return run([=] { std::memmove(to, from, static_cast<size_t>(bytes)); });
}
Failure fill(void* memory, int32_t byte, int64_t bytes, Stream) {
  return run([=] { std::memset(memory, byte, static_cast<size_t>(bytes)); });
}
Failure nothing(Stream) {
  return nullptr;
}
Failure begin_capture(Stream) {
  g_recording = new Recorded;
  return nullptr;
}
Failure end_capture(Graph* graph, Stream) {
  *graph = std::exchange(g_recording, nullptr);
  return nullptr;
}
Failure run_graph(Graph graph, Stream) {
  for (const auto& work : *static_cast<Recorded*>(graph)) work();
  return nullptr;
}
Failure drop_graph(Graph graph) {
  delete static_cast<Recorded*>(graph);
  return nullptr;
}

Kernels table() {
  Kernels all{};
  all.use_device = [](int32_t) -> Failure { return nullptr; };
  all.allocate = allocate;
  all.release = release;
  all.free_memory = free_memory;
  all.copy = copy;
  all.fill = fill;
  all.make_stream = [](Stream*) -> Failure { return nullptr; };
  all.drop_stream = nothing;
  all.wait = nothing;
  all.begin_capture = begin_capture;
  all.end_capture = end_capture;
  all.run_graph = run_graph;
  all.drop_graph = drop_graph;
  all.attention_decode = attention_decode;
  all.op = {.cast = cast,
            .split = split,
            .silu = silu,
            .silu_backward = silu_backward,
            .silu_mul = silu_mul,
            .silu_mul_backward = silu_mul_backward,
            .sigmoid_mul = sigmoid_mul,
            .sigmoid_mul_backward = sigmoid_mul_backward,
            .scaled_add = scaled_add,
            .mix_shared = mix_shared,
            .mix_shared_backward = mix_shared_backward,
            .rms_norm = rms_norm,
            .rms_norm_backward = rms_norm_backward,
            .rotary_table = rotary_table,
            .rotate = rotate,
            .take_rows = take_rows,
            .add_rows = add_rows,
            .product = product,
            .product_mma = product,
            .product_simple = product,
            .few_rows_product = few_rows_product,
            .thin_product = thin_product,
            .route = route,
            .route_to = route_to,
            .count_flips = count_flips,
            .add_entropy = add_entropy,
            .route_backward = route_backward,
            .balance = balance,
            .balance_backward = balance_backward,
            .expert_order = expert_order,
            .gather_pairs = gather_pairs,
            .combine_pairs = combine_pairs,
            .pair_dots = pair_dots,
            .expert_rows = expert_rows,
            .store_kv = store_kv,
            .attention = attention,
            .attention_simple = attention,
            .attention_backward = attention_backward,
            .lightning_float = lightning_float,
            .lightning_float_decode = lightning_float,
            .lightning_backward = lightning_backward,
            .log_probs = log_probs,
            .log_probs_backward = log_probs_backward,
            .choose = choose,
            .add_squares = add_squares,
            .adamw = adamw,
            .random_uniform = random_uniform,
            .fill_float = fill_float};
  return all;
}

const Kernels* kernels() {
  static const Kernels all = table();
  return &all;
}

void versions(int32_t* driver, int32_t* runtime) {
  *driver = *runtime = 13000;
}
int32_t count(char*, int64_t) {
  return 1;
}
/// Compute capability 8.0: the float32 paths for lightning attention, whose Hopper kernels are not played.
int32_t device(int32_t, MinimaxCudaDevice* out, char*, int64_t) {
  *out = {};
  std::snprintf(out->name, sizeof(out->name), "played on the processor");
  out->compute_major = 8;
  out->memory_free_bytes = out->memory_total_bytes = int64_t{1} << 34;
  return 0;
}

constexpr MinimaxCudaModule kModule = {MINIMAX_CUDA_ABI, versions, count, device, kernels};

}  // namespace
}  // namespace minimax::cuda

extern "C" const MinimaxCudaModule* minimax_cuda_module() {
  return &minimax::cuda::kModule;
}
