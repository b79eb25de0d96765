// Routing, the order of a mixture's rows, and experts of few tokens.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cuda/played/played.h"

namespace minimax::cuda::played {
namespace {

std::vector<float> softmax(const float* row, int64_t count) {
  std::vector<float> p(row, row + count);
  const float largest = *std::max_element(p.begin(), p.end());
  float sum = 0;
  for (float& value : p) sum += value = std::exp(value - largest);
  for (float& value : p) value /= sum;
  return p;
}

}  // namespace

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

}  // namespace minimax::cuda::played
