#include "cuda/sequence_ops.h"

#include <cmath>
#include <vector>

#include "core/chunk.h"
#include "cuda/op_support.h"

namespace minimax::cuda {
namespace {

float score_scale(int64_t head_dim) {
  return 1.0f / std::sqrt(static_cast<float>(head_dim));
}

}  // namespace

DType page_dtype(const Context& ctx) {
  return rounds(ctx) ? DType::kBFloat16 : DType::kFloat32;
}
DType window_dtype(const Context& ctx, int64_t head_dim) {
  return rounds(ctx) && head_dim == 128 && gpu_of(ctx).hopper() ? DType::kBFloat16 : DType::kFloat32;
}

void store_kv(const Context& ctx, const Tensor& k, const Tensor& v, const Tensor& positions, const Tensor& cu_seqlens,
              const Tensor& page_table, const Tensor& k_pages, const Tensor& v_pages) {
  Gpu& gpu = gpu_of(ctx);
  MM_CHECK(k_pages.dtype() == v_pages.dtype(), "keys are ", k_pages.dtype(), ", values ", v_pages.dtype());
  gpu.check(gpu.op().store_kv(floats(k), floats(v), indices(positions), indices(cu_seqlens), indices(page_table),
                              k_pages.raw(), v_pages.raw(), type_of(k_pages), k.dim(0), cu_seqlens.dim(0) - 1,
                              k_pages.dim(1), k_pages.dim(3), page_table.dim(1), gpu.stream()));
}

void attention(const Context& ctx, const Tensor& q, const Tensor& positions, const Tensor& cu_seqlens,
               const Tensor& page_table, const Tensor& k_pages, const Tensor& v_pages, int64_t longest,
               const Tensor& out, const Tensor& log_sums) {
  Gpu& gpu = gpu_of(ctx);
  const int64_t kv_heads = k_pages.dim(1), head_dim = k_pages.dim(3), heads = q.dim(1) / head_dim;
  const int64_t seqs = cu_seqlens.dim(0) - 1, max_pages = page_table.dim(1);
  const bool one_each = q.dim(0) == seqs && !log_sums.defined();
  if (one_each && !ctx.deterministic && k_pages.dtype() == DType::kBFloat16 && head_dim == 128 &&
      heads == 8 * kv_heads) {
    const Tensor rounded = cast(ctx, q, Type::kBFloat16), result = ctx.empty(q.shape(), DType::kBFloat16);
    const int64_t bytes = attention_workspace_bytes(seqs, heads, head_dim, max_pages);
    const Tensor workspace = ctx.empty({bytes / static_cast<int64_t>(sizeof(float))});
    gpu.check(gpu.kernels().attention_decode({.q = rounded.raw(),
                                              .k_pages = k_pages.raw(),
                                              .v_pages = v_pages.raw(),
                                              .page_table = indices(page_table),
                                              .positions = indices(positions),
                                              .out = result.raw(),
                                              .workspace = floats(workspace),
                                              .seqs = seqs,
                                              .heads = heads,
                                              .kv_heads = kv_heads,
                                              .head_dim = head_dim,
                                              .max_pages = max_pages,
                                              .scale = score_scale(head_dim)},
                                             gpu.stream()));
    gpu.check(gpu.op().cast(result.raw(), Type::kBFloat16, out.raw(), Type::kFloat32, out.elements(), gpu.stream()));
    return;
  }
  gpu.check(gpu.op().attention({.q = floats(q),
                                .k_pages = k_pages.raw(),
                                .v_pages = v_pages.raw(),
                                .type = type_of(k_pages),
                                .page_table = indices(page_table),
                                .positions = indices(positions),
                                .cu_seqlens = indices(cu_seqlens),
                                .out = floats(out),
                                .log_sums = log_sums.defined() ? floats(log_sums) : nullptr,
                                .tokens = q.dim(0),
                                .seqs = seqs,
                                .heads = heads,
                                .kv_heads = kv_heads,
                                .head_dim = head_dim,
                                .max_pages = max_pages,
                                .longest = longest,
                                .scale = score_scale(head_dim)},
                               gpu.stream()));
}

void attention_backward(const Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                        const Tensor& dout, const Tensor& log_sums, int64_t head_dim, const Tensor& cu_seqlens,
                        int64_t longest, const Tensor& dq, const Tensor& dk, const Tensor& dv) {
  Gpu& gpu = gpu_of(ctx);
  const Tensor dots = ctx.empty(log_sums.shape());
  gpu.check(gpu.op().attention_backward({.q = floats(q),
                                         .k = floats(k),
                                         .v = floats(v),
                                         .out = floats(out),
                                         .dout = floats(dout),
                                         .log_sums = floats(log_sums),
                                         .dots = floats(dots),
                                         .dq = floats(dq),
                                         .dk = floats(dk),
                                         .dv = floats(dv),
                                         .cu_seqlens = indices(cu_seqlens),
                                         .exact = !rounds(ctx),
                                         .tokens = q.dim(0),
                                         .seqs = cu_seqlens.dim(0) - 1,
                                         .heads = q.dim(1) / head_dim,
                                         .kv_heads = k.dim(1) / head_dim,
                                         .head_dim = head_dim,
                                         .longest = longest,
                                         .scale = score_scale(head_dim)},
                                        gpu.stream()));
}

void lightning(const Context& ctx, const Tensor& qkv, const Tensor& decay, const Tensor& positions,
               const Tensor& cu_seqlens, const Tensor& slots, const Tensor& state, const Tensor& k_window,
               const Tensor& v_window, const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  const int64_t heads = decay.dim(0), head_dim = out.dim(1) / heads, seqs = cu_seqlens.dim(0) - 1;
  const bool cached = slots.defined();
  const DType dtype = cached ? k_window.dtype() : window_dtype(ctx, head_dim);
  // What both kinds of kernels are told alike.
  const auto describe = [&](auto& args) {
    args.decay = floats(decay);
    args.positions = indices(positions);
    args.cu_seqlens = indices(cu_seqlens);
    if (cached) {
      args.slots = indices(slots);
      args.state = floats(state);
    }
    args.tokens = qkv.dim(0);
    args.seqs = seqs;
    args.heads = heads;
    args.head_dim = head_dim;
  };
  if (dtype == DType::kFloat32) {
    // One token of each sequence has a kernel of its own, which adds in another order than prefill.
    const bool decode =
        cached && qkv.dim(0) == seqs && !ctx.deterministic && (head_dim == 32 || head_dim == 64 || head_dim == 128);
    const auto kernel = decode ? gpu.op().lightning_float_decode : gpu.op().lightning_float;
    LightningFloatArgs args{.qkv = floats(qkv), .out = floats(out)};
    describe(args);
    if (cached) {
      args.k_window = floats(k_window);
      args.v_window = floats(v_window);
    }
    gpu.check(kernel(args, gpu.stream()));
    return;
  }
  const Tensor rounded = cast(ctx, qkv, Type::kBFloat16);
  LightningArgs args{.qkv = rounded.raw(), .out = floats(out), .out_type = Type::kFloat32};
  describe(args);
  if (cached) {
    args.k_window = k_window.raw();
    args.v_window = v_window.raw();
  }
  // Decode adds in another order than prefill.
  const bool decode = cached && qkv.dim(0) == seqs && head_dim == 128 && !ctx.deterministic;
  gpu.check(decode ? gpu.kernels().lightning_decode(args, gpu.stream()) : gpu.kernels().lightning(args, gpu.stream()));
}

void lightning_backward(const Context& ctx, const Tensor& qkv, const Tensor& decay, const Tensor& cu_seqlens,
                        const Tensor& host_cu_seqlens, const Tensor& dout, const Tensor& dqkv) {
  Gpu& gpu = gpu_of(ctx);
  const int64_t heads = decay.dim(0), head_dim = dout.dim(1) / heads, seqs = cu_seqlens.dim(0) - 1;
  if (rounds(ctx) && head_dim == 128 && gpu.hopper()) {
    const Tensor rounded = cast(ctx, qkv, Type::kBFloat16), rounded_dout = cast(ctx, dout, Type::kBFloat16);
    gpu.check(gpu.kernels().lightning_gradient({.qkv = rounded.raw(),
                                                .dout = rounded_dout.raw(),
                                                .dqkv = floats(dqkv),
                                                .decay = floats(decay),
                                                .cu_seqlens = indices(cu_seqlens),
                                                .tokens = qkv.dim(0),
                                                .seqs = seqs,
                                                .heads = heads,
                                                .head_dim = head_dim},
                                               gpu.stream()));
    return;
  }
  std::vector<int32_t> chunk_starts = {0};
  for (int64_t seq = 0; seq < seqs; ++seq) {
    const int32_t* starts = host_cu_seqlens.data<int32_t>() + seq;
    chunk_starts.push_back(chunk_starts.back() + static_cast<int32_t>((starts[1] - starts[0] + kChunk - 1) / kChunk));
  }
  const int64_t chunks = chunk_starts.back();
  const Tensor starts = to_memory(Tensor::from(std::span<const int32_t>(chunk_starts), {seqs + 1}), ctx.gpu);
  const Tensor states = ctx.empty({chunks, heads, head_dim, head_dim}), dstates = ctx.empty(states.shape());
  gpu.check(gpu.op().lightning_backward({.qkv = floats(qkv),
                                         .decay = floats(decay),
                                         .dout = floats(dout),
                                         .dqkv = floats(dqkv),
                                         .cu_seqlens = indices(cu_seqlens),
                                         .chunk_starts = indices(starts),
                                         .states = floats(states),
                                         .dstates = floats(dstates),
                                         .exact = !rounds(ctx),
                                         .tokens = qkv.dim(0),
                                         .seqs = seqs,
                                         .chunks = chunks,
                                         .heads = heads,
                                         .head_dim = head_dim},
                                        gpu.stream()));
}

}  // namespace minimax::cuda
