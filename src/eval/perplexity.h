// How well a model predicts a text, and how far two models are apart on it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "eval/windows.h"

namespace minimax::eval {

/// exp of the mean of -log p of each token that counts, given those before it in its window.
struct Perplexity {
  Mean loss;  ///< nats a token

  double value() const;
  double standard_error() const;  ///< value * error of the loss
};

using TokenProgress = std::function<void(int64_t done, int64_t total)>;

Perplexity perplexity(const MiniMaxM1& model, const Context& ctx, const std::vector<Window>& windows,
                      const TokenProgress& progress = {});

/// A model beside a reference on the same tokens.
struct Comparison {
  Perplexity reference, model;
  Mean divergence;       ///< KL(reference || model) of each next-token distribution, nats
  Mean loss_difference;  ///< of the model less the reference: closer than the difference of two perplexities
  double largest_divergence = 0;
  double divergence_99 = 0;  ///< 99 in 100 tokens are below
  Mean same_top;             ///< 1 where both have the same likeliest token
  /// sqrt(sum of squared differences / sum of squares) of hidden states: [layers + 1], the embedding's output first,
  /// the last one after the final norm.
  std::vector<double> hidden_error;
};

/// Both read the same windows side by side. Throws kInvalidArgument when vocabularies or layers differ.
Comparison compare(const MiniMaxM1& model, const MiniMaxM1& reference, const Context& ctx,
                   const std::vector<Window>& windows, const TokenProgress& progress = {});

/// KL(p || q) in nats of two rows of logits of the same length; both include dead ids.
double divergence(std::span<const float> p_logits, std::span<const float> q_logits);

}  // namespace minimax::eval
