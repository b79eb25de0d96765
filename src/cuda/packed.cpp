#include "cuda/packed.h"

#include <algorithm>

#include "cuda/expert_order.h"
#include "cuda/op_support.h"
#include "cuda/packed_words.h"
#include "cuda/product.h"

namespace minimax::cuda {
namespace {

/// Rows of activations as integers, or room for them.
struct Codes15 {
  Codes15(const Context& ctx, int64_t rows, int64_t k)
      : codes(ctx.empty({rows, 2 * quant::padded_inputs(k)}, DType::kUInt8)),
        scales(ctx.empty({rows, quant::block_count(k)})),
        sums(ctx.empty({rows, quant::group_count(k)}, DType::kInt32)),
        args{static_cast<int8_t*>(codes.raw()), floats(scales), indices(sums)} {}
  Codes15(const Context& ctx, const Tensor& x) : Codes15(ctx, x.dim(0), x.dim(1)) {
    Gpu& gpu = gpu_of(ctx);
    gpu.check(gpu.op().quantize_rows(floats(x), x.dim(0), x.dim(1), args, gpu.stream()));
  }
  Tensor codes, scales, sums;
  QuantizedRows args;
};

/// x as the left operand of packed products. With `order` its rows are those of the sorted pairs.
Tensor operand_of(const Context& ctx, const Tensor& x, int64_t parts, const Order* order = nullptr, int64_t top_k = 1) {
  const int64_t rows = order ? order->rows() : x.dim(0);
  const Tensor out = ctx.empty({rows, parts * packed::packed_columns(x.dim(1))}, DType::kBFloat16);
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().packed_operand(floats(x), rows, x.dim(1), parts, order ? order->args : ExpertOrder{},
                                    order ? order->experts : 0, top_k, out.raw(), gpu.stream()));
  return out;
}

/// a: an operand of one part or several, or float32 rows for an exact product.
void multiply(const Context& ctx, const Tensor& a, int64_t parts, quant::Format format, ProductArgs args) {
  Gpu& gpu = gpu_of(ctx);
  args.a = a.raw();
  args.a_type = type_of(a);
  args.a_parts = parts;
  args.a_part_columns = packed::packed_columns(args.k);
  if (args.a_type == Type::kFloat32) {
    gpu.check(gpu.op().packed_product_simple({args, format}, gpu.stream()));
    return;
  }
  const Tensor next_tile = tiles_in_turn(ctx, args);
  gpu.check(gpu.op().packed_product({args, format}, gpu.stream()));
}

/// Equal packed matrices of the experts; the stride in bytes.
struct PackedStack {
  const void* first = nullptr;
  int64_t stride = 0;
  quant::Format format = quant::Format::kQ8;
};
PackedStack stack_of(std::span<const PackedExpert> experts, const Weight* PackedExpert::* which) {
  const auto address = [&](size_t e) { return static_cast<const char*>((experts[e].*which)->data.raw()); };
  const Weight& one = *(experts[0].*which);
  const int64_t stride = experts.size() > 1 ? address(1) - address(0) : one.data.bytes();
  for (size_t e = 0; e < experts.size(); ++e)
    MM_CHECK((experts[e].*which)->format == one.format && one.format &&
                 address(e) - address(0) == static_cast<int64_t>(e) * stride,
             "packed experts on a GPU: the matrices of expert ", e,
             " have another format or distance than those of the others");
  MM_CHECK(static_cast<int64_t>(experts.size()) <= kMaxGroups, "packed experts on a GPU: ", experts.size(),
           " experts, expected at most ", kMaxGroups);
  return {one.data.raw(), stride, *one.format};
}

}  // namespace

