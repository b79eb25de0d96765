#include "cpu/linear.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "cpu/isa.h"

namespace minimax::cpu {
namespace {

/// About this many weight bytes make one thread's piece: large against the cost of handing it out, small enough that
/// the threads end together.
constexpr int64_t kPieceBytes = 256 * 1024;
/// Outputs of a piece are a multiple of this, so that only the last piece has an odd tail for the register tiles.
constexpr int64_t kPieceStep = 64;

struct Piece {
  const Product* product;
  int64_t begin, end;  // outputs
};

/// One for each thread that ever multiplies, for as long as the thread lives.
void* scratch() {
  struct alignas(64) Block {
    char bytes[kMatmulScratchBytes];
  };
  thread_local const std::unique_ptr<Block> block(new Block);
  return block->bytes;
}

}  // namespace

void multiply(const Context& ctx, std::span<const Product> products) {
  const Kernels& k = kernels();
  std::vector<Piece> pieces;
  std::vector<Tensor> rounded(products.size());  // bf16 activations, where that precision is asked for and there
  for (size_t p = 0; p < products.size(); ++p) {
    const Product& product = products[p];
    if (product.rows == 0) continue;
    const Tensor& w = *product.weight;
    const int64_t row_bytes = std::max<int64_t>(1, w.dim(1) * size_of(w.dtype()));
    const int64_t step = std::max(kPieceStep, kPieceBytes / row_bytes / kPieceStep * kPieceStep);
    for (int64_t o = 0; o < w.dim(0); o += step) pieces.push_back({&product, o, std::min(o + step, w.dim(0))});
    if (ctx.matmul_precision == MatmulPrecision::kBFloat16 && w.dtype() == DType::kBFloat16 && k.has_bf16_dot) {
      rounded[p] = ctx.arena->empty({product.rows, w.dim(1)}, DType::kBFloat16);
      k.round_bf16(product.x, product.rows * w.dim(1), reinterpret_cast<uint16_t*>(rounded[p].raw()));
    }
  }
  ctx.threads->parallel_for(static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Product& product = *pieces[i].product;
      const Tensor& w = *product.weight;
      const Tensor& x16 = rounded[&product - products.data()];
      const Tensor weights = w.rows(pieces[i].begin, pieces[i].end);
      MatmulArgs args{.w = weights.raw(),
                      .x = product.x,
                      .y = product.y + pieces[i].begin,
                      .outputs = weights.dim(0),
                      .rows = product.rows,
                      .k = w.dim(1),
                      .y_stride = w.dim(0),
                      .scratch = scratch()};
      if (x16.defined()) {
        args.x = x16.raw();
        k.matmul_bf16_bf16(args);
        continue;
      }
      switch (w.dtype()) {
        case DType::kFloat32:
          k.matmul_f32(args);
          break;
        case DType::kBFloat16:
          k.matmul_bf16(args);
          break;
        case DType::kFloat16:
          k.matmul_f16(args);
          break;
        default:
          throw Error(ErrorKind::kInvalidArgument, cat("weight is ", w.dtype(), ", expected F32, BF16 or F16"));
      }
    }
  });
}

void linear(const Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& out) {
  const Product product{&weight, x.data<float>(), x.dim(0), out.data<float>()};
  multiply(ctx, {&product, 1});
}

}  // namespace minimax::cpu
