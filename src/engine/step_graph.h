// StepGraph: decode steps of a model on a GPU, recorded once and run as one launch.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>

#include "core/context.h"
#include "engine/state/state_cache.h"
#include "model/minimax_m1.h"

namespace minimax::engine {

/// Keeps a graph for each number of sequences (above eight: for a few numbers an octave, and batches are filled up) and
/// each power of two of pages a sequence may have, with memory of its own; a launch then costs the host microseconds.
/// Not thread-safe.
class StepGraph {
 public:
  /// `model` and what `ctx` points to must outlive the graphs; so must the caches given to forward().
  StepGraph(const MiniMaxM1& model, const Context& ctx);
  ~StepGraph();

  /// A batch with one token of each sequence; others take MiniMaxM1::forward.
  static bool takes(const Batch& batch);
  /// Sequences of the graph that takes so many.
  static int64_t filled_up(int64_t seqs);

  /// As MiniMaxM1::forward, the same caches every time. `spare`: what the sequences that fill a batch up may write to;
  /// none: a graph for every number of sequences. The logits are overwritten by the next call.
  Tensor forward(const Batch& batch, std::span<LayerCache> caches, std::optional<StateCache::Place> spare = {});

 private:
  struct Recorded;
  std::unique_ptr<Recorded> record(const Batch& batch, int64_t max_pages, std::span<LayerCache> caches);

  const MiniMaxM1& model_;
  Context ctx_;
  std::map<std::pair<int64_t, int64_t>, std::unique_ptr<Recorded>> recorded_;  // by sequences and pages
};

}  // namespace minimax::engine
