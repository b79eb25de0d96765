// The gradient of lightning attention as three walks of lightning_walk.cuh: states are made again on the way, nothing
// is kept between chunks but what registers hold.
#include "cuda/kernels/lightning_walk.cuh"

namespace minimax::cuda {

Failure lightning_gradient(const LightningGradientArgs& args, Stream stream) {
  if (args.head_dim != kHeadDim) return "lightning_gradient: head_dim 128 is expected";
  if (!on_hopper()) return "lightning_gradient: compute capability 9.0 is expected";
  if (args.tokens == 0 || args.seqs == 0) return nullptr;
  const int64_t columns = args.heads * 3 * kHeadDim;
  const auto part = [&](int32_t i) { return Operand{args.qkv, columns, 3 * kHeadDim, i * kHeadDim}; };
  const auto gradient = [&](int32_t i) { return Operand{args.dqkv, columns, 3 * kHeadDim, i * kHeadDim}; };
  const Operand q = part(0), k = part(1), v = part(2), dout{args.dout, args.heads * kHeadDim, kHeadDim, 0};
  WalkArgs walked{.decay = args.decay,
                  .cu_seqlens = args.cu_seqlens,
                  .tokens = args.tokens,
                  .seqs = args.seqs,
                  .heads = args.heads};
  walked.q = dout, walked.k = v, walked.v = k, walked.out = gradient(0);
  if (Failure wrong = walk<false, true>(walked, stream)) return wrong;
  walked.q = v, walked.k = dout, walked.v = q, walked.out = gradient(1);
  if (Failure wrong = walk<true, true>(walked, stream)) return wrong;
  walked.q = k, walked.k = q, walked.v = dout, walked.out = gradient(2);
  return walk<true, true>(walked, stream);
}

}  // namespace minimax::cuda
