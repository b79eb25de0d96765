#include "cpu/lightning.h"

#include <algorithm>
#include <cstring>

#include "cpu/isa.h"

namespace minimax::cpu {

void lightning(const Context& ctx, const Tensor& qkv, const Tensor& decay, const Tensor& positions,
               const Tensor& cu_seqlens, const Tensor& slots, const Tensor& state, const Tensor& k_window,
               const Tensor& v_window, const Tensor& out) {
  const int64_t heads = state.dim(1), head_dim = state.dim(2), seqs = cu_seqlens.dim(0) - 1;
  const int64_t matrix = head_dim * head_dim, window = head_dim * kChunk;
  const int32_t* starts = cu_seqlens.data<int32_t>();

  ctx.threads->parallel_for(seqs * heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t seq = item / heads, head = item % heads;
      const int64_t place = int64_t{slots.data<int32_t>()[seq]} * heads + head;
      LightningArgs args{.qkv_stride = qkv.dim(1),
                         .out_stride = out.dim(1),
                         .state = state.data<float>() + place * matrix,
                         .k_window = k_window.data<float>() + place * window,
                         .v_window = v_window.data<float>() + place * window,
                         .decay = decay.data<float>() + head * (kChunk + 2),
                         .head_dim = head_dim};
      int64_t token = starts[seq];
      int64_t position = positions.data<int32_t>()[token];
      if (position == 0) std::memset(args.state, 0, static_cast<size_t>(matrix) * sizeof(float));
      while (token < starts[seq + 1]) {
        args.filled = position % kChunk;
        args.rows = std::min<int64_t>(kChunk - args.filled, starts[seq + 1] - token);
        // Head-major rows: each head holds its own q | k | v side by side.
        args.q = qkv.data<float>() + token * qkv.dim(1) + head * 3 * head_dim;
        args.k = args.q + head_dim;
        args.v = args.k + head_dim;
        args.out = out.data<float>() + token * out.dim(1) + head * head_dim;
        kernels().lightning(args);
        token += args.rows;
        position += args.rows;
      }
    }
  });
}

}  // namespace minimax::cpu
