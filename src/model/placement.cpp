#include "model/placement.h"

#include <algorithm>

#include "cuda/gpu.h"

namespace minimax {
namespace {

Tensor as_dtype(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  const Tensor wide = to_float32(x);
  if (dtype == DType::kFloat32) return wide;
  const Tensor out = Tensor::empty(x.shape(), DType::kBFloat16);
  std::transform(wide.span<float>().begin(), wide.span<float>().end(), out.data<bfloat16>(),
                 [](float value) { return to_bfloat16(value); });
  return out;
}

class Placement {
 public:
  Placement(cuda::Gpu& gpu, MatmulPrecision precision, std::optional<DType> dtype)
      : gpu_(gpu), precision_(precision), dtype_(dtype) {}

  DType matrix_dtype(const Tensor& x) const {
    if (dtype_) return *dtype_;
    if (precision_ == MatmulPrecision::kBFloat16) return DType::kBFloat16;
    return x.dtype() == DType::kFloat16 ? DType::kFloat32 : x.dtype();
  }
  void matrix(Weight& weight) const {
    weight.data = to_memory(as_dtype(weight.data, matrix_dtype(weight.data)), &gpu_);
  }
  void exact(Tensor& x) const { x = to_memory(to_float32(x), &gpu_); }

  void experts(std::vector<ExpertWeights>& experts) const {
    if (experts.empty()) return;
    const DType dtype = matrix_dtype(experts[0].gate.data);
    const int64_t size = experts[0].gate.data.elements();
    const auto count = static_cast<int64_t>(experts.size());
    const Tensor block = Tensor::empty({count * 3 * size}, dtype, &gpu_);
    int64_t next = 0;
    for (ExpertWeights& expert : experts)
      for (Weight* weight : {&expert.gate, &expert.up, &expert.down}) {
        const Tensor place = block.rows(next, next + size).view(weight->data.shape());
        copy_bytes(as_dtype(weight->data, dtype), place);
        weight->data = place;
        next += size;
      }
  }

 private:
  cuda::Gpu& gpu_;
  MatmulPrecision precision_;
  std::optional<DType> dtype_;
};

}  // namespace

MiniMaxM1 place_model(const Context& ctx, const MiniMaxM1& model, std::optional<DType> dtype) {
  if (ctx.device == Device::kCpu) return model;
  const Placement place(*ctx.gpu, ctx.matmul_precision, dtype);
  MiniMaxM1 out = model;
  out.known_dead_ids = model.dead_ids();
  place.matrix(out.embed_tokens);
  for (DecoderLayer& layer : out.layers) {
    place.exact(layer.attention_norm);
    place.exact(layer.moe_norm);
    if (auto* lightning = std::get_if<LightningAttention>(&layer.attention)) {
      for (Weight* weight : {&lightning->qkv_proj, &lightning->output_gate, &lightning->out_proj})
        place.matrix(*weight);
      place.exact(lightning->norm);
      place.exact(lightning->decay);
    } else {
      auto& softmax = std::get<SoftmaxAttention>(layer.attention);
      for (Weight* weight : {&softmax.q_proj, &softmax.k_proj, &softmax.v_proj, &softmax.o_proj}) place.matrix(*weight);
    }
    place.exact(layer.moe.router.data);
    place.experts(layer.moe.experts);
    if (layer.moe.shared) {
      for (Weight* weight :
           {&layer.moe.shared->expert.gate, &layer.moe.shared->expert.up, &layer.moe.shared->expert.down})
        place.matrix(*weight);
      place.exact(layer.moe.shared->coefficient.data);
    }
  }
  place.exact(out.norm);
  if (model.lm_head.data.raw() == model.embed_tokens.data.raw())
    out.lm_head = out.embed_tokens;
  else
    place.matrix(out.lm_head);
  return out;
}

}  // namespace minimax
