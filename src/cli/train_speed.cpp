#include "cli/train_speed.h"

#include <chrono>

#include "core/rng.h"
#include "cpu/ceilings.h"
#include "cpu/isa.h"
#include "cuda/gpu.h"
#include "model/cost.h"
#include "train/initialize.h"
#include "train/trainer.h"

namespace minimax::cli {
namespace {

constexpr int64_t kSequences = 8;

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::vector<train::TrainSequence> random_sequences(int64_t tokens, int64_t vocab) {
  std::vector<train::TrainSequence> out;
  Rng rng(1);
  for (int64_t i = 0; i < kSequences; ++i) {
    train::TrainSequence& sequence = out.emplace_back();
    for (int64_t t = 0; t <= tokens; ++t) {
      sequence.tokens.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocab))));
      sequence.weights.push_back(t > 0 ? 1 / static_cast<double>(kSequences * tokens) : 0);
    }
  }
  return out;
}

/// Of one sequence, forward and backward.
double training_flops(const ModelConfig& config, int64_t tokens) {
  const double last_logits = 2.0 * static_cast<double>(config.hidden) * static_cast<double>(config.vocab);
  const double forward = prefill_cost(config, DType::kFloat32, tokens).flops;
  return 3 * (forward + static_cast<double>(tokens - 1) * last_logits);
}

}  // namespace

TrainSpeed measure_training(const ModelConfig& config, DType dtype, const Context& ctx, int64_t sequence_tokens,
                            int rounds) {
  const DType working = dtype == DType::kBFloat16 ? DType::kBFloat16 : DType::kFloat32;
  const train::TrainableModel trainable =
      train::make_trainable(ctx, train::initial_model(config, 1, *ctx.threads), working);
  train::Trainer trainer(ctx, trainable, {.pass = {.balance = 1e-3}});
  const std::vector<train::TrainBatch> batches = train::pack(random_sequences(sequence_tokens, config.vocab), 4096);
  TrainSpeed speed{.tokens = kSequences * sequence_tokens,
                   .flops = static_cast<double>(kSequences) * training_flops(config, sequence_tokens),
                   .seconds = {},
                   .update_seconds = {},
                   .share = {}};
  trainer.step(batches, 1e-5);
  for (int round = 0; round < rounds; ++round) {
    const double peak = cpu::fma_peak(*ctx.threads, cpu::kernels());
    const auto begin = std::chrono::steady_clock::now();
    for (const train::TrainBatch& batch : batches) trainer.accumulate(batch);
    if (ctx.gpu) ctx.gpu->wait();
    const auto passes_done = std::chrono::steady_clock::now();
    trainer.update(1e-5);
    if (ctx.gpu) ctx.gpu->wait();
    speed.update_seconds.values.push_back(seconds_since(passes_done));
    speed.seconds.values.push_back(seconds_since(begin));
    if (ctx.device == Device::kCpu) speed.share.values.push_back(speed.flops / speed.seconds.values.back() / peak);
  }
  return speed;
}

}  // namespace minimax::cli
