#include "model/random.h"

#include <cmath>

#include "core/rng.h"
#include "cuda/row_ops.h"

namespace minimax {
namespace {

/// Draws matrices one after the other, each from a stream of its own.
class Source {
 public:
  Source(double standard_deviation, DType dtype, uint64_t seed, ThreadPool& threads)
      : width_(static_cast<float>(2 * std::sqrt(3.0) * standard_deviation)),
        dtype_(dtype),
        seed_(seed),
        threads_(threads) {}

  Weight weight(int64_t outputs, int64_t inputs) { return {matrix(outputs, inputs, dtype_)}; }

  Tensor matrix(int64_t outputs, int64_t inputs, DType dtype) {
    const Tensor out = Tensor::empty({outputs, inputs}, dtype);
    const uint64_t stream = next_stream_++;
    constexpr int64_t kBlock = 8;  // values from one Philox block: 16 bits each
    threads_.parallel_for((out.elements() + kBlock - 1) / kBlock, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        const auto words = philox(seed_, stream, static_cast<uint64_t>(block));
        for (int64_t i = 0; i < kBlock && block * kBlock + i < out.elements(); ++i)
          put(out, block * kBlock + i, static_cast<uint16_t>(words[i / 2] >> (16 * (i % 2))));
      }
    });
    return out;
  }

 private:
  void put(const Tensor& out, int64_t index, uint16_t bits) const {
    const float value = ((static_cast<float>(bits) + 0.5f) / 65536.0f - 0.5f) * width_;
    switch (out.dtype()) {
      case DType::kBFloat16:
        static_cast<bfloat16*>(out.raw())[index] = to_bfloat16(value);
        break;
      case DType::kFloat16:
        static_cast<float16*>(out.raw())[index] = to_float16(value);
        break;
      default:
        static_cast<float*>(out.raw())[index] = value;
    }
  }

  float width_;
  DType dtype_;
  uint64_t seed_;
  ThreadPool& threads_;
  uint64_t next_stream_ = 0;
};

Tensor ones(int64_t size) {
  Tensor out = Tensor::empty({size}, DType::kFloat32);
  std::fill_n(out.data<float>(), size, 1.0f);
  return out;
}

/// Draws matrices on a GPU.
class GpuSource {
 public:
  GpuSource(const Context& ctx, double standard_deviation, DType dtype, uint64_t seed)
      : ctx_(ctx), limit_(static_cast<float>(std::sqrt(3.0) * standard_deviation)), dtype_(dtype), seed_(seed) {}

  Tensor matrix(Shape shape, DType dtype) {
    const Tensor out = Tensor::empty(shape, dtype, ctx_.gpu);
    cuda::random_uniform(ctx_, seed_ * 0x9e3779b97f4a7c15u + next_stream_++, limit_, out);
    return out;
  }
  Weight weight(int64_t outputs, int64_t inputs) { return {matrix({outputs, inputs}, dtype_)}; }
  Tensor ones(int64_t size) { return to_memory(minimax::ones(size), ctx_.gpu); }

  std::vector<ExpertWeights> experts(int64_t count, int64_t ffn, int64_t hidden) {
    const int64_t size = ffn * hidden;
    const Tensor block = matrix({count * 3 * size}, dtype_);
    std::vector<ExpertWeights> out;
    for (int64_t e = 0; e < count; ++e) {
      const auto part = [&](int64_t i, int64_t rows, int64_t columns) {
        return Weight{block.rows((3 * e + i) * size, (3 * e + i + 1) * size).view({rows, columns})};
      };
      out.push_back({part(0, ffn, hidden), part(1, ffn, hidden), part(2, hidden, ffn)});
    }
    return out;
  }

 private:
  const Context& ctx_;
  float limit_;
  DType dtype_;
  uint64_t seed_;
  uint64_t next_stream_ = 1;
};

}  // namespace

