#include "model/quantize_weights.h"

#include <algorithm>

#include "model/tensor_names.h"
#include "quant/quantize.h"

namespace minimax {
namespace {

class Quantizer {
 public:
  Quantizer(const ChooseFormat& choose, ThreadPool& threads) : choose_(choose), threads_(threads) {}

  void matrix(const std::string& name, Weight& weight) const {
    if (weight.format) return;
    const std::optional<quant::Format> format = choose_(name);
    if (!format) return;
    const int64_t outputs = weight.outputs(), inputs = weight.inputs();
    const Tensor data =
        Tensor::empty({quant::panel_count(outputs), quant::panel_bytes(*format, inputs)}, DType::kUInt8);
    quant::quantize_matrix(
        *format, outputs, inputs,
        [&](int64_t first, int64_t rows, float* out) {
          const Tensor values = to_float32(weight.data.rows(first, first + rows));
          std::copy_n(values.data<float>(), values.elements(), out);
        },
        nullptr, quant::Rounding::kBest, threads_, reinterpret_cast<std::byte*>(data.data<uint8_t>()));
    weight = packed_weight(data, *format, outputs, inputs);
  }

  void layer(int64_t index, DecoderLayer& layer) const {
    const auto put = [&](std::string_view rest, Weight& weight) { matrix(layer_name(index, rest), weight); };
    if (auto* lightning = std::get_if<LightningAttention>(&layer.attention)) {
      put("self_attn.qkv_proj.weight", lightning->qkv_proj);
      put("self_attn.output_gate.weight", lightning->output_gate);
      put("self_attn.out_proj.weight", lightning->out_proj);
    } else {
      auto& softmax = std::get<SoftmaxAttention>(layer.attention);
      put("self_attn.q_proj.weight", softmax.q_proj);
      put("self_attn.k_proj.weight", softmax.k_proj);
      put("self_attn.v_proj.weight", softmax.v_proj);
      put("self_attn.o_proj.weight", softmax.o_proj);
    }
    for (size_t e = 0; e < layer.moe.experts.size(); ++e) {
      const auto expert = static_cast<int64_t>(e);
      matrix(expert_name(index, expert, "w1"), layer.moe.experts[e].gate);
      matrix(expert_name(index, expert, "w3"), layer.moe.experts[e].up);
      matrix(expert_name(index, expert, "w2"), layer.moe.experts[e].down);
    }
    if (!layer.moe.shared) return;
    put("shared_mlp.gate_proj.weight", layer.moe.shared->expert.gate);
    put("shared_mlp.up_proj.weight", layer.moe.shared->expert.up);
    put("shared_mlp.down_proj.weight", layer.moe.shared->expert.down);
  }

 private:
  const ChooseFormat& choose_;
  ThreadPool& threads_;
};

}  // namespace

void quantize_weights(MiniMaxM1& model, const ChooseFormat& choose, ThreadPool& threads) {
  const Quantizer quantizer(choose, threads);
  quantizer.matrix(std::string(kEmbeddingName), model.embed_tokens);
  for (size_t i = 0; i < model.layers.size(); ++i) quantizer.layer(static_cast<int64_t>(i), model.layers[i]);
  if (model.config.tied_embeddings)
    model.lm_head = model.embed_tokens;
  else
    quantizer.matrix(std::string(kHeadName), model.lm_head);
}

}  // namespace minimax
