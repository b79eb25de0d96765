// Gradient of chunk-anchored lightning attention, chunk by chunk from the last to the first.
//
// Within a chunk of m rows a, b = 0 .. m-1, with S the state at its start and dS the gradient of the state at its end:
//   P  = (Q K^T) * D                      D[a][b] = lambda^(a-b) for a >= b, else 0
//   dP = (dO V^T) * D
//   dQ = qd . (dO S^T) + dP K             qd[a] = lambda^(a+1)
//   dK = dP^T Q + kd . (V dS^T)           kd[b] = lambda^(m-1-b)
//   dV = P^T dO + kd . (K dS)
//   dS <- lambda^m dS + (qd . Q)^T dO
#include <algorithm>
#include <vector>

#include "cpu/isa.h"
#include "cpu/lightning.h"
#include "cpu/tile_product.h"

namespace minimax::cpu {
namespace {

/// A small dense matrix of one thread's workspace.
struct Matrix {
  Matrix(int64_t row_count, int64_t column_count)
      : rows(row_count), columns(column_count), values(static_cast<size_t>(row_count * column_count)) {}
  float* data() { return values.data(); }
  float& operator()(int64_t row, int64_t column) { return values[row * columns + column]; }

  int64_t rows, columns;
  std::vector<float> values;
};

/// One head of one sequence, its q, k, v rows copied side by side.
class HeadBackward {
 public:
  HeadBackward(int64_t head_dim, const float* decay)
      : dim_(head_dim),
        decay_(decay),
        q_(kChunk, head_dim),
        k_(kChunk, head_dim),
        v_(kChunk, head_dim),
        o_(kChunk, head_dim),
        transposed_(head_dim, std::max(head_dim, kChunk)),
        p_(kChunk, kChunk),
        dp_(kChunk, kChunk),
        dq_(kChunk, head_dim),
        dk_(kChunk, head_dim),
        dv_(kChunk, head_dim),
        dstate_(head_dim, head_dim) {}

  /// qkv, dqkv: this head's first token, rows `stride` apart; dout likewise.
  void run(const float* qkv, int64_t stride, const float* dout, int64_t dout_stride, int64_t tokens, float* dqkv) {
    const int64_t chunks = (tokens + kChunk - 1) / kChunk;
    // States at the start of every chunk: [chunks, head_dim, head_dim].
    std::vector<float> states(static_cast<size_t>(chunks * dim_ * dim_), 0.0f);
    for (int64_t chunk = 0; chunk + 1 < chunks; ++chunk) {
      load(qkv + chunk * kChunk * stride, stride, nullptr, 0, kChunk);
      float* next = states.data() + (chunk + 1) * dim_ * dim_;
      const float* state = next - dim_ * dim_;
      for (int64_t i = 0; i < dim_ * dim_; ++i) next[i] = state[i] * decay_[kChunk];
      scale_rows(k_, kChunk, [&](int64_t row) { return decay_[kChunk - 1 - row]; });
      multiply_tile({k_.data(), 1, dim_}, v_.data(), dim_, next, dim_, dim_, dim_, kChunk, true);
    }
    std::fill(dstate_.values.begin(), dstate_.values.end(), 0.0f);
    for (int64_t chunk = chunks; chunk-- > 0;) {
      const int64_t first = chunk * kChunk, rows = std::min(kChunk, tokens - first);
      load(qkv + first * stride, stride, dout + first * dout_stride, dout_stride, rows);
      chunk_backward(states.data() + chunk * dim_ * dim_, rows);
      for (int64_t row = 0; row < rows; ++row) {
        float* to = dqkv + (first + row) * stride;
        std::copy_n(dq_.data() + row * dim_, dim_, to);
        std::copy_n(dk_.data() + row * dim_, dim_, to + dim_);
        std::copy_n(dv_.data() + row * dim_, dim_, to + 2 * dim_);
      }
    }
  }

 private:
  template <typename Factor>
  static void scale_rows(Matrix& x, int64_t rows, const Factor& factor) {
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < x.columns; ++column) x(row, column) *= factor(row);
  }

