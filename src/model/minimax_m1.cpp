#include "model/minimax_m1.h"

#include <algorithm>
#include <cstring>

#include "core/tape.h"
#include "ops/activation.h"
#include "ops/embedding.h"
#include "ops/gather.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/rotary.h"
#include "quant/panel.h"

namespace minimax {
namespace {

/// The last ids of the vocabulary, whose embedding rows are looked at too: special tokens and padding live there, and a
/// whole 2.4 GB embedding table need not be read to find them.
constexpr int64_t kPaddingIds = 4096;

/// Looks at the first group of a packed row, which lies where it would in a matrix of that group alone, and at the rest
/// when that is zero.
bool packed_row_is_zero(const Weight& weight, int64_t row) {
  const quant::Format format = *weight.format;
  const auto* packed = static_cast<const std::byte*>(weight.data.raw());
  const std::byte* panel = packed + row / quant::kPanelRows * quant::panel_bytes(format, weight.inputs());
  for (const int64_t inputs : {std::min(quant::kGroup, weight.inputs()), weight.inputs()}) {
    std::vector<float> values(static_cast<size_t>(inputs));
    quant::dequantize_rows(format, inputs, panel, row % quant::kPanelRows, 1, values.data());
    if (std::any_of(values.begin(), values.end(), [](float value) { return value != 0; })) return false;
  }
  return true;
}

bool row_is_zero(const Weight& weight, int64_t row) {
  if (weight.format) return packed_row_is_zero(weight, row);
  const Tensor& matrix = weight.data;
  const Tensor bytes = matrix.rows(row, row + 1);
  const auto* first = static_cast<const unsigned char*>(bytes.raw());
  const int64_t count = bytes.bytes();
  return count == 0 || (first[0] == 0 && std::memcmp(first, first + 1, static_cast<size_t>(count - 1)) == 0);
}

}  // namespace

Tensor DecoderLayer::forward(Context& ctx, const Tensor& x, const Tensor& rotary, const Batch& batch,
                             LayerCache* cache) const {
  Tensor h = ops::rms_norm(ctx, x, attention_norm, norm_eps);
  // Post-norm: the residual branch carries the normalised h, not x.
  Tensor residual = postnorm ? h : x;
  if (const auto* lightning = std::get_if<LightningAttention>(&attention))
    h = lightning->forward(ctx, h, batch, cache ? &cache->lightning : nullptr);
  else
    h = std::get<SoftmaxAttention>(attention).forward(ctx, h, rotary, batch, cache ? &cache->kv : nullptr);
  const Tensor y = ops::scaled_add(ctx, attention_alpha, residual, attention_beta, h);

  h = ops::rms_norm(ctx, y, moe_norm, norm_eps);
  residual = postnorm ? h : y;
  return ops::scaled_add(ctx, moe_alpha, residual, moe_beta, moe.forward(ctx, h));
}

DecoderLayer empty_layer(const ModelConfig& config, int64_t index) {
  DecoderLayer layer;
  const LayerKind kind = config.layer_kind[static_cast<size_t>(index)];
  if (kind == LayerKind::kLightning)
    layer.attention = LightningAttention{.decay = layer_decay(config, index),
                                         .norm_eps = static_cast<float>(config.lightning_norm_eps)};
  else
    layer.attention = SoftmaxAttention{.head_dim = config.head_dim};
  layer.moe.top_k = config.top_k;
  layer.attention_alpha = static_cast<float>(config.alpha(kind));
  layer.attention_beta = static_cast<float>(config.beta(kind));
  layer.moe_alpha = static_cast<float>(config.moe_alpha);
  layer.moe_beta = static_cast<float>(config.moe_beta);
  layer.norm_eps = static_cast<float>(config.norm_eps);
  layer.postnorm = config.postnorm;
  return layer;
}

Tensor MiniMaxM1::hidden(Context& ctx, const Batch& given, std::span<LayerCache> caches,
                         const HiddenObserver& observer) const {
  MM_CHECK(caches.empty() || caches.size() == layers.size(), "forward: ", caches.size(), " layer caches for ",
           layers.size(), " layers");
  ops::check_tokens(given.tokens, config.vocab);
  const Batch batch = place(ctx, given);
  const Tensor rotary = ops::rotary_table(ctx, batch.there().positions, config.rotary_dim, config.rope_theta);
  Tensor x = ops::embedding(ctx, embed_tokens, batch.there().tokens);
  for (size_t layer = 0; layer < layers.size(); ++layer) {
    if (observer) observer(static_cast<int64_t>(layer), x);
    const auto forward = [=, this, cache = caches.empty() ? nullptr : &caches[layer]](Context& ctx) {
      return layers[layer].forward(ctx, x, rotary, batch, cache);
    };
    x = ctx.tape && ctx.checkpoint_layers ? checkpoint(ctx, forward) : forward(ctx);
  }
  x = ops::rms_norm(ctx, x, norm, static_cast<float>(config.norm_eps));
  if (observer) observer(static_cast<int64_t>(layers.size()), x);
  return x;
}

Tensor MiniMaxM1::forward(Context& ctx, const Batch& given, std::span<LayerCache> caches,
                          const HiddenObserver& observer) const {
  const Batch batch = place(ctx, given);
  const Tensor x = hidden(ctx, batch, caches, observer);
  // The head is float32 from end to end: with a bfloat16 one the published engines lost characters and accuracy, and
  // rollout and trainer probabilities drifted apart (report, section on precision mismatch).
  return ops::linear_float32(ctx, ops::gather_rows(ctx, x, batch.there().rows), lm_head);
}

std::vector<int32_t> MiniMaxM1::dead_ids() const {
  if (known_dead_ids) return *known_dead_ids;
  std::vector<int32_t> ids;
  const int64_t vocab = lm_head.outputs();
  for (int64_t id = 0; id < vocab; ++id)
    if (row_is_zero(lm_head, id) || (id >= vocab - kPaddingIds && row_is_zero(embed_tokens, id)))
      ids.push_back(static_cast<int32_t>(id));
  return ids;
}

}  // namespace minimax