MiniMaxM1 random_model(const Context& ctx, const ModelConfig& config, DType dtype, uint64_t seed) {
  if (ctx.device == Device::kCpu) return random_model(config, dtype, seed, *ctx.threads);
  MM_CHECK(dtype == DType::kFloat32 || dtype == DType::kBFloat16, "random_model on a GPU: dtype is ", dtype,
           ", expected F32 or BF16");
  validate(config, "random_model");
  GpuSource source(ctx, config.initializer_range, dtype, seed);
  const int64_t hidden = config.hidden, width = config.attention_dim();
  MiniMaxM1 model{.config = config};
  model.known_dead_ids.emplace();
  model.embed_tokens = source.weight(config.vocab, hidden);
  for (int64_t i = 0; i < config.layers; ++i) {
    DecoderLayer& layer = model.layers.emplace_back(empty_layer(config, i));
    layer.attention_norm = source.ones(hidden);
    layer.moe_norm = source.ones(hidden);
    if (auto* lightning = std::get_if<LightningAttention>(&layer.attention)) {
      lightning->qkv_proj = source.weight(3 * width, hidden);
      lightning->output_gate = source.weight(width, hidden);
      lightning->out_proj = source.weight(hidden, width);
      lightning->norm = source.ones(width);
      lightning->decay = to_memory(lightning->decay, ctx.gpu);
    } else {
      auto& softmax = std::get<SoftmaxAttention>(layer.attention);
      softmax.q_proj = source.weight(width, hidden);
      softmax.k_proj = source.weight(config.kv_dim(), hidden);
      softmax.v_proj = source.weight(config.kv_dim(), hidden);
      softmax.o_proj = source.weight(hidden, width);
    }
    layer.moe.router = {source.matrix({config.experts, hidden}, DType::kFloat32)};
    layer.moe.experts = source.experts(config.experts, config.ffn, hidden);
    if (config.shared_ffn > 0)
      layer.moe.shared = {source.experts(1, config.shared_ffn, hidden)[0],
                          {source.matrix({1, hidden}, DType::kFloat32)}};
  }
  model.norm = source.ones(hidden);
  model.lm_head = config.tied_embeddings ? model.embed_tokens : source.weight(config.vocab, hidden);
  return model;
}

MiniMaxM1 random_model(const ModelConfig& config, DType dtype, uint64_t seed, ThreadPool& threads) {
  MM_CHECK(dtype == DType::kFloat32 || dtype == DType::kBFloat16 || dtype == DType::kFloat16, "random_model: dtype is ",
           dtype, ", expected F32, BF16 or F16");
  validate(config, "random_model");
  Source source(config.initializer_range, dtype, seed, threads);
  const int64_t hidden = config.hidden, width = config.attention_dim();
  auto expert = [&](int64_t ffn) {
    return ExpertWeights{source.weight(ffn, hidden), source.weight(ffn, hidden), source.weight(hidden, ffn)};
  };

  MiniMaxM1 model{.config = config};
  model.embed_tokens = source.weight(config.vocab, hidden);
  for (int64_t i = 0; i < config.layers; ++i) {
    DecoderLayer& layer = model.layers.emplace_back(empty_layer(config, i));
    layer.attention_norm = ones(hidden);
    layer.moe_norm = ones(hidden);
    if (auto* lightning = std::get_if<LightningAttention>(&layer.attention)) {
      lightning->qkv_proj = source.weight(3 * width, hidden);
      lightning->output_gate = source.weight(width, hidden);
      lightning->out_proj = source.weight(hidden, width);
      lightning->norm = ones(width);
    } else {
      auto& softmax = std::get<SoftmaxAttention>(layer.attention);
      softmax.q_proj = source.weight(width, hidden);
      softmax.k_proj = source.weight(config.kv_dim(), hidden);
      softmax.v_proj = source.weight(config.kv_dim(), hidden);
      softmax.o_proj = source.weight(hidden, width);
    }
    layer.moe.router = {source.matrix(config.experts, hidden, DType::kFloat32)};
    for (int64_t e = 0; e < config.experts; ++e) layer.moe.experts.push_back(expert(config.ffn));
    if (config.shared_ffn > 0)
      layer.moe.shared = {expert(config.shared_ffn), {source.matrix(1, hidden, DType::kFloat32)}};
  }
  model.norm = ones(hidden);
  model.lm_head = config.tied_embeddings ? model.embed_tokens : source.weight(config.vocab, hidden);
  return model;
}

}  // namespace minimax