void packed_linear(const Context& ctx, const Tensor& x, const Weight& weight, Operand operand, const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  const int64_t rows = x.dim(0), n = weight.outputs(), k = weight.inputs();
  if (operand != Operand::kExact && !ctx.deterministic && rows <= kFewRows) {
    const Codes15 codes(ctx, x);
    gpu.check(
        gpu.op().packed_few_rows(codes.args, weight.data.raw(), *weight.format, floats(out), rows, n, k, gpu.stream()));
    return;
  }
  const int64_t parts = operand == Operand::kTwoParts || k <= kFewTerms ? 2 : 1;
  const Tensor a = operand == Operand::kExact ? x : operand_of(ctx, x, parts);
  multiply(ctx, a, parts, *weight.format, {.b = weight.data.raw(), .out = floats(out), .m = rows, .n = n, .k = k});
}

void packed_experts(const Context& ctx, const Tensor& x, const Tensor& chosen, const Tensor& weights,
                    std::span<const PackedExpert> experts, const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  const int64_t hidden = x.dim(1), ffn = experts[0].gate->outputs(), top_k = chosen.dim(1), pairs = chosen.elements();
  if (x.dim(0) == 0) return;
  const PackedStack gate = stack_of(experts, &PackedExpert::gate), up = stack_of(experts, &PackedExpert::up);
  const PackedStack down = stack_of(experts, &PackedExpert::down);
  MM_CHECK(gate.format == up.format, "packed experts on a GPU: gate is ", quant::name(gate.format), ", up ",
           quant::name(up.format));
  if (rounds(ctx) && !ctx.deterministic && pairs <= kFewRows) {
    const Tensor hidden_rows = ctx.empty({pairs, ffn});
    const Codes15 x_codes(ctx, x), h_codes(ctx, pairs, ffn);
    gpu.check(gpu.op().packed_expert_rows({.chosen = indices(chosen),
                                           .weights = floats(weights),
                                           .gate = gate.first,
                                           .up = up.first,
                                           .down = down.first,
                                           .gate_stride = gate.stride,
                                           .up_stride = up.stride,
                                           .down_stride = down.stride,
                                           .format = gate.format,
                                           .down_format = down.format,
                                           .x = x_codes.args,
                                           .hidden_rows = floats(hidden_rows),
                                           .h = h_codes.args,
                                           .out = floats(out),
                                           .tokens = x.dim(0),
                                           .top_k = top_k,
                                           .hidden = hidden,
                                           .ffn = ffn},
                                          gpu.stream()));
    return;
  }
  const bool rounded = rounds(ctx) && std::min(hidden, ffn) > kFewTerms;
  const Order order(ctx, chosen, static_cast<int64_t>(experts.size()), 1);
  const Tensor sorted =
      rounded ? operand_of(ctx, x, 1, &order, top_k) : gather_pairs(ctx, x, order, top_k, {}, Type::kFloat32);
  const Tensor h = rounded ? ctx.empty({order.rows(), packed::packed_columns(ffn)}, DType::kBFloat16)
                           : ctx.empty({order.rows(), ffn});
  ProductArgs args{.b = gate.first,
                   .out = h.raw(),
                   .out_type = type_of(h),
                   .m = order.rows(),
                   .n = ffn,
                   .k = hidden,
                   .b2 = up.first,
                   .groups = order.experts,
                   .group_starts = indices(order.starts),
                   .b_group_stride = gate.stride,
                   .b2_group_stride = up.stride};
  multiply(ctx, sorted, 1, gate.format, args);
  const Tensor y = ctx.empty({order.rows(), hidden});
  multiply(ctx, h, 1, down.format,
           {.b = down.first,
            .out = y.raw(),
            .m = order.rows(),
            .n = hidden,
            .k = ffn,
            .groups = order.experts,
            .group_starts = indices(order.starts),
            .b_group_stride = down.stride});
  combine_pairs(ctx, y, order, weights, top_k, out);
}

void packed_embedding(const Context& ctx, const Weight& table, const Tensor& tokens, const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  gpu.check(gpu.op().packed_take_rows(table.data.raw(), *table.format, table.outputs(), indices(tokens), floats(out),
                                      tokens.dim(0), table.inputs(), gpu.stream()));
}

}  // namespace minimax::cuda
