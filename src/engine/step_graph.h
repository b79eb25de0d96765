// StepGraph: decode steps of a model on a GPU, recorded once and run as one launch.
#pragma once

#include <map>
#include <memory>
#include <span>

#include "core/context.h"
#include "model/minimax_m1.h"

namespace minimax::engine {

/// Keeps a graph for each number of sequences and each power of two of pages a sequence may have, with memory of its
/// own; a launch then costs the host microseconds. Not thread-safe.
class StepGraph {
 public:
  /// `model` and what `ctx` points to must outlive the graphs; so must the caches given to forward().
  StepGraph(const MiniMaxM1& model, const Context& ctx);
  ~StepGraph();

  /// A batch with one token of each of a few sequences; others take MiniMaxM1::forward.
  static bool takes(const Batch& batch);

  /// As MiniMaxM1::forward, the same caches every time. The logits are overwritten by the next call.
  Tensor forward(const Batch& batch, std::span<LayerCache> caches);

 private:
  struct Recorded;
  std::unique_ptr<Recorded> record(const Batch& batch, int64_t max_pages, std::span<LayerCache> caches);

  const MiniMaxM1& model_;
  Context ctx_;
  std::map<std::pair<int64_t, int64_t>, std::unique_ptr<Recorded>> recorded_;  // by sequences and pages
};

}  // namespace minimax::engine
