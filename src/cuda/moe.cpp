#include "cuda/moe.h"

#include <algorithm>
#include <vector>

#include "cuda/expert_order.h"
#include "cuda/op_support.h"
#include "cuda/product.h"

namespace minimax::cuda {

void route(const Context& ctx, const Tensor& router_logits, const Tensor& chosen, const Tensor& weights) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().route(floats(router_logits), indices(chosen), floats(weights), router_logits.dim(0),
                           router_logits.dim(1), chosen.dim(1), gpu.stream()));
}

void route_to(const Context& ctx, const Tensor& router_logits, const Tensor& chosen, const Tensor& weights) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().route_to(floats(router_logits), indices(chosen), floats(weights), router_logits.dim(0),
                              router_logits.dim(1), chosen.dim(1), gpu.stream()));
}

void count_flips(const Context& ctx, const Tensor& a, const Tensor& b, const Tensor& count) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().count_flips(indices(a), indices(b), indices(count), a.dim(0), a.dim(1), gpu.stream()));
}

void add_entropy(const Context& ctx, const Tensor& router_logits, const Tensor& sum) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().add_entropy(floats(router_logits), on_device<double>(sum), router_logits.dim(0),
                                 router_logits.dim(1), gpu.stream()));
}

void route_backward(const Context& ctx, const Tensor& chosen, const Tensor& weights, const Tensor& dweights,
                    const Tensor& dlogits_sum) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().route_backward(indices(chosen), floats(weights), floats(dweights), floats(dlogits_sum),
                                    chosen.dim(0), dlogits_sum.dim(1), chosen.dim(1), gpu.stream()));
}

void balance_loss(const Context& ctx, const Tensor& router_logits, const Tensor& chosen, const Tensor& loss,
                  const Tensor& shares) {
  Gpu& gpu = gpu_of(ctx);
  const Tensor workspace = ctx.empty({kBalanceParts, router_logits.dim(1)});
  gpu.check(gpu.op().balance(floats(router_logits), indices(chosen), floats(loss), floats(shares), floats(workspace),
                             router_logits.dim(0), router_logits.dim(1), chosen.dim(1), gpu.stream()));
}

void balance_loss_backward(const Context& ctx, const Tensor& router_logits, const Tensor& shares, const Tensor& dloss,
                           const Tensor& dlogits) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().balance_backward(floats(router_logits), floats(shares), floats(dloss), floats(dlogits),
                                      router_logits.dim(0), router_logits.dim(1), gpu.stream()));
}

namespace {

/// Equal matrices of the experts: the first one, and how far it is to the next.
struct Stack {
  const void* first = nullptr;
  int64_t stride = 0;  // elements
  Type type = Type::kFloat32;
};

Stack stack_of(std::span<const ExpertTensors> experts, const Tensor* ExpertTensors::* which) {
  const auto address = [&](size_t e) { return static_cast<const char*>((experts[e].*which)->raw()); };
  const Tensor& one = *(experts[0].*which);
  const int64_t size = size_of(one.dtype());
  const int64_t stride = experts.size() > 1 ? address(1) - address(0) : one.bytes();
  for (size_t e = 0; e < experts.size(); ++e)
    MM_CHECK((experts[e].*which)->dtype() == one.dtype() && address(e) - address(0) == static_cast<int64_t>(e) * stride,
             "experts on a GPU: the matrices of expert ", e, " do not lie at the distance of the others");
  MM_CHECK(static_cast<int64_t>(experts.size()) <= kMaxGroups, "experts on a GPU: ", experts.size(),
           " experts, expected at most ", kMaxGroups);
  return {one.raw(), stride / size, type_of(one)};
}

struct Stacks {
  Stack gate, up, down;
};
Stacks stacks_of(std::span<const ExpertTensors> experts) {
  return {stack_of(experts, &ExpertTensors::gate), stack_of(experts, &ExpertTensors::up),
          stack_of(experts, &ExpertTensors::down)};
}

/// rows [capacity, k] times each group's own matrix.
ProductArgs grouped(const Tensor& rows, const Stack& stack, bool transposed, const Order& order, const Tensor& out) {
  return {.a = rows.raw(),
          .b = stack.first,
          .out = out.raw(),
          .a_type = type_of(rows),
          .b_type = stack.type,
          .out_type = type_of(out),
          .b_transposed = transposed,
          .m = rows.dim(0),
          .n = out.dim(1),
          .k = rows.dim(1),
          .groups = order.experts,
          .group_starts = indices(order.starts),
          .b_group_stride = stack.stride};
}

/// sums[e] += left^T right over the rows of group e.
void add_outer(const Context& ctx, const Tensor& left, const Tensor& right, const Order& order,
               const std::vector<Tensor>& sums) {
  ProductArgs args{.a = left.raw(),
                   .b = right.raw(),
                   .a_type = type_of(left),
                   .b_type = type_of(right),
                   .a_transposed = true,
                   .b_transposed = true,
                   .m = left.dim(1),
                   .n = right.dim(1),
                   .k = left.dim(0),
                   .groups = order.experts,
                   .group_starts = indices(order.starts),
                   .groups_are_terms = true};
  for (size_t e = 0; e < sums.size(); ++e) args.group_outs[e] = floats(sums[e]);
  run_product(ctx, args);
}

}  // namespace

