#include "cli/plan/probe.h"

#include <algorithm>

#include "cli/speed.h"
#include "model/quantize_checkpoint.h"
#include "model/random.h"

namespace minimax::cli {
namespace {

// The last layers: published models end with a softmax layer.
void keep_layers(ModelConfig& config, int64_t layers) {
  config.layer_kind.erase(config.layer_kind.begin(), config.layer_kind.end() - layers);
  config.layers = layers;
}

}  // namespace

std::optional<ModelConfig> probe_config(const ModelConfig& config, const quant::Recipe& recipe, int64_t most_bytes) {
  constexpr int64_t kSomeVocab = 32000, kSmallVocab = 4096;
  ModelConfig probe = config;
  const auto too_large = [&] { return quantized_bytes(probe, recipe) > most_bytes; };
  // Fewer experts change least: a token reads as many. Several times top_k, that the last token's are seldom in a
  // cache.
  while (too_large() && probe.experts / 2 >= 4 * probe.top_k) probe.experts /= 2;
  if (too_large()) probe.vocab = std::min(probe.vocab, kSomeVocab);
  while (too_large() && probe.layers > 2) keep_layers(probe, std::max<int64_t>(2, probe.layers / 2));
  while (too_large() && probe.experts / 2 >= 2 * probe.top_k) probe.experts /= 2;
  if (too_large()) probe.vocab = std::min(probe.vocab, kSmallVocab);
  if (too_large() && probe.layers > 1) keep_layers(probe, 1);
  return too_large() ? std::nullopt : std::optional(probe);
}

std::optional<ProbeSpeed> measure_probe(const ModelConfig& config, const quant::Recipe& recipe, ThreadPool& threads,
                                        int64_t most_bytes) {
  const std::optional<ModelConfig> probe = probe_config(config, recipe, most_bytes);
  if (!probe) return std::nullopt;
  const MiniMaxM1 model = random_packed_model(*probe, recipe, 1, threads);
  const auto nothing = [](const std::string&) {};
  SpeedTest(model, Context{.threads = &threads}, {.prompt_tokens = 8, .answer_tokens = 4}).run_round({}, nothing);
  // As many tokens for each expert as in the model: what a product reaches depends on its rows.
  const int64_t prompt = std::max<int64_t>(16, kPlannedPrompt * probe->experts / std::max<int64_t>(1, config.experts));
  SpeedTest test(model, Context{.threads = &threads}, {.prompt_tokens = prompt, .answer_tokens = 16});
  for (int round = 0; round < 3; ++round) test.run_round({}, nothing);
  const SpeedSamples& samples = test.samples();
  const auto bytes = static_cast<double>(samples.decode_cost.weight_bytes + samples.decode_cost.state_bytes);
  return ProbeSpeed{bytes / samples.decode_seconds.median(),
                    samples.prefill_cost.flops / samples.prefill_seconds.median()};
}

}  // namespace minimax::cli
