// The model's operations once more, slowly: what the tests of ops and kernels compare with.
// Written from the published equations, not from our code, one scalar at a time. Scalar is double, or
// std::complex<double> for derivatives by a complex step (imag(f(x + ih)) / h), or a Traced that remembers how it was
// made (ops/traced.h): every function is analytic in its inputs, and where it must compare (routing, a softmax's
// maximum) it looks at real parts.
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace minimax::reference {

/// [rows, columns], row-major, zero at first.
template <typename Scalar>
struct Matrix {
  Matrix() = default;
  Matrix(int64_t rows, int64_t columns)
      : rows(rows), columns(columns), values(static_cast<size_t>(rows * columns), Scalar(0)) {}
  Scalar& operator()(int64_t row, int64_t column) { return values[row * columns + column]; }
  const Scalar& operator()(int64_t row, int64_t column) const { return values[row * columns + column]; }

  int64_t rows = 0, columns = 0;
  std::vector<Scalar> values;
};

template <typename Scalar>
Scalar sigmoid(Scalar x) {
  using std::exp;
  return Scalar(1) / (Scalar(1) + exp(-x));
}
template <typename Scalar>
Scalar silu(Scalar x) {
  return x * sigmoid(x);
}

/// function(element, element) of two matrices of one shape.
template <typename Scalar, typename Function>
Matrix<Scalar> combine(const Matrix<Scalar>& a, const Matrix<Scalar>& b, const Function& function) {
  Matrix<Scalar> out(a.rows, a.columns);
  std::transform(a.values.begin(), a.values.end(), b.values.begin(), out.values.begin(), function);
  return out;
}
template <typename Scalar>
Matrix<Scalar> silu(const Matrix<Scalar>& x) {
  return combine(x, x, [](Scalar value, Scalar) { return silu(value); });
}
template <typename Scalar>
Matrix<Scalar> silu_mul(const Matrix<Scalar>& gate, const Matrix<Scalar>& up) {
  return combine(gate, up, [](Scalar g, Scalar u) { return silu(g) * u; });
}
template <typename Scalar>
Matrix<Scalar> sigmoid_mul(const Matrix<Scalar>& gate, const Matrix<Scalar>& x) {
  return combine(gate, x, [](Scalar g, Scalar value) { return sigmoid(g) * value; });
}
template <typename Scalar>
Matrix<Scalar> scaled_add(double alpha, const Matrix<Scalar>& x, double beta, const Matrix<Scalar>& y) {
  return combine(x, y, [=](Scalar a, Scalar b) { return alpha * a + beta * b; });
}

/// x / sqrt(mean(x^2) + eps) * weight; weight: [1, hidden].
template <typename Scalar>
Matrix<Scalar> rms_norm(const Matrix<Scalar>& x, const Matrix<Scalar>& weight, double eps) {
  using std::sqrt;
  Matrix<Scalar> out(x.rows, x.columns);
  for (int64_t row = 0; row < x.rows; ++row) {
    Scalar squares(0);
    for (int64_t column = 0; column < x.columns; ++column) squares += x(row, column) * x(row, column);
    const Scalar root = sqrt(squares / static_cast<double>(x.columns) + eps);
    for (int64_t column = 0; column < x.columns; ++column) out(row, column) = x(row, column) / root * weight(0, column);
  }
  return out;
}

/// x W^T; weight: [outputs, inputs].
template <typename Scalar>
Matrix<Scalar> linear(const Matrix<Scalar>& x, const Matrix<Scalar>& weight) {
  Matrix<Scalar> out(x.rows, weight.rows);
  for (int64_t row = 0; row < x.rows; ++row)
    for (int64_t output = 0; output < weight.rows; ++output)
      for (int64_t input = 0; input < x.columns; ++input) out(row, output) += x(row, input) * weight(output, input);
  return out;
}

template <typename Scalar>
Matrix<Scalar> embedding(const Matrix<Scalar>& table, std::span<const int32_t> tokens) {
  Matrix<Scalar> out(static_cast<int64_t>(tokens.size()), table.columns);
  for (int64_t token = 0; token < out.rows; ++token)
    for (int64_t column = 0; column < table.columns; ++column) out(token, column) = table(tokens[token], column);
  return out;
}

/// Rotates dimensions j and j + rotary_dim/2 of each head by position * theta^(-2j/rotary_dim). That angle is made in
/// float32 as published (model constant, not an approximation of ours); its cosine and sine are exact.
template <typename Scalar>
Matrix<Scalar> rotate(const Matrix<Scalar>& x, std::span<const int32_t> positions, int64_t head_dim, int64_t rotary_dim,
                      double theta) {
  Matrix<Scalar> out = x;
  for (int64_t token = 0; token < x.rows; ++token)
    for (int64_t head = 0; head < x.columns; head += head_dim)
      for (int64_t j = 0; j < rotary_dim / 2; ++j) {
        const float exponent = static_cast<float>(2 * j) / static_cast<float>(rotary_dim);
        const float inverse_frequency = 1.0f / static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
        const double angle = static_cast<double>(static_cast<float>(positions[token]) * inverse_frequency);
        const Scalar first = x(token, head + j), second = x(token, head + j + rotary_dim / 2);
        out(token, head + j) = first * std::cos(angle) - second * std::sin(angle);
        out(token, head + j + rotary_dim / 2) = second * std::cos(angle) + first * std::sin(angle);
      }
  return out;
}

/// The recurrence of one sequence: S_t = lambda S_(t-1) + k_t^T v_t, o_t = q_t S_t, lambda = exp(-slope).
/// qkv: [tokens, heads * 3 * head_dim], each head's q | k | v side by side.
template <typename Scalar>
Matrix<Scalar> lightning(const Matrix<Scalar>& qkv, std::span<const float> slopes) {
  const int64_t heads = static_cast<int64_t>(slopes.size()), head_dim = qkv.columns / (3 * heads);
  Matrix<Scalar> out(qkv.rows, heads * head_dim);
  for (int64_t head = 0; head < heads; ++head) {
    const double lambda = std::exp(-static_cast<double>(slopes[head]));
    Matrix<Scalar> state(head_dim, head_dim);
    for (int64_t token = 0; token < qkv.rows; ++token) {
      const Scalar* q = &qkv(token, head * 3 * head_dim);
      const Scalar *k = q + head_dim, *v = k + head_dim;
      for (int64_t i = 0; i < head_dim; ++i)
        for (int64_t j = 0; j < head_dim; ++j) {
          state(i, j) = lambda * state(i, j) + k[i] * v[j];
          out(token, head * head_dim + j) += q[i] * state(i, j);
        }
    }
  }
  return out;
}

/// Weights proportional to exp(scores), with sum 1.
template <typename Scalar>
std::vector<Scalar> softmax(std::vector<Scalar> scores) {
  using std::exp;
  using std::real;
  double largest = real(scores[0]);  // a constant taken from all scores changes nothing but the range of exp
  for (const Scalar& score : scores) largest = std::max(largest, real(score));
  for (Scalar& score : scores) score = exp(score - largest);
  const Scalar sum = std::accumulate(scores.begin(), scores.end(), Scalar(0));
  for (Scalar& score : scores) score /= sum;
  return scores;
}

/// One sequence; q holds the last q.rows of its k.rows positions, and each sees itself and what came before.
/// q: [., heads * head_dim]; k, v: [tokens, kv_heads * head_dim]. Query head h uses kv head h / (heads / kv_heads).
template <typename Scalar>
Matrix<Scalar> softmax_attention(const Matrix<Scalar>& q, const Matrix<Scalar>& k, const Matrix<Scalar>& v,
                                 int64_t head_dim) {
  const int64_t group = q.columns / k.columns, first = k.rows - q.rows;
  Matrix<Scalar> out(q.rows, q.columns);
  for (int64_t row = 0; row < q.rows; ++row)
    for (int64_t head = 0; head < q.columns / head_dim; ++head) {
      const int64_t to = head * head_dim, from = head / group * head_dim;
      std::vector<Scalar> scores(static_cast<size_t>(first + row + 1), Scalar(0));
      for (size_t key = 0; key < scores.size(); ++key) {
        for (int64_t d = 0; d < head_dim; ++d) scores[key] += q(row, to + d) * k(key, from + d);
        scores[key] /= std::sqrt(static_cast<double>(head_dim));
      }
      const std::vector<Scalar> weights = softmax(scores);
      for (size_t key = 0; key < weights.size(); ++key)
        for (int64_t d = 0; d < head_dim; ++d) out(row, to + d) += weights[key] * v(key, from + d);
    }
  return out;
}

/// log softmax(row of logits)[target of the row]: [rows, 1].
template <typename Scalar>
Matrix<Scalar> log_probs(const Matrix<Scalar>& logits, std::span<const int32_t> targets) {
  using std::log;
  Matrix<Scalar> out(logits.rows, 1);
  for (int64_t row = 0; row < logits.rows; ++row) {
    const Scalar* first = &logits(row, 0);
    out(row, 0) = log(softmax(std::vector<Scalar>(first, first + logits.columns))[targets[row]]);
  }
  return out;
}

/// [tokens][top_k]: the experts of largest probability, best first, of equal ones the lower index first.
template <typename Scalar>
std::vector<std::vector<int32_t>> choose_experts(const Matrix<Scalar>& router_logits, int64_t top_k) {
  std::vector<std::vector<int32_t>> chosen;
  for (int64_t token = 0; token < router_logits.rows; ++token) {
    std::vector<int32_t> order(static_cast<size_t>(router_logits.columns));
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      using std::real;
      const double left = real(router_logits(token, a)), right = real(router_logits(token, b));
      return left != right ? left > right : a < b;
    });
    chosen.emplace_back(order.begin(), order.begin() + top_k);
  }
  return chosen;
}

