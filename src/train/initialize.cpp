#include "train/initialize.h"

#include <algorithm>
#include <cmath>

#include "core/rng.h"
#include "model/parameters.h"
#include "model/random.h"
#include "model/tensor_names.h"

namespace minimax::train {
namespace {

void draw(const Tensor& matrix, double deviation, uint64_t seed, uint64_t stream, ThreadPool& threads) {
  float* values = matrix.data<float>();
  const int64_t columns = matrix.dim(1);
  // Each row starts at a place of its own in the stream, so that any thread may draw it.
  threads.parallel_for(matrix.dim(0), 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      Rng rng(seed, stream << 32 | static_cast<uint64_t>(row));
      for (int64_t i = row * columns; i < (row + 1) * columns; ++i)
        values[i] = static_cast<float>(deviation * rng.normal());
    }
  });
}

bool is_scaled_down(const std::string& name) {
  for (const char* end :
       {"self_attn.v_proj.weight", "self_attn.o_proj.weight", "self_attn.out_proj.weight", ".w1.weight", ".w2.weight",
        ".w3.weight", "shared_mlp.gate_proj.weight", "shared_mlp.up_proj.weight", "shared_mlp.down_proj.weight"})
    if (name.ends_with(end)) return true;
  return false;
}

void scale(std::span<float> values, float factor) {
  for (float& value : values) value *= factor;
}

}  // namespace

MiniMaxM1 initial_model(const ModelConfig& config, uint64_t seed, ThreadPool& threads) {
  MiniMaxM1 model = random_model(config, DType::kFloat32, seed, threads);
  const auto gain = static_cast<float>(std::pow(8.0 * static_cast<double>(config.layers), -0.25));
  uint64_t stream = 0;
  for_each_parameter(model, [&](const std::string& name, Tensor& value) {
    ++stream;
    if (value.rank() != 2) return;
    const bool vocabulary = name == kEmbeddingName || name == kHeadName;
    const auto fans = static_cast<double>(value.dim(0) + value.dim(1));
    draw(value, vocabulary ? config.initializer_range : std::sqrt(2 / fans), seed, stream, threads);
    if (is_scaled_down(name)) scale(value.span<float>(), gain);
    if (!name.ends_with("self_attn.qkv_proj.weight")) return;
    const int64_t head_values = config.head_dim * value.dim(1);
    for (int64_t head = 0; head < config.heads; ++head)
      scale(value.span<float>().subspan(static_cast<size_t>((3 * head + 2) * head_values),
                                        static_cast<size_t>(head_values)),
            gain);
  });
  return model;
}

}  // namespace minimax::train
