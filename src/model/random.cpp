#include "model/random.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>

#include "core/rng.h"
#include "cuda/row_ops.h"
#include "model/tensor_names.h"
#include "quant/quantize.h"

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

  Weight weight(quant::Role, const std::string&, int64_t outputs, int64_t inputs) {
    return {matrix(outputs, inputs, dtype_)};
  }

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

/// Draws packed matrices where a recipe asks for them: some panels, again and again.
class PackedSource {
 public:
  PackedSource(const quant::Recipe& recipe, double standard_deviation, uint64_t seed, ThreadPool& threads)
      : recipe_(recipe), dense_(standard_deviation, DType::kBFloat16, seed, threads), threads_(threads) {}

  Weight weight(quant::Role role, const std::string& name, int64_t outputs, int64_t inputs) {
    const quant::Storage storage = recipe_.choose(role, name);
    if (!storage.quantized()) return dense_.weight(role, name, outputs, inputs);
    const Tensor& pattern = pattern_of(storage.format, inputs);
    const int64_t panels = quant::panel_count(outputs), bytes = quant::panel_bytes(storage.format, inputs);
    const Tensor data = huge_tensor({panels, bytes});
    const int64_t start = next_panel_;
    next_panel_ += panels;
    threads_.parallel_for(panels, 8, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; ++panel)
        std::memcpy(data.data<uint8_t>() + panel * bytes,
                    pattern.data<uint8_t>() + (start + panel) % kDistinctPanels * bytes, static_cast<size_t>(bytes));
    });
    return packed_weight(data, storage.format, outputs, inputs);
  }
  Tensor matrix(int64_t outputs, int64_t inputs, DType dtype) { return dense_.matrix(outputs, inputs, dtype); }

 private:
  static constexpr int64_t kDistinctPanels = 61;

  const Tensor& pattern_of(quant::Format format, int64_t inputs) {
    Tensor& pattern = patterns_[{format, inputs}];
    if (!pattern.defined()) {
      const Tensor values = dense_.matrix(kDistinctPanels * quant::kPanelRows, inputs, DType::kFloat32);
      pattern = Tensor::empty({kDistinctPanels, quant::panel_bytes(format, inputs)}, DType::kUInt8);
      quant::quantize_matrix(
          format, values.dim(0), inputs,
          [&](int64_t first, int64_t rows, float* out) {
            std::copy_n(values.data<float>() + first * inputs, rows * inputs, out);
          },
          nullptr, quant::Rounding::kNearest, threads_, reinterpret_cast<std::byte*>(pattern.data<uint8_t>()));
    }
    return pattern;
  }

  /// In huge pages where the system has them: a token's weights are then few entries of the processor's page tables.
  static Tensor huge_tensor(Shape shape) {
    constexpr size_t kHugePage = size_t{2} << 20;
    const auto bytes = static_cast<size_t>(shape.elements());
    const size_t mapped = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    void* memory = std::aligned_alloc(kHugePage, mapped);
    MM_CHECK_KIND(kOutOfMemory, memory != nullptr, "no room for a matrix of ", bytes, " bytes");
    madvise(memory, mapped, MADV_HUGEPAGE);
    return Tensor(std::shared_ptr<void>(memory, std::free), memory, shape, DType::kUInt8);
  }

  const quant::Recipe& recipe_;
  Source dense_;
  ThreadPool& threads_;
  std::map<std::pair<quant::Format, int64_t>, Tensor> patterns_;
  int64_t next_panel_ = 0;
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

namespace {

template <typename AnySource>
MiniMaxM1 draw_model(const ModelConfig& config, AnySource& source) {
  using quant::Role;
  const int64_t hidden = config.hidden, width = config.attention_dim();
  MiniMaxM1 model{.config = config};
  model.embed_tokens = source.weight(Role::kEmbedding, std::string(kEmbeddingName), config.vocab, hidden);
  for (int64_t i = 0; i < config.layers; ++i) {
    DecoderLayer& layer = model.layers.emplace_back(empty_layer(config, i));
    const auto attention = [&](std::string_view name, int64_t outputs, int64_t inputs) {
      return source.weight(Role::kAttention, layer_name(i, cat("self_attn.", name, ".weight")), outputs, inputs);
    };
    layer.attention_norm = ones(hidden);
    layer.moe_norm = ones(hidden);
    if (auto* lightning = std::get_if<LightningAttention>(&layer.attention)) {
      lightning->qkv_proj = attention("qkv_proj", 3 * width, hidden);
      lightning->output_gate = attention("output_gate", width, hidden);
      lightning->out_proj = attention("out_proj", hidden, width);
      lightning->norm = ones(width);
    } else {
      auto& softmax = std::get<SoftmaxAttention>(layer.attention);
      softmax.q_proj = attention("q_proj", width, hidden);
      softmax.k_proj = attention("k_proj", config.kv_dim(), hidden);
      softmax.v_proj = attention("v_proj", config.kv_dim(), hidden);
      softmax.o_proj = attention("o_proj", hidden, width);
    }
    layer.moe.router = {source.matrix(config.experts, hidden, DType::kFloat32)};
    for (int64_t e = 0; e < config.experts; ++e) {
      const auto expert = [&](std::string_view name, int64_t outputs, int64_t inputs) {
        return source.weight(Role::kExpert, expert_name(i, e, name), outputs, inputs);
      };
      // In braces, so in order: the same seed keeps giving the same weights.
      layer.moe.experts.push_back(ExpertWeights{expert("w1", config.ffn, hidden), expert("w3", config.ffn, hidden),
                                                expert("w2", hidden, config.ffn)});
    }
    if (config.shared_ffn > 0) {
      const auto shared = [&](std::string_view name, int64_t outputs, int64_t inputs) {
        return source.weight(Role::kShared, layer_name(i, cat("shared_mlp.", name, ".weight")), outputs, inputs);
      };
      ExpertWeights expert{shared("gate_proj", config.shared_ffn, hidden), shared("up_proj", config.shared_ffn, hidden),
                           shared("down_proj", hidden, config.shared_ffn)};
      layer.moe.shared = {std::move(expert), {source.matrix(1, hidden, DType::kFloat32)}};
    }
  }
  model.norm = ones(hidden);
  model.lm_head = config.tied_embeddings ? model.embed_tokens
                                         : source.weight(Role::kHead, std::string(kHeadName), config.vocab, hidden);
  return model;
}

}  // namespace

MiniMaxM1 random_model(const ModelConfig& config, DType dtype, uint64_t seed, ThreadPool& threads) {
  MM_CHECK(dtype == DType::kFloat32 || dtype == DType::kBFloat16 || dtype == DType::kFloat16, "random_model: dtype is ",
           dtype, ", expected F32, BF16 or F16");
  validate(config, "random_model");
  Source source(config.initializer_range, dtype, seed, threads);
  return draw_model(config, source);
}

MiniMaxM1 random_packed_model(const ModelConfig& config, const quant::Recipe& recipe, uint64_t seed,
                              ThreadPool& threads) {
  validate(config, "random_packed_model");
  PackedSource source(recipe, config.initializer_range, seed, threads);
  return draw_model(config, source);
}

}  // namespace minimax
