#include "cuda/matmul.h"

#include "cuda/op_support.h"
#include "cuda/product.h"

namespace minimax::cuda {
namespace {

constexpr int64_t kThinOutputs = 96;
/// Rows from which on Hopper's tensor cores, which round them, read a bfloat16 weight faster: 24576 x 6144 in 0.086 ms
/// for 2 rows and 0.159 for 4 by the kernel for few rows, 0.143 for any up to 64 by the other (H200).
constexpr int64_t kRowsForTensorCores = 3;

/// x [rows, columns] side by side with what its rounding lost.
Tensor in_parts(const Context& ctx, const Tensor& x, int64_t parts, int64_t padded) {
  const Tensor out = ctx.empty({x.dim(0), parts * padded}, DType::kBFloat16);
  Gpu::check(gpu_of(ctx).op().split(floats(x), x.dim(0), x.dim(1), parts, padded, out.raw(), gpu_of(ctx).stream()));
  return out;
}

}  // namespace

void linear(const Context& ctx, const Tensor& x, const Tensor& weight, Operand operand, const Tensor& out) {
  Gpu& gpu = gpu_of(ctx);
  const int64_t rows = x.dim(0), n = weight.dim(0), k = weight.dim(1);
  const Type type = type_of(weight);
  const bool tensor_cores = type == Type::kBFloat16 && operand != Operand::kExact && gpu.hopper();
  if (may_take_few_rows(ctx, rows, k) && !(tensor_cores && rows >= kRowsForTensorCores)) {
    gpu.check(gpu.op().few_rows_product(floats(x), weight.raw(), type, floats(out), rows, n, k, gpu.stream()));
    return;
  }
  if (type == Type::kFloat32 && n <= kThinOutputs && k % 4 == 0) {
    gpu.check(gpu.op().thin_product(floats(x), floats(weight), floats(out), rows, n, k, gpu.stream()));
    return;
  }
  ProductArgs args{.b = weight.raw(), .out = out.raw(), .b_type = type, .m = rows, .n = n, .k = k};
  Tensor a = x;
  if (operand == Operand::kRounded && k <= kFewTerms) operand = Operand::kTwoParts;
  if (type == Type::kBFloat16 && operand == Operand::kRounded) {
    a = cast(ctx, x, Type::kBFloat16);
  } else if (type == Type::kBFloat16 && gpu.hopper() && k % 8 == 0) {
    args.a_parts = operand == Operand::kTwoParts ? 2 : 3;
    args.a_part_columns = (k + 63) / 64 * 64;
    a = in_parts(ctx, x, args.a_parts, args.a_part_columns);
  }
  args.a = a.raw();
  args.a_type = type_of(a);
  run_product(ctx, args);
}

void linear_backward(const Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& dy, const Tensor& dx,
                     const Tensor& dweight_sum) {
  const int64_t rows = x.dim(0), n = weight.dim(0), k = weight.dim(1);
  // A float32 weight, a router's, is rounded too: sums over all rows want tensor cores.
  const Type type = rounds(ctx) ? Type::kBFloat16 : Type::kFloat32;
  const Tensor left = cast(ctx, dy, type), right = cast(ctx, x, type);
  const Tensor matrix = rounds(ctx) ? cast(ctx, weight, type) : weight;
  run_product(ctx, {.a = left.raw(),
                    .b = matrix.raw(),
                    .out = dx.raw(),
                    .a_type = type,
                    .b_type = type_of(matrix),
                    .b_transposed = true,
                    .m = rows,
                    .n = k,
                    .k = n});
  run_product(ctx, {.a = left.raw(),
                    .b = right.raw(),
                    .out = dweight_sum.raw(),
                    .a_type = type,
                    .b_type = type,
                    .a_transposed = true,
                    .b_transposed = true,
                    .accumulate = true,
                    .m = n,
                    .n = k,
                    .k = rows});
}

}  // namespace minimax::cuda