  void load(const float* qkv, int64_t stride, const float* dout, int64_t dout_stride, int64_t rows) {
    for (int64_t row = 0; row < rows; ++row) {
      std::copy_n(qkv + row * stride, dim_, q_.data() + row * dim_);
      std::copy_n(qkv + row * stride + dim_, dim_, k_.data() + row * dim_);
      std::copy_n(qkv + row * stride + 2 * dim_, dim_, v_.data() + row * dim_);
      if (dout) std::copy_n(dout + row * dout_stride, dim_, o_.data() + row * dim_);
    }
  }

  /// out = (a b^T) * D for row-major a and b.
  void decayed_product(Matrix& a, Matrix& b, int64_t rows, Matrix& out) {
    transpose_tile(b.data(), dim_, rows, dim_, transposed_.data(), transposed_.columns);
    multiply_tile({a.data(), dim_, 1}, transposed_.data(), transposed_.columns, out.data(), kChunk, rows, rows, dim_,
                  false);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t key = 0; key < rows; ++key) out(row, key) *= key <= row ? decay_[row - key] : 0.0f;
  }

  void chunk_backward(const float* state, int64_t rows) {
    const auto key_decay = [&](int64_t row) { return decay_[rows - 1 - row]; };
    decayed_product(q_, k_, rows, p_);
    decayed_product(o_, v_, rows, dp_);  // o_ holds dO

    transpose_tile(state, dim_, dim_, dim_, transposed_.data(), transposed_.columns);
    multiply_tile({o_.data(), dim_, 1}, transposed_.data(), transposed_.columns, dq_.data(), dim_, rows, dim_, dim_,
                  false);
    scale_rows(dq_, rows, [&](int64_t row) { return decay_[row + 1]; });
    multiply_tile({dp_.data(), kChunk, 1}, k_.data(), dim_, dq_.data(), dim_, rows, dim_, rows, true);

    transpose_tile(dstate_.data(), dim_, dim_, dim_, transposed_.data(), transposed_.columns);
    multiply_tile({v_.data(), dim_, 1}, transposed_.data(), transposed_.columns, dk_.data(), dim_, rows, dim_, dim_,
                  false);
    scale_rows(dk_, rows, key_decay);
    multiply_tile({dp_.data(), 1, kChunk}, q_.data(), dim_, dk_.data(), dim_, rows, dim_, rows, true);

    multiply_tile({k_.data(), dim_, 1}, dstate_.data(), dim_, dv_.data(), dim_, rows, dim_, dim_, false);
    scale_rows(dv_, rows, key_decay);
    multiply_tile({p_.data(), 1, kChunk}, o_.data(), dim_, dv_.data(), dim_, rows, dim_, rows, true);

    for (float& value : dstate_.values) value *= decay_[rows];
    scale_rows(q_, rows, [&](int64_t row) { return decay_[row + 1]; });
    multiply_tile({q_.data(), 1, dim_}, o_.data(), dim_, dstate_.data(), dim_, dim_, dim_, rows, true);
  }

  int64_t dim_;
  const float* decay_;  // lambda^0 .. lambda^kChunk
  Matrix q_, k_, v_, o_, transposed_, p_, dp_, dq_, dk_, dv_, dstate_;
};

}  // namespace

void lightning_backward(const Context& ctx, const Tensor& qkv, const Tensor& decay, const Tensor& cu_seqlens,
                        const Tensor& dout, const Tensor& dqkv) {
  const int64_t heads = decay.dim(0), head_dim = qkv.dim(1) / (3 * heads), seqs = cu_seqlens.dim(0) - 1;
  ctx.threads->parallel_for(seqs * heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t seq = item / heads, head = item % heads;
      const int64_t first = cu_seqlens.data<int32_t>()[seq], tokens = cu_seqlens.data<int32_t>()[seq + 1] - first;
      const int64_t place = first * qkv.dim(1) + head * 3 * head_dim;
      HeadBackward(head_dim, decay.data<float>() + head * decay.dim(1))
          .run(qkv.data<float>() + place, qkv.dim(1), dout.data<float>() + first * dout.dim(1) + head * head_dim,
               dout.dim(1), tokens, dqkv.data<float>() + place);
    }
  });
}

}  // namespace minimax::cpu
