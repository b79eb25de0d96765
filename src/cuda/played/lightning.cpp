// Lightning attention token by token in float64, and its gradient.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cuda/played/played.h"

namespace minimax::cuda::played {
namespace {

/// lambda from lambda^kChunk, which the table has to twice float32's precision.
double lambda_of(const float* decay) {
  const double chunk = static_cast<double>(decay[kChunk]) + static_cast<double>(decay[kChunk + 1]);
  return chunk > 0 ? std::pow(chunk, 1.0 / static_cast<double>(kChunk)) : static_cast<double>(decay[1]);
}

}  // namespace

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
Failure lightning_float_decode(const LightningFloatArgs& args, Stream stream) {
  return lightning_float(args, stream);
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

}  // namespace minimax::cuda::played
