// One token from a vocabulary of 200,064, one thread: what the sampler adds to a decode step.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <vector>

#include "core/rng.h"
#include "engine/sampling/sampler.h"

namespace minimax::engine {
namespace {

constexpr int64_t kVocab = 200064;

void report(const char* name, const std::vector<float>& logits, const SamplingParams& params) {
  std::vector<int32_t> banned;
  for (int32_t id = 200000; id < kVocab; ++id) banned.push_back(id);
  Sampler sampler(params, kVocab, {}, banned);
  SamplerScratch scratch;
  std::vector<double> times_ms;
  for (int repeat = 0; repeat < 220; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    const Sampled sampled = sampler.sample(logits, scratch);
    const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
    sampler.accept(sampled.id);
    if (repeat >= 20) times_ms.push_back(elapsed.count());
  }
  std::sort(times_ms.begin(), times_ms.end());
  std::printf("%-44s median %6.3f ms  min %6.3f  max %6.3f\n", name, times_ms[times_ms.size() / 2], times_ms.front(),
              times_ms.back());
}

}  // namespace
}  // namespace minimax::engine

int main() {
  using namespace minimax;
  using namespace minimax::engine;
  // Like a language model's: a few ids far above a wide floor. Flat: nothing can be skipped.
  Rng rng(1);
  std::vector<float> peaked(kVocab), flat(kVocab);
  for (float& logit : peaked) logit = static_cast<float>(2.5 * rng.normal());
  for (int id = 0; id < 20; ++id) peaked[rng.below(200000)] = static_cast<float>(14 + 2 * rng.normal());
  for (float& logit : flat) logit = static_cast<float>(0.1 * rng.normal());
  for (const auto& [shape, logits] : {std::pair{"peaked", &peaked}, std::pair{"flat", &flat}}) {
    SamplingParams params;
    const auto line = [&](const char* name, const SamplingParams& with) {
      report((std::string(shape) + ": " + name).c_str(), *logits, with);
    };
    params.temperature = 0;
    line("greedy", params);
    params.temperature = 1;
    params.top_p = 1;
    line("temperature 1, top_p 1", params);
    params.top_p = 0.95f;
    line("temperature 1, top_p 0.95", params);
    params.temperature = 0.7f;
    line("temperature 0.7, top_p 0.95", params);
    params.top_k = 40;
    line("temperature 0.7, top_k 40, top_p 0.95", params);
    params.top_k = 0;
    params.min_p = 0.05f;
    line("temperature 0.7, top_p 0.95, min_p 0.05", params);
    params.top_logprobs = 20;
    line("the same, 20 top log-probs", params);
  }
}
