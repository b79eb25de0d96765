#include "cpu/linear.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "cpu/isa.h"
#include "cpu/packed.h"
#include "cpu/scratch.h"

namespace minimax::cpu {
namespace {

/// Outputs of a piece: multiples of 16, so that only the last piece has an odd tail for the register tiles.
constexpr int64_t kPieceStep = 16;
/// Enough that with many rows x is read from far away seldom (a cache block of the kernel), ...
constexpr int64_t kPieceOutputs = 128;
/// ... and with few rows memory is read in long streams.
constexpr int64_t kPieceBytes = 4 * 1024 * 1024;
/// But each thread should have some pieces to take, so that all end together.
constexpr int64_t kPiecesPerThread = 8;

/// Few rows of a packed weight: each thread reads one long stretch, then short ones until all are done.
constexpr int64_t kFewPackedRows = 8;
constexpr double kLongStretches = 0.75;

struct Piece {
  const Product* product;
  int64_t begin, end;  // outputs
};

int64_t outputs_of_piece(const Tensor& weight, int64_t all_outputs, int threads) {
  const int64_t row_bytes = std::max<int64_t>(1, weight.dim(1) * size_of(weight.dtype()));
  const int64_t wanted = std::max(kPieceOutputs, kPieceBytes / row_bytes);
  const int64_t fair = all_outputs / (threads * kPiecesPerThread);
  return std::max(kPieceStep, std::min(wanted, fair) / kPieceStep * kPieceStep);
}

void cut_dense(const Product& product, int64_t all_outputs, int threads, std::vector<Piece>& pieces) {
  const int64_t outputs = product.weight->outputs(),
                step = outputs_of_piece(product.weight->data, all_outputs, threads);
  for (int64_t o = 0; o < outputs; o += step) pieces.push_back({&product, o, std::min(o + step, outputs)});
}

/// In whole panels, long stretches and short ones.
void cut_packed(const Product& product, int threads, std::vector<Piece>& stretches, std::vector<Piece>& rest) {
  const int64_t outputs = product.weight->outputs(), panels = quant::panel_count(outputs);
  const bool few = product.rows <= kFewPackedRows;
  const int64_t share = panels / threads;
  const int64_t stretch = few ? static_cast<int64_t>(kLongStretches * static_cast<double>(share)) : 0;
  const int64_t step = std::max<int64_t>(1, (few ? share - stretch : share) / (few ? 3 : kPiecesPerThread));
  for (int64_t begin = 0; begin < panels;) {
    const bool is_stretch = begin < stretch * threads;
    const int64_t end = std::min(begin + (is_stretch ? stretch : step), panels);
    (is_stretch ? stretches : rest)
        .push_back({&product, begin * quant::kPanelRows, std::min(end * quant::kPanelRows, outputs)});
    begin = end;
  }
}

std::vector<Piece> cut(std::span<const Product> products, int threads) {
  int64_t all_outputs = 0;
  for (const Product& product : products) all_outputs += product.rows > 0 ? product.weight->outputs() : 0;
  std::vector<Piece> pieces, rest;
  for (const Product& product : products) {
    if (product.rows == 0) continue;
    if (product.weight->format)
      cut_packed(product, threads, pieces, rest);
    else
      cut_dense(product, all_outputs, threads, pieces);
  }
  pieces.insert(pieces.end(), rest.begin(), rest.end());
  return pieces;
}

/// x of each product with a packed weight; products of the same x share it.
std::vector<QuantizedRows> quantize_values(const Context& ctx, std::span<const Product> products) {
  std::vector<QuantizedRows> quantized(products.size());
  for (size_t p = 0; p < products.size(); ++p) {
    const Product& product = products[p];
    if (product.rows == 0 || !product.weight->format) continue;
    for (size_t before = 0; before < p; ++before)
      if (quantized[before].defined() && products[before].x == product.x && products[before].rows == product.rows)
        quantized[p] = quantized[before];
    if (!quantized[p].defined()) quantized[p] = {ctx, product.x, product.rows, product.weight->inputs()};
  }
  return quantized;
}

/// x of each product rounded to bfloat16, where that precision is asked for and the processor computes with it; else
/// undefined.
std::vector<Tensor> round_values(const Context& ctx, std::span<const Product> products) {
  std::vector<Tensor> rounded(products.size());
  if (ctx.matmul_precision != MatmulPrecision::kBFloat16 || !kernels().has_bf16_dot) return rounded;
  for (size_t p = 0; p < products.size(); ++p) {
    const Product& product = products[p];
    if (product.rows == 0 || product.weight->data.dtype() != DType::kBFloat16) continue;
    const int64_t k = product.weight->inputs();
    rounded[p] = ctx.arena->empty({product.rows, k}, DType::kBFloat16);
    auto* to = reinterpret_cast<uint16_t*>(rounded[p].raw());
    ctx.threads->parallel_for(product.rows, 16, [&](int64_t begin, int64_t end) {
      kernels().round_bf16(product.x + begin * k, (end - begin) * k, to + begin * k);
    });
  }
  return rounded;
}

/// Outputs [begin, end), whole panels but for the last.
void multiply_packed(const Product& product, const QuantizedRows& x, int64_t begin, int64_t end) {
  const Weight& weight = *product.weight;
  multiply_panels(*weight.format, static_cast<const std::byte*>(weight.data.raw()), weight.inputs(),
                  begin / quant::kPanelRows, end - begin, x, 0, product.rows, product.y + begin, weight.outputs());
}

}  // namespace

void* scratch() {
  struct alignas(64) Block {
    char bytes[kMatmulScratchBytes];
  };
  thread_local const std::unique_ptr<Block> block(new Block);
  return block->bytes;
}

void multiply(const Context& ctx, std::span<const Product> products) {
  const Kernels& k = kernels();
  const std::vector<Piece> pieces = cut(products, ctx.threads->size());
  const std::vector<Tensor> rounded = round_values(ctx, products);
  const std::vector<QuantizedRows> quantized = quantize_values(ctx, products);
  ctx.threads->parallel_for(static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Product& product = *pieces[i].product;
      if (product.weight->format) {
        multiply_packed(product, quantized[&product - products.data()], pieces[i].begin, pieces[i].end);
        continue;
      }
      const Tensor& w = product.weight->data;
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

void linear(const Context& ctx, const Tensor& x, const Weight& weight, const Tensor& out) {
  const Product product{&weight, x.data<float>(), x.dim(0), out.data<float>()};
  multiply(ctx, {&product, 1});
}

void linear_in_two_parts(const Context& ctx, const Tensor& x, const Weight& weight, const Tensor& out) {
  const int64_t rows = x.dim(0), outputs = weight.outputs();
  if (rows == 0) return;
  const QuantizedRows parts = QuantizedRows::in_two_parts(ctx, x.data<float>(), rows, weight.inputs());
  const Tensor halves = ctx.empty({2 * rows, outputs});
  const Product product{&weight, nullptr, 2 * rows, halves.data<float>()};
  const std::vector<Piece> pieces = cut({&product, 1}, ctx.threads->size());
  ctx.threads->parallel_for(static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto [owner, first, last] = pieces[i];
      multiply_packed(*owner, parts, first, last);
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t o = first; o < last; ++o)
          out.data<float>()[row * outputs + o] =
              halves.data<float>()[2 * row * outputs + o] + halves.data<float>()[(2 * row + 1) * outputs + o];
    }
  });
}

}  // namespace minimax::cpu
