#include "model/placement.h"

#include <algorithm>

#include "cuda/gpu.h"
#include "quant/panel.h"

namespace minimax {
namespace {

constexpr int64_t kFewTerms = 128;

Tensor as_dtype(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  const Tensor wide = to_float32(x);
  if (dtype == DType::kFloat32) return wide;
  const Tensor out = Tensor::empty(x.shape(), DType::kBFloat16);
  std::transform(wide.span<float>().begin(), wide.span<float>().end(), out.data<bfloat16>(),
                 [](float value) { return to_bfloat16(value); });
  return out;
}

/// weight += scale * up down.
void add_adapter(const LowRank& adapter, const Tensor& weight, ThreadPool* threads) {
  const int64_t columns = weight.dim(1), rank = adapter.down.dim(0);
  const auto add = [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t r = 0; r < rank; ++r) {
        const float factor = adapter.scale * adapter.up.data<float>()[row * rank + r];
        for (int64_t column = 0; column < columns; ++column)
          weight.data<float>()[row * columns + column] += factor * adapter.down.data<float>()[r * columns + column];
      }
  };
  threads ? threads->parallel_for(weight.dim(0), 16, add) : add(0, weight.dim(0));
}

/// The matrix as dense numbers of a type.
Tensor dense(const Weight& weight, DType dtype, ThreadPool* threads) {
  if (!weight.format) return as_dtype(weight.data, dtype);
  const int64_t rows = weight.outputs(), columns = weight.inputs();
  const Tensor wide = Tensor::empty({rows, columns}, DType::kFloat32);
  const auto unpack = [&](int64_t begin, int64_t end) {
    quant::dequantize_rows(*weight.format, columns, static_cast<const std::byte*>(weight.data.raw()), begin,
                           end - begin, wide.data<float>() + begin * columns);
  };
  threads ? threads->parallel_for(rows, quant::kPanelRows, unpack) : unpack(0, rows);
  if (weight.adapter) add_adapter(*weight.adapter, wide, threads);
  return as_dtype(wide, dtype);
}

/// Adds up what the weights take there, or puts them there.
class Placement {
 public:
  Placement(cuda::Gpu& gpu, MatmulPrecision precision, std::optional<DType> dtype, ThreadPool* threads)
      : gpu_(gpu), precision_(precision), dtype_(dtype), threads_(threads) {}

  /// Bytes of all weights of `model` on the device.
  int64_t measure(MiniMaxM1 model) {
    measuring_ = true;
    bytes_ = 0;
    visit(model);
    measuring_ = false;
    return bytes_;
  }
  void visit(MiniMaxM1& model);

 private:
  DType matrix_dtype(const Weight& weight) const {
    if (dtype_) return *dtype_;
    const DType held = weight.format ? DType::kFloat32 : weight.data.dtype();
    // Products of so few terms do not gain from tensor cores what rounding takes from a small model.
    if (held == DType::kFloat32 && weight.inputs() <= kFewTerms) return DType::kFloat32;
    if (precision_ == MatmulPrecision::kBFloat16) return DType::kBFloat16;
    return held == DType::kFloat16 ? DType::kFloat32 : held;
  }
  void put(Tensor& x, DType dtype) {
    if (measuring_)
      bytes_ += x.elements() * size_of(dtype);
    else
      x = to_memory(as_dtype(x, dtype), &gpu_);
  }
  void matrix(Weight& weight) {
    if (stays_packed(weight)) {
      if (measuring_)
        bytes_ += weight.data.bytes();
      else
        weight.data = to_memory(weight.data, &gpu_);
      return;
    }
    const DType dtype = matrix_dtype(weight);
    if (measuring_)
      bytes_ += weight.outputs() * weight.inputs() * size_of(dtype);
    else
      weight = {to_memory(dense(weight, dtype, threads_), &gpu_)};
  }
  void exact(Tensor& x) { put(x, DType::kFloat32); }

