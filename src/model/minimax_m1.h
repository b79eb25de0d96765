// MiniMax-M1: the whole forward pass, written once for prefill and decode.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "model/config.h"
#include "model/lightning_attention.h"
#include "model/moe.h"
#include "model/softmax_attention.h"

namespace minimax {

/// Norm, attention of either kind, norm, experts; the residual carries the normalised stream when postnorm is set.
struct DecoderLayer {
  Tensor attention_norm;  ///< [hidden] float32: input_layernorm
  Tensor moe_norm;        ///< [hidden] float32: post_attention_layernorm
  std::variant<LightningAttention, SoftmaxAttention> attention;
  MixtureOfExperts moe;
  float attention_alpha = 1, attention_beta = 1, moe_alpha = 1, moe_beta = 1;
  float norm_eps = 1e-5f;
  bool postnorm = true;

  /// x: [tokens, hidden] -> [tokens, hidden]. `cache` is null in training.
  Tensor forward(Context& ctx, const Tensor& x, const Tensor& rotary, const Batch& batch, LayerCache* cache) const;
};

/// Layer `index` of a model of this shape with everything but its weights in place: kind, residual scales, decays.
DecoderLayer empty_layer(const ModelConfig& config, int64_t index);

/// Sees the hidden states as they pass: 0 is the embedding's output, n the output of layer n - 1; the last one
/// (index = layers) comes after the final norm. Shape [tokens, hidden].
using HiddenObserver = std::function<void(int64_t index, const Tensor& hidden)>;

struct MiniMaxM1 {
  ModelConfig config;
  Weight embed_tokens;  ///< [vocab, hidden]
  std::vector<DecoderLayer> layers;
  Tensor norm;     ///< [hidden] float32
  Weight lm_head;  ///< [vocab, hidden]
  /// dead_ids() of a model that was placed on a device; nothing: the rows are looked at.
  std::optional<std::vector<int32_t>> known_dead_ids;

  /// Logits of batch.rows: [rows, vocab] float32, in the order of batch.rows. `caches` has one entry for each layer, or
  /// is empty (training: every sequence from position 0, nothing kept). Dead ids are not masked here: see dead_ids().
  Tensor forward(Context& ctx, const Batch& batch, std::span<LayerCache> caches,
                 const HiddenObserver& observer = {}) const;

  /// The hidden states after the final norm, [tokens, hidden]: forward without the head.
  Tensor hidden(Context& ctx, const Batch& batch, std::span<LayerCache> caches,
                const HiddenObserver& observer = {}) const;

  /// Ids that were never trained: their lm_head row is all zero, or, in the padding at the vocabulary's end, their
  /// embedding row is. A zero row's logit is exactly 0, which can beat the real ones; such ids are never sampled.
  /// Reads one element of almost every head row: call it when the head is about to be read anyway.
  std::vector<int32_t> dead_ids() const;
};

}  // namespace minimax