void experts(const Context& ctx, const Tensor& x, const Tensor& chosen, const Tensor& weights,
             std::span<const ExpertTensors> experts, const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  const int64_t hidden = x.dim(1), ffn = experts[0].gate->dim(0), top_k = chosen.dim(1);
  if (x.dim(0) == 0) return;
  const auto [gate, up, down] = stacks_of(experts);
  if (may_take_few_rows(ctx, chosen.elements(), hidden) && ffn % 8 == 0) {
    const Tensor hidden_rows = ctx.empty({chosen.elements(), ffn});
    gpu.check(gpu.op().expert_rows({.x = floats(x),
                                    .chosen = indices(chosen),
                                    .weights = floats(weights),
                                    .gate = gate.first,
                                    .up = up.first,
                                    .down = down.first,
                                    .gate_stride = gate.stride,
                                    .up_stride = up.stride,
                                    .down_stride = down.stride,
                                    .type = gate.type,
                                    .hidden_rows = floats(hidden_rows),
                                    .out = floats(out),
                                    .tokens = x.dim(0),
                                    .top_k = top_k,
                                    .hidden = hidden,
                                    .ffn = ffn},
                                   gpu.stream()));
    return;
  }
  const bool rounded = rounds(ctx) && gate.type == Type::kBFloat16 && std::min(hidden, ffn) > kFewTerms;
  const Type type = rounded ? Type::kBFloat16 : Type::kFloat32;
  const Order order(ctx, chosen, static_cast<int64_t>(experts.size()), 1);
  const Tensor sorted = gather_pairs(ctx, x, order, top_k, {}, type);
  const Tensor h = ctx.empty({order.rows(), ffn}, dtype_of(type));
  ProductArgs args = grouped(sorted, gate, false, order, h);
  args.b2 = up.first;
  args.b2_group_stride = up.stride;
  run_product(ctx, args);
  const Tensor y = ctx.empty({order.rows(), hidden});
  run_product(ctx, grouped(h, down, false, order, y));
  combine_pairs(ctx, y, order, weights, top_k, out);
}

void experts_backward(const Context& ctx, const Tensor& x, const Tensor& chosen, const Tensor& weights,
                      std::span<const ExpertTensors> experts, const Tensor& dout, const Tensor& dx,
                      const Tensor& dweights, const ExpertSums& sums) {
  Gpu& gpu = gpu_of(ctx);
  const int64_t hidden = x.dim(1), ffn = experts[0].gate->dim(0), top_k = chosen.dim(1);
  if (x.dim(0) == 0) return;
  const auto [gate, up, down] = stacks_of(experts);
  const Type type = rounds(ctx) && gate.type == Type::kBFloat16 ? Type::kBFloat16 : Type::kFloat32;
  const Order order(ctx, chosen, static_cast<int64_t>(experts.size()), kGroupAlign);
  const int64_t rows = order.rows();

  // The forward again.
  const Tensor sorted = gather_pairs(ctx, x, order, top_k, {}, type);
  const Tensor gates = ctx.empty({rows, ffn}), ups = ctx.empty({rows, ffn}), y = ctx.empty({rows, hidden});
  run_product(ctx, grouped(sorted, gate, false, order, gates));
  run_product(ctx, grouped(sorted, up, false, order, ups));
  const Tensor h = ctx.empty({rows, ffn}, dtype_of(type));
  gpu.check(gpu.op().silu_mul(floats(gates), floats(ups), h.raw(), type, h.elements(), gpu.stream()));
  run_product(ctx, grouped(h, down, false, order, y));
  gpu.check(gpu.op().pair_dots(floats(dout), floats(y), indices(order.row_of), floats(dweights), chosen.elements(),
                               top_k, hidden, gpu.stream()));

  const Tensor dy = gather_pairs(ctx, dout, order, top_k, weights, type);
  const Tensor dh = ctx.empty({rows, ffn});
  run_product(ctx, grouped(dy, down, true, order, dh));
  const Tensor dgates = ctx.empty({rows, ffn}, dtype_of(type)), dups = ctx.empty({rows, ffn}, dtype_of(type));
  gpu.check(gpu.op().silu_mul_backward(floats(gates), floats(ups), floats(dh), dgates.raw(), dups.raw(), type,
                                       dh.elements(), gpu.stream()));
  const Tensor dsorted = ctx.empty({rows, hidden});
  run_product(ctx, grouped(dgates, gate, true, order, dsorted));
  ProductArgs more = grouped(dups, up, true, order, dsorted);
  more.accumulate = true;
  run_product(ctx, more);
  combine_pairs(ctx, dsorted, order, {}, top_k, dx);

  std::vector<Tensor> gate_sums, up_sums, down_sums;
  for (size_t e = 0; e < experts.size(); ++e) {
    const ExpertSum sum = sums(static_cast<int64_t>(e));
    gate_sums.push_back(sum.gate);
    up_sums.push_back(sum.up);
    down_sums.push_back(sum.down);
  }
  add_outer(ctx, dy, h, order, down_sums);
  add_outer(ctx, dgates, sorted, order, gate_sums);
  add_outer(ctx, dups, sorted, order, up_sums);
}

void mix_shared(const Context& ctx, const Tensor& logits, const Tensor& routed, const Tensor& shared,
                const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().mix_shared(floats(logits), floats(routed), floats(shared), floats(out), out.dim(0), out.dim(1),
                                gpu.stream()));
}

void mix_shared_backward(const Context& ctx, const Tensor& logits, const Tensor& routed, const Tensor& shared,
                         const Tensor& dout, const Tensor& dlogits, const Tensor& drouted, const Tensor& dshared) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().mix_shared_backward(floats(logits), floats(routed), floats(shared), floats(dout), floats(dlogits),
                                         floats(drouted), floats(dshared), dout.dim(0), dout.dim(1), gpu.stream()));
}

}  // namespace minimax::cuda