  /// An adapter is added to numbers.
  bool stays_packed(const Weight& weight) const { return weight.format && !weight.adapter && !dtype_; }
  /// Whether one launch can serve them packed.
  bool packed_alike(const std::vector<ExpertWeights>& experts) const {
    return std::all_of(experts.begin(), experts.end(), [&](const ExpertWeights& expert) {
      return stays_packed(expert.gate) && stays_packed(expert.up) && stays_packed(expert.down) &&
             expert.gate.format == experts[0].gate.format && expert.up.format == experts[0].gate.format &&
             expert.down.format == experts[0].down.format;
    });
  }
  void side_by_side(std::vector<ExpertWeights>& experts) {
    int64_t size = 0;
    for (const Weight* weight : {&experts[0].gate, &experts[0].up, &experts[0].down}) size += weight->data.bytes();
    size *= static_cast<int64_t>(experts.size());
    bytes_ += size;
    if (measuring_) return;
    const Tensor block = Tensor::empty({size}, DType::kUInt8, &gpu_);
    int64_t next = 0;
    for (ExpertWeights& expert : experts)
      for (Weight* weight : {&expert.gate, &expert.up, &expert.down}) {
        const int64_t bytes = weight->data.bytes();
        const Tensor place = block.rows(next, next + bytes).view(weight->data.shape());
        copy_bytes(weight->data, place);
        weight->data = place;
        next += bytes;
      }
  }

  void experts(std::vector<ExpertWeights>& experts) {
    if (experts.empty()) return;
    if (packed_alike(experts)) {
      side_by_side(experts);
      return;
    }
    const DType dtype = matrix_dtype(experts[0].gate);
    const int64_t size = experts[0].gate.outputs() * experts[0].gate.inputs();
    const auto count = static_cast<int64_t>(experts.size());
    bytes_ += count * 3 * size * size_of(dtype);
    if (measuring_) return;
    const Tensor block = Tensor::empty({count * 3 * size}, dtype, &gpu_);
    int64_t next = 0;
    for (ExpertWeights& expert : experts)
      for (Weight* weight : {&expert.gate, &expert.up, &expert.down}) {
        const Tensor place = block.rows(next, next + size).view(weight->shape());
        copy_bytes(dense(*weight, dtype, threads_), place);
        *weight = {place};
        next += size;
      }
  }

  cuda::Gpu& gpu_;
  MatmulPrecision precision_;
  std::optional<DType> dtype_;
  ThreadPool* threads_;
  bool measuring_ = false;
  int64_t bytes_ = 0;
};

void Placement::visit(MiniMaxM1& model) {
  const bool tied = model.lm_head.data.raw() == model.embed_tokens.data.raw();
  matrix(model.embed_tokens);
  for (DecoderLayer& layer : model.layers) {
    exact(layer.attention_norm);
    exact(layer.moe_norm);
    if (auto* lightning = std::get_if<LightningAttention>(&layer.attention)) {
      for (Weight* weight : {&lightning->qkv_proj, &lightning->output_gate, &lightning->out_proj}) matrix(*weight);
      exact(lightning->norm);
      exact(lightning->decay);
    } else {
      auto& softmax = std::get<SoftmaxAttention>(layer.attention);
      for (Weight* weight : {&softmax.q_proj, &softmax.k_proj, &softmax.v_proj, &softmax.o_proj}) matrix(*weight);
    }
    exact(layer.moe.router.data);
    experts(layer.moe.experts);
    if (!layer.moe.shared) continue;
    ExpertWeights& shared = layer.moe.shared->expert;
    for (Weight* weight : {&shared.gate, &shared.up, &shared.down}) matrix(*weight);
    exact(layer.moe.shared->coefficient.data);
  }
  exact(model.norm);
  if (tied)
    model.lm_head = model.embed_tokens;
  else
    matrix(model.lm_head);
}

}  // namespace

MiniMaxM1 place_model(const Context& ctx, const MiniMaxM1& model, std::optional<DType> dtype) {
  if (ctx.device == Device::kCpu) return model;
  Placement placement(*ctx.gpu, ctx.matmul_precision, dtype, ctx.threads);
  const int64_t needed = placement.measure(model), free = ctx.gpu->free_bytes();
  MM_CHECK_KIND(kOutOfMemory, needed <= free, "the model's weights take ", needed, " bytes on the GPU, ", free,
                " are free");
  MiniMaxM1 out = model;
  out.known_dead_ids = model.dead_ids();
  placement.visit(out);
  return out;
}

}  // namespace minimax
