// Dense products: prefill against the peak of the instruction used, decode against the measured read bandwidth.
#include "cpu/bench.h"
#include "cpu/isa.h"
#include "cpu/linear.h"

namespace minimax::cpu {
namespace {

using bench::Ceiling;

struct Shape2 {
  int64_t outputs, k;
};

std::string name_of(const char* kind, int64_t rows, Shape2 shape, const std::string& type) {
  return cat(kind, " ", rows, " x [", shape.outputs, ", ", shape.k, "] ", type);
}

/// Many rows: 2 * rows * outputs * k operations.
void bench_prefill(const bench::Options& options, Context& ctx, int64_t rows, Shape2 shape, DType dtype,
                   MatmulPrecision precision) {
  const bool dots = precision == MatmulPrecision::kBFloat16;
  const std::string name = name_of("prefill", rows, shape, cat(dtype, dots ? " x BF16" : ""));
  if (name.find(options.only) == std::string::npos) return;
  const Tensor weight = bench::random(*ctx.threads, {shape.outputs, shape.k}, dtype);
  const Tensor x = bench::random(*ctx.threads, {rows, shape.k}, DType::kFloat32);
  const Tensor y = bench::random(*ctx.threads, {rows, shape.outputs}, DType::kFloat32);
  ctx.matmul_precision = precision;
  bench::measure(options, *ctx.threads,
                 {.name = name,
                  .ceiling = dots ? Ceiling::kBf16Dot : Ceiling::kFma,
                  .work = 2.0 * static_cast<double>(rows * shape.outputs * shape.k),
                  .run = [&] { linear(ctx, x, weight, y); }});
}

/// Few rows: the bytes of the weights, which are far more than those of x and y.
void bench_decode(const bench::Options& options, Context& ctx, int64_t rows, Shape2 shape, const Tensor& weight,
                  const char* pages) {
  const Tensor x = bench::random(*ctx.threads, {rows, shape.k}, DType::kFloat32);
  const Tensor y = bench::random(*ctx.threads, {rows, shape.outputs}, DType::kFloat32);
  ctx.matmul_precision = MatmulPrecision::kFloat32;
  bench::measure(options, *ctx.threads,
                 {.name = name_of("decode", rows, shape, cat(weight.dtype(), ", ", pages)),
                  .ceiling = Ceiling::kRead,
                  .work = static_cast<double>(weight.bytes()),
                  .run = [&] { linear(ctx, x, weight, y); }});
}

void bench_all(const bench::Options& options, int thread_count) {
  ThreadPool threads(thread_count);
  Arena arena;
  Context ctx{.arena = &arena, .threads = &threads};
  for (DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kFloat16})
    for (Shape2 shape : {Shape2{6144, 6144}, Shape2{9216, 6144}})
      bench_prefill(options, ctx, 512, shape, dtype, MatmulPrecision::kFloat32);
  if (kernels().has_bf16_dot)
    for (Shape2 shape : {Shape2{6144, 6144}, Shape2{9216, 6144}})
      bench_prefill(options, ctx, 512, shape, DType::kBFloat16, MatmulPrecision::kBFloat16);
  for (int64_t k : {256, 512, 1024})  // small models
    bench_prefill(options, ctx, 512, {1024, k}, DType::kBFloat16, MatmulPrecision::kFloat32);
  for (int64_t rows : {16, 32, 64})  // an expert's share of a prompt
    bench_prefill(options, ctx, rows, {9216, 6144}, DType::kBFloat16, MatmulPrecision::kFloat32);

  const Shape2 qkv{24576, 6144};  // of a lightning layer: 302 MB of bfloat16
  for (DType dtype : {DType::kBFloat16, DType::kFloat32})
    for (bool huge : {false, true}) {
      if (options.only.find("prefill") != std::string::npos) continue;
      const Tensor weight = bench::random(threads, {qkv.outputs, qkv.k}, dtype, huge);
      for (int64_t rows : {1, 2, 4, 8})
        bench_decode(options, ctx, rows, qkv, weight, huge ? "huge pages" : "4 KiB pages");
    }
}

}  // namespace
}  // namespace minimax::cpu

int main(int argc, char** argv) {
  const auto options = minimax::cpu::bench::parse(argc, argv);
  minimax::cpu::bench::print_header("matmul_bench");
  for (int threads : options.threads) minimax::cpu::bench_all(options, threads);
}
