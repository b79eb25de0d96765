// Gradient of causal grouped-query attention, with the scores computed again in tiles of 64 queries by 64 keys.
//
// With P = softmax(scale Q K^T), causal:
//   D_i = sum(dO_i * O_i);  dP = dO V^T;  dS = P * (dP - D);  dQ = scale dS K;  dK = scale dS^T Q;  dV = P^T dO
// A kv head and the query heads of its group are one piece of work, so that nobody else adds to its dK and dV.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cpu/attention.h"
#include "cpu/isa.h"
#include "cpu/tile_product.h"

namespace minimax::cpu {
namespace {

constexpr int64_t kTile = 64;

class GroupBackward {
 public:
  GroupBackward(int64_t head_dim, int64_t tokens)
      : dim_(head_dim),
        tokens_(tokens),
        scale_(1.0f / std::sqrt(static_cast<float>(head_dim))),
        scores_(kTile * kTile),
        dscores_(kTile * kTile),
        k_t_(head_dim * kTile),
        v_t_(head_dim * kTile),
        log_sums_(static_cast<size_t>(tokens)),
        dots_(static_cast<size_t>(tokens)) {}

  /// One query head. q, out, dout, dq: rows `q_stride` apart; k, v, dk, dv: rows `kv_stride` apart. dq zero before; dk,
  /// dv are added to.
  void run(const float* q, const float* out, const float* dout, float* dq, int64_t q_stride, const float* k,
           const float* v, float* dk, float* dv, int64_t kv_stride) {
    normalizers(q, q_stride, k, kv_stride);
    for (int64_t row = 0; row < tokens_; ++row) {
      double dot = 0;
      for (int64_t d = 0; d < dim_; ++d)
        dot += static_cast<double>(dout[row * q_stride + d]) * static_cast<double>(out[row * q_stride + d]);
      dots_[row] = static_cast<float>(dot);
    }
    for (int64_t key = 0; key < tokens_; key += kTile) {
      const int64_t keys = std::min(kTile, tokens_ - key);
      transpose_tile(k + key * kv_stride, kv_stride, keys, dim_, k_t_.data(), kTile);
      transpose_tile(v + key * kv_stride, kv_stride, keys, dim_, v_t_.data(), kTile);
      for (int64_t row = key; row < tokens_; row += kTile) {
        const int64_t rows = std::min(kTile, tokens_ - row);
        probabilities(q + row * q_stride, q_stride, row, rows, key, keys);
        multiply_tile({dout + row * q_stride, q_stride, 1}, v_t_.data(), kTile, dscores_.data(), kTile, rows, keys,
                      dim_, false);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t c = 0; c < keys; ++c)
            dscores_[r * kTile + c] = scale_ * scores_[r * kTile + c] * (dscores_[r * kTile + c] - dots_[row + r]);
        multiply_tile({dscores_.data(), kTile, 1}, k + key * kv_stride, kv_stride, dq + row * q_stride, q_stride, rows,
                      dim_, keys, true);
        multiply_tile({dscores_.data(), 1, kTile}, q + row * q_stride, q_stride, dk + key * kv_stride, kv_stride, keys,
                      dim_, rows, true);
        multiply_tile({scores_.data(), 1, kTile}, dout + row * q_stride, q_stride, dv + key * kv_stride, kv_stride,
                      keys, dim_, rows, true);
      }
    }
  }

 private:
  /// scores_ = scale q k_t_, -inf where the key lies after the query.
  void score(const float* q, int64_t q_stride, int64_t row, int64_t rows, int64_t key, int64_t keys) {
    multiply_tile({q, q_stride, 1}, k_t_.data(), kTile, scores_.data(), kTile, rows, keys, dim_, false);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < keys; ++c) {
        float& value = scores_[r * kTile + c];
        value = key + c <= row + r ? value * scale_ : -std::numeric_limits<float>::infinity();
      }
  }

  void probabilities(const float* q, int64_t q_stride, int64_t row, int64_t rows, int64_t key, int64_t keys) {
    score(q, q_stride, row, rows, key, keys);
    for (int64_t r = 0; r < rows; ++r)
      kernels().exp_shifted(scores_.data() + r * kTile, log_sums_[row + r], keys, scores_.data() + r * kTile);
  }

  /// log(sum(exp(scores))) of every row.
  void normalizers(const float* q, int64_t q_stride, const float* k, int64_t kv_stride) {
    std::vector<float> largest(static_cast<size_t>(tokens_), -std::numeric_limits<float>::infinity());
    std::vector<double> sums(static_cast<size_t>(tokens_), 0.0);
    for (int64_t key = 0; key < tokens_; key += kTile) {
      const int64_t keys = std::min(kTile, tokens_ - key);
      transpose_tile(k + key * kv_stride, kv_stride, keys, dim_, k_t_.data(), kTile);
      for (int64_t row = key; row < tokens_; row += kTile) {
        const int64_t rows = std::min(kTile, tokens_ - row);
        score(q + row * q_stride, q_stride, row, rows, key, keys);
        for (int64_t r = 0; r < rows; ++r) {
          float* values = scores_.data() + r * kTile;
          const float tile_max = *std::max_element(values, values + keys);
          const float new_max = std::max(largest[row + r], tile_max);
          sums[row + r] *= std::exp(static_cast<double>(largest[row + r]) - static_cast<double>(new_max));
          kernels().exp_shifted(values, new_max, keys, values);
          for (int64_t c = 0; c < keys; ++c) sums[row + r] += static_cast<double>(values[c]);
          largest[row + r] = new_max;
        }
      }
    }
    for (int64_t row = 0; row < tokens_; ++row)
      log_sums_[row] = static_cast<float>(static_cast<double>(largest[row]) + std::log(sums[row]));
  }

  int64_t dim_, tokens_;
  float scale_;
  std::vector<float> scores_, dscores_, k_t_, v_t_;  // [kTile, kTile] twice, [head_dim, kTile] twice
  std::vector<float> log_sums_, dots_;               // [tokens]
};

}  // namespace

void attention_backward(const Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                        const Tensor& dout, int64_t head_dim, const Tensor& cu_seqlens, const Tensor& dq,
                        const Tensor& dk, const Tensor& dv) {
  const int64_t kv_heads = k.dim(1) / head_dim, group = q.dim(1) / k.dim(1), seqs = cu_seqlens.dim(0) - 1;
  for (const Tensor* x : {&dq, &dk, &dv}) std::fill_n(x->data<float>(), x->elements(), 0.0f);
  ctx.threads->parallel_for(seqs * kv_heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t seq = item / kv_heads, kv_head = item % kv_heads;
      const int64_t first = cu_seqlens.data<int32_t>()[seq], tokens = cu_seqlens.data<int32_t>()[seq + 1] - first;
      GroupBackward backward(head_dim, tokens);
      const int64_t kv = first * k.dim(1) + kv_head * head_dim;
      for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        const int64_t place = first * q.dim(1) + head * head_dim;
        backward.run(q.data<float>() + place, out.data<float>() + place, dout.data<float>() + place,
                     dq.data<float>() + place, q.dim(1), k.data<float>() + kv, v.data<float>() + kv,
                     dk.data<float>() + kv, dv.data<float>() + kv, k.dim(1));
      }
    }
  });
}

}  // namespace minimax::cpu
