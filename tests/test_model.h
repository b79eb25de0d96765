// What the whole-model tests share: golden checkpoints, and forward passes cut in every way.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/context.h"
#include "engine/state/state_cache.h"
#include "io/safetensors.h"
#include "model/load.h"

namespace minimax::test {

inline std::filesystem::path golden_folder(const std::string& name) {
  return std::filesystem::path(MINIMAX_TESTDATA) / "golden" / name;
}

/// Forward passes of a Runner, which has a `model`, a `ctx` and a `cache`. Logits come to the host.
template <typename Runner>
struct Passes {
  /// One pass over runs of several sequences; logits of all their tokens, [tokens, vocab].
  Tensor forward(const std::vector<std::pair<engine::Sequence*, std::vector<int32_t>>>& runs,
                 const HiddenObserver& observer = {}) {
    engine::StateCache& cache = self().cache;
    engine::BatchBuilder batch;
    for (const auto& [sequence, ids] : runs) {
      cache.reserve(*sequence, sequence->length + static_cast<int64_t>(ids.size()));
      batch.add(*sequence, ids, engine::BatchBuilder::Logits::kAll);
    }
    Tensor logits = to_host(self().model.forward(self().ctx, batch.build(), cache.layers(), observer));
    for (const auto& [sequence, ids] : runs) sequence->length += static_cast<int64_t>(ids.size());
    return logits;
  }

  /// The logits of every token of a new sequence run in pieces of at most `piece` tokens; [ids, vocab] as a vector.
  std::vector<float> run(const std::vector<int32_t>& ids, int64_t piece) {
    engine::StateCache& cache = self().cache;
    engine::Sequence sequence = cache.open();
    std::vector<float> all;
    for (size_t begin = 0; begin < ids.size(); begin += static_cast<size_t>(piece)) {
      const size_t end = std::min(ids.size(), begin + static_cast<size_t>(piece));
      const Tensor logits = forward({{&sequence, {ids.begin() + begin, ids.begin() + end}}});
      all.insert(all.end(), logits.span<float>().begin(), logits.span<float>().end());
    }
    cache.close(sequence);
    return all;
  }

 private:
  Runner& self() { return static_cast<Runner&>(*this); }
};

/// A model with caches of its own and everything a forward pass needs.
struct Runner : Passes<Runner> {
  explicit Runner(const MiniMaxM1& m, int threads = 2, int64_t max_tokens = 8192, int64_t max_seqs = 8)
      : model(m), pool(threads), cache(m.config, max_tokens, max_seqs) {
    ctx.arena = &arena;
    ctx.threads = &pool;
  }

  const MiniMaxM1& model;
  ThreadPool pool;
  Arena arena;
  Context ctx;
  engine::StateCache cache;
};

inline std::vector<int32_t> ints(const Tensor& x) {
  return {x.span<int32_t>().begin(), x.span<int32_t>().end()};
}

}  // namespace minimax::test
