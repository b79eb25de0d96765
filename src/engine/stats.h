// EngineStats: what the engine has done and holds, for /metrics and for people.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "engine/finish_reason.h"

namespace minimax::engine {

/// Counts of values by upper bound, as Prometheus has them.
class Histogram {
 public:
  /// Seconds, from one millisecond to about half an hour.
  static constexpr std::array<double, 20> kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                                     2.5,   5,      10,    20,   40,    80,   160, 320,  640, 1280};

  void add(double seconds);
  /// counts()[i]: values <= kBounds[i] and above the bound before; the last one: values above all bounds.
  std::span<const int64_t> counts() const { return counts_; }
  int64_t total() const { return total_; }
  double sum() const { return sum_; }

 private:
  std::array<int64_t, kBounds.size() + 1> counts_{};
  int64_t total_ = 0;
  double sum_ = 0;
};

/// A snapshot; counters run from the engine's start.
struct EngineStats {
  // Now.
  int64_t requests_waiting = 0, requests_running = 0;
  int64_t sequences_running = 0;
  int64_t memory_bytes = 0, memory_limit_bytes = 0;  ///< pages + slots + snapshots, and their one budget
  int64_t pages_used = 0, page_bytes = 0;            ///< KV pages of 64 tokens over all softmax layers
  int64_t slots_used = 0, slot_bytes = 0;            ///< lightning states and windows of running sequences
  int64_t snapshot_bytes = 0;                        ///< lightning states kept by the prefix cache
  int64_t cached_pages = 0, cached_snapshots = 0;    ///< held by the prefix cache (pages may be in use as well)
  int64_t spilled_bytes = 0;                         ///< of cached prefixes that lie on disk
  int64_t sessions = 0;
  int64_t weights_version = 0;

  // Counters.
  int64_t steps = 0;
  double forward_seconds = 0;  ///< of the steps: forward passes, until their logits or tokens are on the host
  int64_t requests_submitted = 0, requests_refused = 0, requests_finished = 0, requests_failed = 0;
  int64_t requests_cancelled = 0, requests_past_deadline = 0;
  int64_t prompt_tokens = 0;  ///< computed; cached ones not counted
  int64_t generated_tokens = 0, reasoning_tokens = 0;
  int64_t cache_queries = 0, cache_query_tokens = 0, cache_hit_tokens = 0;
  int64_t cache_evictions = 0, cache_spills = 0, cache_spill_loads = 0;
  int64_t preemptions = 0, recomputed_tokens = 0;  ///< tokens that a preemption without room for a snapshot cost
  int64_t drafted_tokens = 0, accepted_tokens = 0;
  int64_t thinking_budget_hits = 0, loop_guard_hits = 0;
  std::array<int64_t, kFinishReasons> answers_finished{};  ///< by FinishReason

  Histogram queue_seconds, time_to_first_token, inter_token, request_seconds, step_seconds;
};

}  // namespace minimax::engine