/// [tokens, top_k]: softmax over all experts, then divided by the sum over the chosen ones.
template <typename Scalar>
Matrix<Scalar> routing_weights(const Matrix<Scalar>& router_logits, const std::vector<std::vector<int32_t>>& chosen) {
  Matrix<Scalar> weights(router_logits.rows, static_cast<int64_t>(chosen[0].size()));
  for (int64_t token = 0; token < weights.rows; ++token) {
    const Scalar* logits = &router_logits(token, 0);
    const std::vector<Scalar> p = softmax(std::vector<Scalar>(logits, logits + router_logits.columns));
    Scalar sum(0);
    for (const int32_t expert : chosen[token]) sum += p[expert];
    for (int64_t rank = 0; rank < weights.columns; ++rank) weights(token, rank) = p[chosen[token][rank]] / sum;
  }
  return weights;
}

/// experts * sum over e of (share of tokens that chose e) * (mean probability of e): [1, 1].
template <typename Scalar>
Matrix<Scalar> balance_loss(const Matrix<Scalar>& router_logits, const std::vector<std::vector<int32_t>>& chosen) {
  const auto tokens = static_cast<double>(router_logits.rows), experts = static_cast<double>(router_logits.columns);
  std::vector<double> shares(static_cast<size_t>(router_logits.columns), 0.0);
  for (const auto& of_token : chosen)
    for (const int32_t expert : of_token) shares[expert] += 1 / tokens;
  Matrix<Scalar> out(1, 1);
  for (int64_t token = 0; token < router_logits.rows; ++token) {
    const Scalar* logits = &router_logits(token, 0);
    const std::vector<Scalar> p = softmax(std::vector<Scalar>(logits, logits + router_logits.columns));
    for (size_t expert = 0; expert < p.size(); ++expert) out(0, 0) += experts * shares[expert] * p[expert] / tokens;
  }
  return out;
}

