// Lightning attention of packed sequences on Hopper's tensor cores, anchored to absolute chunks: the walk of
// lightning_walk.cuh from the state and the window that a cache holds.
#include "cuda/kernels/lightning_walk.cuh"

namespace minimax::cuda {

Failure lightning(const LightningArgs& args, Stream stream) {
  if (Failure wrong = check_lightning(args)) return wrong;
  if (args.tokens == 0 || args.seqs == 0) return nullptr;
  if (args.head_dim != kHeadDim || !on_hopper()) return lightning_simple(args, stream);
  const int64_t columns = args.heads * 3 * kHeadDim;
  const WalkArgs walked{.q = {args.qkv, columns, 3 * kHeadDim, 0},
                        .k = {args.qkv, columns, 3 * kHeadDim, kHeadDim},
                        .v = {args.qkv, columns, 3 * kHeadDim, 2 * kHeadDim},
                        .out = {args.out, args.heads * kHeadDim, kHeadDim, 0},
                        .decay = args.decay,
                        .positions = args.positions,
                        .cu_seqlens = args.cu_seqlens,
                        .slots = args.slots,
                        .state = args.state,
                        .k_window = args.k_window,
                        .v_window = args.v_window,
                        .tokens = args.tokens,
                        .seqs = args.seqs,
                        .heads = args.heads};
  const bool wide = args.out_type == Type::kFloat32;
  if (Failure wrong = wide ? walk<false, true>(walked, stream) : walk<false, false>(walked, stream)) return wrong;
  return args.slots ? lightning_keep_window(args, stream) : nullptr;
}

}  // namespace minimax::cuda
