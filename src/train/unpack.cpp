#include "train/unpack.h"

#include "quant/panel.h"

namespace minimax::train {

void for_each_matrix(MiniMaxM1& model, const std::function<void(Weight& weight)>& visit) {
  visit(model.embed_tokens);
  for (DecoderLayer& layer : model.layers) {
    if (auto* lightning = std::get_if<LightningAttention>(&layer.attention)) {
      for (Weight* weight : {&lightning->qkv_proj, &lightning->output_gate, &lightning->out_proj}) visit(*weight);
    } else {
      auto& softmax = std::get<SoftmaxAttention>(layer.attention);
      for (Weight* weight : {&softmax.q_proj, &softmax.k_proj, &softmax.v_proj, &softmax.o_proj}) visit(*weight);
    }
    const auto visit_expert = [&](ExpertWeights& expert) {
      for (Weight* weight : {&expert.gate, &expert.up, &expert.down}) visit(*weight);
    };
    for (ExpertWeights& expert : layer.moe.experts) visit_expert(expert);
    if (layer.moe.shared) visit_expert(layer.moe.shared->expert);
  }
  if (model.config.tied_embeddings)
    model.lm_head = model.embed_tokens;
  else
    visit(model.lm_head);
}

Tensor unpack(const Weight& weight, ThreadPool& threads) {
  const int64_t inputs = weight.inputs();
  const Tensor out = Tensor::empty({weight.outputs(), inputs}, DType::kFloat32);
  threads.parallel_for(weight.outputs(), quant::kPanelRows, [&](int64_t begin, int64_t end) {
    quant::dequantize_rows(*weight.format, inputs, static_cast<const std::byte*>(weight.data.raw()), begin, end - begin,
                           out.data<float>() + begin * inputs);
  });
  return out;
}

bool is_packed(const MiniMaxM1& model) {
  bool found = false;
  MiniMaxM1 handles = model;  // shares the bytes
  for_each_matrix(handles, [&](Weight& weight) { found = found || weight.format; });
  return found;
}

MiniMaxM1 unpacked(MiniMaxM1 model, ThreadPool& threads) {
  for_each_matrix(model, [&](Weight& weight) {
    if (weight.format) weight = {unpack(weight, threads), {}, {}};
  });
  return model;
}

}  // namespace minimax::train