template <typename Scalar>
struct Expert {
  Matrix<Scalar> gate, up, down;  // [ffn, hidden], [ffn, hidden], [hidden, ffn]
};

/// down(silu(gate x) * (up x))
template <typename Scalar>
Matrix<Scalar> expert(const Matrix<Scalar>& x, const Expert<Scalar>& weights) {
  return linear(silu_mul(linear(x, weights.gate), linear(x, weights.up)), weights.down);
}

/// Sum over a token's chosen experts of weight * expert(x).
template <typename Scalar>
Matrix<Scalar> mix_experts(const Matrix<Scalar>& x, const std::vector<std::vector<int32_t>>& chosen,
                           const Matrix<Scalar>& weights, const std::vector<Expert<Scalar>>& experts) {
  Matrix<Scalar> out(x.rows, x.columns);
  for (int64_t token = 0; token < x.rows; ++token)
    for (int64_t rank = 0; rank < weights.columns; ++rank) {
      Matrix<Scalar> row(1, x.columns);
      std::copy_n(&x(token, 0), x.columns, row.values.begin());
      const Matrix<Scalar> y = expert(row, experts[chosen[token][rank]]);
      for (int64_t column = 0; column < x.columns; ++column) out(token, column) += weights(token, rank) * y(0, column);
    }
  return out;
}

/// (1 - c) * routed + c * shared with c = sigmoid(coefficient . x); coefficient: [1, hidden].
template <typename Scalar>
Matrix<Scalar> mix_shared(const Matrix<Scalar>& x, const Matrix<Scalar>& routed, const Matrix<Scalar>& shared,
                          const Matrix<Scalar>& coefficient) {
  const Matrix<Scalar> logits = linear(x, coefficient);
  Matrix<Scalar> out(x.rows, x.columns);
  for (int64_t token = 0; token < x.rows; ++token) {
    const Scalar c = sigmoid(logits(token, 0));
    for (int64_t column = 0; column < x.columns; ++column)
      out(token, column) = (Scalar(1) - c) * routed(token, column) + c * shared(token, column);
  }
  return out;
}

}  // namespace minimax::reference
