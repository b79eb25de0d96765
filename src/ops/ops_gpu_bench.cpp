// Times what a layer of MiniMax-M1 consists of on a GPU, at its true shapes, beside ceilings of the same run.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <numeric>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "core/tape.h"
#include "cuda/row_ops.h"
#include "ops/activation.h"
#include "ops/attention.h"
#include "ops/lightning.h"
#include "ops/linear.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "quant/quantize.h"
#include "quant/weight.h"

namespace minimax::ops {
namespace {

constexpr int64_t kHidden = 6144, kFfn = 9216, kHeads = 64, kKvHeads = 8, kHeadDim = 128, kExperts = 32;
constexpr int64_t kWidth = kHeads * kHeadDim;

struct Bench {
  Bench() : gpu(open()), arena(gpu.get()) {
    gpu->check(gpu->kernels().make_event(&start));
    gpu->check(gpu->kernels().make_event(&stop));
  }
  static std::unique_ptr<cuda::Gpu> open() {
    const char* named = std::getenv("MINIMAX_CUDA_MODULE");
    return cuda::Gpu::open(0, named ? named : MINIMAX_CUDA_MODULE);
  }
  Context ctx() {
    return {.device = Device::kCuda,
            .gpu = gpu.get(),
            .arena = &arena,
            .threads = &threads,
            .matmul_precision = MatmulPrecision::kBFloat16};
  }

