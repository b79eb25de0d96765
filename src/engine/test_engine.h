// What the engine's tests share: a tiny model, and what a request must come to, computed in the plainest way.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "core/rng.h"
#include "engine/collector.h"
#include "engine/engine.h"
#include "engine/state/state_cache.h"
#include "model/random.h"

namespace minimax::engine::test {

inline ModelConfig tiny_config() {
  ModelConfig config;
  config.vocab = 97;
  config.hidden = 24;
  config.ffn = 20;
  config.layers = 3;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 8;
  config.rotary_dim = 4;
  config.experts = 3;
  config.layer_kind = {LayerKind::kLightning, LayerKind::kSoftmax, LayerKind::kLightning};
  config.postnorm = true;
  config.initializer_range = 0.3;
  return config;
}

struct TinyModel {
  explicit TinyModel(int thread_count = 1)
      : threads(thread_count), model(random_model(tiny_config(), DType::kFloat32, 5, threads)) {}

  ThreadPool threads;
  MiniMaxM1 model;
};

inline std::vector<int32_t> random_ids(Rng& rng, int64_t count, int64_t vocab = 97) {
  std::vector<int32_t> ids(static_cast<size_t>(count));
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocab)));
  return ids;
}

struct Expected {
  std::vector<int32_t> ids;
  std::vector<float> log_probs;
  FinishReason reason = FinishReason::kLength;
};

/// One sequence alone, the prompt in one pass and then token by token, without an engine.
inline Expected expected_answer(TinyModel& tiny, const Request& request, int64_t answer = 0, int64_t context = 100000) {
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t room = context - prompt;
  const int64_t limit = request.max_tokens < 0 ? room : std::min(request.max_tokens, room);
  StateCache cache(tiny.model.config, prompt + limit, 1);
  Sequence sequence = cache.open();
  Arena arena;
  Context ctx{.arena = &arena, .threads = &tiny.threads};
  SamplingParams params = request.sampling;
  params.stream += static_cast<uint64_t>(answer);
  std::vector<int32_t> banned = tiny.model.dead_ids();
  banned.insert(banned.end(), request.banned.begin(), request.banned.end());
  Sampler sampler(params, tiny.model.config.vocab, request.prompt, banned);
  SamplerScratch scratch;
  Expected out;
  std::vector<int32_t> next = request.prompt;
  while (static_cast<int64_t>(out.ids.size()) < limit) {
    cache.reserve(sequence, sequence.length + static_cast<int64_t>(next.size()));
    BatchBuilder batch;
    batch.add(sequence, next, BatchBuilder::Logits::kLast);
    const Tensor logits = tiny.model.forward(ctx, batch.build(), cache.layers());
    sequence.length += static_cast<int64_t>(next.size());
    const Sampled token = sampler.sample(logits.span<float>(), scratch);
    sampler.accept(token.id);
    out.ids.push_back(token.id);
    out.log_probs.push_back(token.log_prob);
    next = {token.id};
    if (std::find(request.stop_ids.begin(), request.stop_ids.end(), token.id) != request.stop_ids.end()) {
      out.reason = FinishReason::kStopToken;
      break;
    }
  }
  return out;
}

inline void expect_same(const Collector::Answer& got, const Expected& want, const std::string& what) {
  EXPECT_EQ(got.end.reason, want.reason) << what << ": " << got.end.error;
  ASSERT_EQ(got.ids, want.ids) << what;
  EXPECT_EQ(std::memcmp(got.log_probs.data(), want.log_probs.data(), want.log_probs.size() * sizeof(float)), 0)
      << what << ": log-probs differ";
}

inline Request request_of(std::vector<int32_t> prompt, int64_t max_tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  return request;
}

inline std::shared_ptr<Collector> submit(Engine& engine, Request request) {
  auto listener = std::make_shared<Collector>();
  engine.submit(std::move(request), listener);
  return listener;
}

/// Nothing is held but what the prefix cache holds; and after it is cleared, nothing at all.
inline void expect_all_free(Engine& engine) {
  EXPECT_EQ(engine.stats().slots_used, 0);
  EXPECT_EQ(engine.stats().pages_used, engine.stats().cached_pages);
  EXPECT_EQ(engine.stats().requests_running + engine.stats().requests_waiting, 0);
  engine.clear_cache();
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.pages_used, 0);
  EXPECT_EQ(stats.cached_pages, 0);
  EXPECT_EQ(stats.cached_snapshots, 0);
  EXPECT_EQ(stats.snapshot_bytes, 0);
  EXPECT_EQ(stats.memory_bytes, 0);
}

}  // namespace minimax::engine::test
