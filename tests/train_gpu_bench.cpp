// Times training steps on a GPU: forward, backward and optimizer of small shapes, and of a pair of true-shape layers.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/rng.h"
#include "cuda/gpu.h"
#include "model/cost.h"
#include "model/random.h"
#include "model/shapes.h"
#include "train/trainer.h"

namespace minimax {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

train::TrainBatch random_batch(int64_t seqs, int64_t length, int64_t vocab) {
  Rng rng(1);
  train::TrainBatch batch;
  batch.cu_seqlens = {0};
  for (int64_t seq = 0; seq < seqs; ++seq) {
    for (int64_t i = 0; i < length; ++i) {
      batch.rows.push_back(static_cast<int32_t>(batch.tokens.size()));
      batch.tokens.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocab))));
      batch.targets.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocab))));
      batch.weights.push_back(1.0 / static_cast<double>(seqs * length));
    }
    batch.cu_seqlens.push_back(static_cast<int32_t>(batch.tokens.size()));
  }
  return batch;
}

/// Products of bfloat16 a second, operands in shared memory: what a share is of.
double measure_peak(cuda::Gpu& gpu) {
  const Tensor out = Tensor::zeros({1024}, DType::kFloat32, &gpu);
  double best = 0;
  for (int run = 0; run < 5; ++run) {
    int64_t flops = 2'000'000'000'000;
    gpu.wait();
    const double start = now();
    gpu.check(gpu.kernels().probe_bf16(&flops, out.raw(), gpu.stream()));
    gpu.wait();
    best = std::max(best, static_cast<double>(flops) / (now() - start));
  }
  return best;
}

/// A lightning and a softmax layer of MiniMax-M1 with 8 of their 32 experts: AdamW's float32 numbers of all 32 are 196
/// GB. As many of them work on a token, so the products are the same.
ModelConfig true_pair() {
  ModelConfig config;
  config.vocab = 8192;
  config.hidden = 6144;
  config.ffn = 9216;
  config.layers = 2;
  config.heads = 64;
  config.kv_heads = 8;
  config.head_dim = 128;
  config.rotary_dim = 64;
  config.rope_theta = 1e7;
  config.experts = 8;
  config.postnorm = true;
  config.lightning_alpha = config.softmax_alpha = config.moe_alpha = std::pow(4.0, 0.25);
  config.layer_kind = {LayerKind::kLightning, LayerKind::kSoftmax};
  return config;
}

void bench(cuda::Gpu& gpu, const std::string& name, const ModelConfig& config, int64_t seqs, int64_t length, int steps,
           double peak) {
  ThreadPool threads(8);
  Arena arena(&gpu);
  const Context ctx{.device = Device::kCuda,
                    .gpu = &gpu,
                    .arena = &arena,
                    .threads = &threads,
                    .matmul_precision = MatmulPrecision::kBFloat16};
  const MiniMaxM1 host = random_model(config, DType::kBFloat16, 1, threads);
  const train::TrainableModel trainable = train::make_trainable(ctx, host, DType::kBFloat16);
  train::TrainerOptions options;
  options.pass.balance = 0.01;
  train::Trainer trainer(ctx, trainable, options);
  const train::TrainBatch batch = random_batch(seqs, length, config.vocab);
  std::vector<double> passes, updates;
  double loss = 0;
  for (int step = 0; step < steps; ++step) {
    gpu.wait();
    const double start = now();
    loss = trainer.accumulate(batch).loss;
    gpu.wait();
    const double middle = now();
    trainer.update(1e-4);
    gpu.wait();
    passes.push_back(middle - start);
    updates.push_back(now() - middle);
  }
  std::sort(passes.begin(), passes.end());
  std::sort(updates.begin(), updates.end());
  const double pass = passes[passes.size() / 2], update = updates[updates.size() / 2];
  const auto tokens = static_cast<double>(batch.token_count());
  const double flops = 6 * static_cast<double>(active_parameter_count(config)) * tokens;
  std::printf(
      "%-10s %3ld x %5ld tokens: pass %8.2f ms, update %7.2f ms, %9.0f tokens/s, %6.1f TFLOP/s, %4.1f%% of %.0f, loss "
      "%.3f, %.1f GB\n",
      name.c_str(), static_cast<long>(seqs), static_cast<long>(length), pass * 1e3, update * 1e3,
      tokens / (pass + update), flops / (pass + update) / 1e12, 100 * flops / (pass + update) / peak, peak / 1e12, loss,
      static_cast<double>(arena.bytes_reserved()) / 1e9);
  std::fflush(stdout);
}

}  // namespace
}  // namespace minimax

/// Names of small shapes, or "pair", each optionally with :seqs:length:steps.
int main(int argc, char** argv) {
  using namespace minimax;
  const char* named = std::getenv("MINIMAX_CUDA_MODULE");
  const auto gpu = cuda::Gpu::open(0, named ? named : MINIMAX_CUDA_MODULE);
  std::vector<std::string> cases(argv + 1, argv + argc);
  if (cases.empty())
    cases = {"nano:16:1024:10", "micro:16:1024:10", "mini:16:1024:10", "mini:8:4096:5", "pair:2:4096:5"};
  const double peak = measure_peak(*gpu);
  for (const std::string& text : cases) {
    long seqs = 16, length = 1024;
    int steps = 10;
    const size_t colon = text.find(':');
    if (colon != std::string::npos) std::sscanf(text.c_str() + colon, ":%ld:%ld:%d", &seqs, &length, &steps);
    const std::string name = text.substr(0, colon);
    bench(*gpu, name, name == "pair" ? true_pair() : small_shape(name, 8192), seqs, length, steps, peak);
  }
}