  /// Median milliseconds of 7 runs after 2.
  double ms(const std::function<void()>& work) {
    std::vector<double> times;
    for (int run = 0; run < 9; ++run) {
      gpu->check(gpu->kernels().record(start, gpu->stream()));
      work();
      gpu->check(gpu->kernels().record(stop, gpu->stream()));
      float elapsed = 0;
      gpu->check(gpu->kernels().elapsed_ms(&elapsed, start, stop));
      if (run >= 2) times.push_back(static_cast<double>(elapsed));
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  }
  Tensor random(Shape shape, DType dtype, float limit = 1) {
    const Tensor out = Tensor::empty(shape, dtype, gpu.get());
    cuda::random_uniform(ctx(), seed++, limit, out);
    return out;
  }
  void line(const char* what, double milliseconds, double flops, double bytes) const {
    std::printf("%-52s %9.3f ms %8.0f TFLOP/s %7.0f GB/s\n", what, milliseconds, flops / milliseconds / 1e9,
                bytes / milliseconds / 1e6);
    std::fflush(stdout);
  }

  std::unique_ptr<cuda::Gpu> gpu;
  ThreadPool threads{1};
  Arena arena;
  cuda::Event start = nullptr, stop = nullptr;
  uint64_t seed = 1;
};

std::vector<ExpertWeights> make_experts(Bench& bench) {
  const int64_t size = kFfn * kHidden;
  const Tensor block = bench.random({kExperts * 3 * size}, DType::kBFloat16, 0.02f);
  std::vector<ExpertWeights> out;
  for (int64_t e = 0; e < kExperts; ++e) {
    const auto part = [&](int64_t i, int64_t rows, int64_t columns) {
      return Weight{block.rows((3 * e + i) * size, (3 * e + i + 1) * size).view({rows, columns})};
    };
    out.push_back({part(0, kFfn, kHidden), part(1, kFfn, kHidden), part(2, kHidden, kFfn)});
  }
  return out;
}

/// One panel of normal numbers, again and again: as many as `matrices` matrices [n, k] have, side by side.
Tensor make_panels(Bench& bench, quant::Format format, int64_t matrices, int64_t n, int64_t k) {
  const int64_t size = quant::panel_bytes(format, k), bytes = matrices * quant::packed_bytes(format, n, k);
  Rng rng(1);
  std::vector<float> weights(static_cast<size_t>(32 * k));
  for (float& weight : weights) weight = 0.02f * static_cast<float>(rng.normal());
  std::vector<std::byte> panel(static_cast<size_t>(size));
  quant::quantize_panel(format, k, 32, weights.data(), nullptr, quant::Rounding::kNearest, panel.data());
  const Tensor out = Tensor::empty({bytes}, DType::kUInt8, bench.gpu.get());
  auto* first = static_cast<std::byte*>(out.raw());
  bench.gpu->copy(first, panel.data(), size);
  for (int64_t done = size; done < bytes; done *= 2) bench.gpu->copy(first + done, first, std::min(done, bytes - done));
  return out;
}

Batch packed(const std::vector<int64_t>& lengths) {
  std::vector<int32_t> positions, starts = {0};
  for (const int64_t length : lengths) {
    for (int64_t i = 0; i < length; ++i) positions.push_back(static_cast<int32_t>(i));
    starts.push_back(static_cast<int32_t>(positions.size()));
  }
  const auto tensor = [](const std::vector<int32_t>& x) {
    return Tensor::from(std::span<const int32_t>(x), {static_cast<int64_t>(x.size())});
  };
  Batch batch;
  batch.tokens = tensor(positions);
  batch.positions = tensor(positions);
  batch.cu_seqlens = tensor(starts);
  return batch;
}

void bench_products(Bench& bench) {
  const Context ctx = bench.ctx();
  for (const auto& [rows, n, k] : {std::array<int64_t, 3>{1, 24576, 6144},
                                   {1, 6144, 8192},
                                   {1, 8192, 6144},
                                   {1, 200064, 6144},
                                   {2, 24576, 6144},
                                   {4, 24576, 6144},
                                   {8, 24576, 6144},
                                   {16, 24576, 6144},
                                   {64, 24576, 6144},
                                   {8192, 24576, 6144},
                                   {8192, 6144, 8192},
                                   {8192, 8192, 8192}}) {
    const Tensor x = bench.random({rows, k}, DType::kFloat32), w = bench.random({n, k}, DType::kBFloat16, 0.02f);
    char name[80];
    std::snprintf(name, sizeof(name), "product %ld x %ld x %ld", static_cast<long>(rows), static_cast<long>(n),
                  static_cast<long>(k));
    const double flops = 2.0 * static_cast<double>(rows) * static_cast<double>(n) * static_cast<double>(k);
    bench.line(name, bench.ms([&] { linear(ctx, x, {w}); }), flops, static_cast<double>(w.bytes()));
  }
}

void bench_mixture(Bench& bench) {
  const Context ctx = bench.ctx();
  const std::vector<ExpertWeights> experts = make_experts(bench);
  const Tensor router = bench.random({kExperts, kHidden}, DType::kFloat32, 0.02f);
  for (const int64_t tokens : {1, 4, 16, 64, 256, 1024, 4096, 8192}) {
    const Tensor x = bench.random({tokens, kHidden}, DType::kFloat32);
    const double pairs = 2.0 * static_cast<double>(tokens), matrix = static_cast<double>(kFfn * kHidden);
    const double touched = std::min(pairs, static_cast<double>(kExperts));
    char name[80];
    std::snprintf(name, sizeof(name), "mixture, %ld tokens", static_cast<long>(tokens));
    bench.line(name, bench.ms([&] { mix_experts(ctx, x, route(ctx, linear_float32(ctx, x, {router}), 2), experts); }),
               6 * pairs * matrix, touched * 3 * matrix * 2);
    if (tokens == 8192)
      bench.line("  of it router and choice", bench.ms([&] { route(ctx, linear_float32(ctx, x, {router}), 2); }), 0, 0);
  }
}

void bench_packed(Bench& bench) {
  const Context ctx = bench.ctx();
  for (const quant::Format format : quant::all_formats()) {
    const char* label = quant::name(format).data();
    char name[80];
    for (const auto& [rows, n, k] : {std::array<int64_t, 3>{1, 24576, 6144},
                                     {1, 6144, 8192},
                                     {1, 200064, 6144},
                                     {4, 24576, 6144},
                                     {8, 24576, 6144},
                                     {16, 24576, 6144},
                                     {64, 24576, 6144},
                                     {8192, 24576, 6144}}) {
      const Tensor x = bench.random({rows, k}, DType::kFloat32), panels = make_panels(bench, format, 1, n, k);
      const Weight weight = packed_weight(panels, format, n, k);
      std::snprintf(name, sizeof(name), "%s product %ld x %ld x %ld", label, static_cast<long>(rows),
                    static_cast<long>(n), static_cast<long>(k));
      const double flops = 2.0 * static_cast<double>(rows) * static_cast<double>(n) * static_cast<double>(k);
      bench.line(name, bench.ms([&] { linear(ctx, x, weight); }), flops, static_cast<double>(panels.bytes()));
    }
    const Tensor gates = make_panels(bench, format, kExperts, kFfn, kHidden),
                 ups = make_panels(bench, format, kExperts, kFfn, kHidden),
                 downs = make_panels(bench, format, kExperts, kHidden, kFfn);
    std::vector<ExpertWeights> experts;
    for (int64_t e = 0; e < kExperts; ++e) {
      const auto one = [&](const Tensor& all, int64_t n, int64_t k) {
        const int64_t size = quant::packed_bytes(format, n, k);
        return packed_weight(all.rows(e * size, (e + 1) * size), format, n, k);
      };
      experts.push_back({one(gates, kFfn, kHidden), one(ups, kFfn, kHidden), one(downs, kHidden, kFfn)});
    }
    const Tensor router = bench.random({kExperts, kHidden}, DType::kFloat32, 0.02f);
    for (const int64_t tokens : {1, 4, 16, 64, 1024, 4096, 8192}) {
      const Tensor x = bench.random({tokens, kHidden}, DType::kFloat32);
      const double pairs = 2.0 * static_cast<double>(tokens), touched = std::min(pairs, static_cast<double>(kExperts));
      const double bytes = static_cast<double>(gates.bytes() + ups.bytes() + downs.bytes()) / kExperts;
      std::snprintf(name, sizeof(name), "%s mixture, %ld tokens", label, static_cast<long>(tokens));
      bench.line(name, bench.ms([&] { mix_experts(ctx, x, route(ctx, linear_float32(ctx, x, {router}), 2), experts); }),
                 6 * pairs * static_cast<double>(kFfn * kHidden), touched * bytes);
    }
    bench.arena.trim();
  }
}

/// Tokens chosen from rows of logits where they lie, beside copying one row.
void bench_sampling(Bench& bench) {
  constexpr int64_t kVocab = 200064;
  cuda::Gpu& gpu = *bench.gpu;
  for (const int64_t rows : {1, 8, 64}) {
    const Tensor logits = bench.random({rows, kVocab}, DType::kFloat32, 10),
                 weights = bench.random({rows, kVocab}, DType::kFloat32);
    std::vector<cuda::SampleRow> wanted;
    for (int64_t row = 0; row < rows; ++row) wanted.push_back({.uniform = 0.37, .row = row, .temperature = 1});
    const Tensor wanted_there = Tensor::empty({static_cast<int64_t>(sizeof(wanted[0])) * rows}, DType::kUInt8, &gpu),
                 chosen = Tensor::empty({8 * rows}, DType::kUInt8, &gpu);
    char name[80];
    for (const char* what : {"nothing", "top_p", "top_k, top_p, min_p"}) {
      for (cuda::SampleRow& row : wanted) {
        row.top_p = what[0] == 'n' ? 1.0f : 0.95f;
        row.top_k = std::string_view(what).size() > 7 ? 40 : 0;
        row.min_p = std::string_view(what).size() > 7 ? 0.01f : 0.0f;
      }
      gpu.copy(wanted_there.raw(), wanted.data(), wanted_there.bytes());
      std::snprintf(name, sizeof(name), "sample %ld rows of %ld, %s", static_cast<long>(rows),
                    static_cast<long>(kVocab), what);
      bench.line(name, bench.ms([&] {
        gpu.check(gpu.op().sample({.logits = static_cast<const float*>(logits.raw()),
                                   .wanted = static_cast<const cuda::SampleRow*>(wanted_there.raw()),
                                   .weights = static_cast<float*>(weights.raw()),
                                   .chosen = static_cast<cuda::Choice*>(chosen.raw()),
                                   .rows = rows,
                                   .vocab = kVocab,
                                   .quantum = 0x1p-35f},
                                  gpu.stream()));
      }),
                 0, static_cast<double>(logits.bytes()));
    }
    bench.line("  of it copied to the host", bench.ms([&] { to_host(logits); }), 0,
               static_cast<double>(logits.bytes()));
  }
}

void bench_rows(Bench& bench) {
  const Context ctx = bench.ctx();
  const Tensor x = bench.random({8192, kHidden}, DType::kFloat32), weight = bench.random({kHidden}, DType::kFloat32);
  const double bytes = static_cast<double>(x.bytes());
  bench.line("norm, 8192 x 6144", bench.ms([&] { rms_norm(ctx, x, weight, 1e-5f); }), 0, 2 * bytes);
  bench.line("scaled add, 8192 x 6144", bench.ms([&] { scaled_add(ctx, 2, x, 1, x); }), 0, 3 * bytes);
  const Tensor qkv = bench.random({8192, 3 * kWidth}, DType::kFloat32);
  bench.line("silu, 8192 x 24576", bench.ms([&] { silu(ctx, qkv); }), 0, 2 * static_cast<double>(qkv.bytes()));
  const Tensor decay = to_memory(lightning_decay(lightning_slopes(kHeads, 0.5)), bench.gpu.get());
  const Batch batch = place(ctx, packed({8192}));
  bench.line("lightning, 8192 tokens", bench.ms([&] { lightning_attention(ctx, qkv, decay, batch, nullptr); }), 0,
             static_cast<double>(qkv.bytes()) * 4 / 3);
}

void bench_lightning_gradient(Bench& bench) {
  const Tensor qkv = bench.random({16384, 3 * kWidth}, DType::kFloat32),
               u = bench.random({16384, kWidth}, DType::kFloat32);
  const Tensor decay = to_memory(lightning_decay(lightning_slopes(kHeads, 0.5)), bench.gpu.get());
  const Batch batch = place(bench.ctx(), packed({16384}));
  bench.line("lightning forward and backward, 16384 tokens", bench.ms([&] {
    Context ctx = bench.ctx();
    Tape tape;
    ctx.tape = &tape;
    Gradients d;
    d.add(lightning_attention(ctx, qkv, decay, batch, nullptr), u);
    tape.backward(ctx, d);
  }),
             0, static_cast<double>(qkv.bytes()) * 8 / 3);
}

void bench_attention(Bench& bench) {
  for (const int64_t tokens : {8192, 65536}) {
    const Tensor q = bench.random({tokens, kWidth}, DType::kFloat32),
                 k = bench.random({tokens, kKvHeads * kHeadDim}, DType::kFloat32),
                 v = bench.random({tokens, kKvHeads * kHeadDim}, DType::kFloat32);
    const Batch batch = place(bench.ctx(), packed({tokens}));
    const double flops = 2.0 * static_cast<double>(kWidth) * static_cast<double>(tokens) * static_cast<double>(tokens);
    char name[80];
    std::snprintf(name, sizeof(name), "causal prefill, %ld tokens", static_cast<long>(tokens));
    bench.line(name, bench.ms([&] { softmax_attention(bench.ctx(), q, k, v, kHeadDim, batch, nullptr); }), flops, 0);
  }
}

}  // namespace
}  // namespace minimax::ops

// All of it, or with the argument `packed` what came last: packed weights and sampling.
int main(int count, char** arguments) {
  minimax::ops::Bench bench;
  if (count > 1 && std::string_view(arguments[1]) == "packed") {
    minimax::ops::bench_sampling(bench);
    minimax::ops::bench_packed(bench);
    return 0;
  }
  minimax::ops::bench_products(bench);
  minimax::ops::bench_rows(bench);
  minimax::ops::bench_attention(bench);
  minimax::ops::bench_lightning_gradient(bench);
  bench.arena.trim();
  bench.gpu->trim();
  minimax::ops::bench_mixture(bench);
  bench.arena.trim();
  bench.gpu->trim();
  minimax::ops::bench_sampling(bench);
  minimax::ops::bench_packed(bench);
}
