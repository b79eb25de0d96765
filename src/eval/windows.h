// Texts cut into windows, and a model that reads them: what perplexity, comparison and calibration share.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/context.h"
#include "engine/state/state_cache.h"
#include "model/minimax_m1.h"

namespace minimax::eval {

/// Ids that are read together, from an empty state.
struct Window {
  std::vector<int32_t> ids;
  std::vector<bool> targets = {};  ///< [ids] which of them are to be predicted; empty: all but the first

  bool counts(size_t position) const { return position > 0 && (targets.empty() || targets[position]); }
};

/// Consecutive pieces of `length` ids, the last one shorter; one of fewer than two ids is left out, for it has nothing
/// to predict. At most `most_tokens` ids in all; 0: no limit.
std::vector<Window> windows_of(std::span<const int32_t> ids, int64_t length, int64_t most_tokens = 0);

/// Reads one window at a time through the caches, from an empty state, some tokens a step.
class WindowReader {
 public:
  /// `chunk` tokens a step: it bounds the logits that exist at a time, chunk * vocab floats.
  WindowReader(const MiniMaxM1& model, const Context& ctx, int64_t longest_window, int64_t chunk = 128);
  ~WindowReader();
  WindowReader(const WindowReader&) = delete;
  WindowReader& operator=(const WindowReader&) = delete;

  /// From here on steps are of this window, which must outlive them.
  void start(std::span<const int32_t> window);

  /// Logits of positions first, first + 1, ... on the host: [rows, vocab] float32, dead ids included.
  struct Step {
    int64_t first = 0;
    Tensor logits;
  };
  /// Sees what MiniMaxM1::forward shows of a step's positions, on the host, before the step is done.
  using HiddenVisitor = std::function<void(int64_t index, const Tensor& hidden)>;
  /// Nothing at the window's end. The tensor is good until the next step of any reader with the same arena.
  std::optional<Step> step(const HiddenVisitor& on_hidden = {});

 private:
  const MiniMaxM1& model_;
  Context ctx_;
  int64_t chunk_;
  engine::StateCache cache_;
  engine::Sequence sequence_;
  std::span<const int32_t> window_;
};

/// A mean over tokens, with an error that knows that neighbours are alike: that of the means of stretches of 64 tokens
/// (of single ones below 4 stretches).
class Mean {
 public:
  void add(double value);
  int64_t count() const { return count_; }
  double value() const;           ///< 0 of nothing
  double standard_error() const;  ///< 0 of fewer than two values

 private:
  static constexpr int64_t kStretch = 64;
  struct Moments {
    double sum = 0, square = 0;
    int64_t count = 0;
    void add(double value);
    double error() const;
  };

  int64_t count_ = 0;
  double stretch_sum_ = 0;
  Moments single_, stretches_;
};

}  // namespace minimax::eval
