// Gradients of every weight in float64: the whole model from ops/reference.h, differentiated, on the batches that the
// trainer packs. What order, packing and passes leave as it is shows to 1e-12, and how far the float32 kernels are off.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>

#include "core/rng.h"
#include "model/parameters.h"
#include "model/random.h"
#include "model/tensor_names.h"
#include "ops/lightning.h"
#include "ops/reference.h"
#include "ops/traced.h"
#include "train/test_config.h"
#include "train/trainer.h"

namespace minimax::train {
namespace {

using reference::Traced;
using Matrix = reference::Matrix<Traced>;
using Values = std::map<std::string, std::vector<double>>;  // by name of the weight

/// MiniMaxM1 once more, from the published equations, over traced float64 weights.
class ReferenceModel {
 public:
  explicit ReferenceModel(const MiniMaxM1& model) : config_(model.config) {
    for (const Parameter& parameter : parameters(model)) {
      const Tensor& value = parameter.value;
      Matrix& matrix = weights_[parameter.name] =
          value.rank() == 1 ? Matrix(1, value.dim(0)) : Matrix(value.dim(0), value.dim(1));
      for (size_t i = 0; i < matrix.values.size(); ++i)
        matrix.values[i] = Traced::input(static_cast<double>(value.data<float>()[i]));
    }
  }

  /// log pi of `targets`, each after the token at its row. One sequence: [rows, 1].
  Matrix log_probs(std::span<const int32_t> tokens, std::span<const int32_t> rows,
                   std::span<const int32_t> targets) const {
    Matrix x = reference::embedding(at(std::string(kEmbeddingName)), tokens);
    for (int64_t layer = 0; layer < config_.layers; ++layer) x = decoder_layer(layer, x);
    x = reference::rms_norm(x, at(std::string(kFinalNormName)), config_.norm_eps);
    return reference::log_probs(reference::linear(reference::embedding(x, rows), at(std::string(kHeadName))), targets);
  }

  const std::map<std::string, Matrix>& weights() const { return weights_; }

 private:
  const Matrix& at(const std::string& name) const { return weights_.at(name); }

  Matrix decoder_layer(int64_t index, const Matrix& x) const {
    const LayerKind kind = config_.layer_kind[static_cast<size_t>(index)];
    const Matrix h = reference::rms_norm(x, at(layer_name(index, "input_layernorm.weight")), config_.norm_eps);
    const Matrix attended = kind == LayerKind::kLightning ? lightning(index, h) : softmax(index, h);
    const Matrix y = reference::scaled_add(config_.alpha(kind), h, config_.beta(kind), attended);
    const Matrix m = reference::rms_norm(y, at(layer_name(index, "post_attention_layernorm.weight")), config_.norm_eps);
    return reference::scaled_add(config_.moe_alpha, m, config_.moe_beta, mixture(index, m));
  }

  Matrix lightning(int64_t index, const Matrix& x) const {
    const auto weight = [&](const char* name) { return at(layer_name(index, name)); };
    const Tensor slopes = ops::lightning_slopes(config_.heads, config_.decay_factor(index));
    const Matrix qkv = reference::silu(reference::linear(x, weight("self_attn.qkv_proj.weight")));
    const Matrix o = reference::rms_norm(reference::lightning(qkv, slopes.span<float>()),
                                         weight("self_attn.norm.weight"), config_.lightning_norm_eps);
    const Matrix gate = reference::linear(x, weight("self_attn.output_gate.weight"));
    return reference::linear(reference::sigmoid_mul(gate, o), weight("self_attn.out_proj.weight"));
  }

  Matrix softmax(int64_t index, const Matrix& x) const {
    std::vector<int32_t> positions(static_cast<size_t>(x.rows));
    std::iota(positions.begin(), positions.end(), 0);
    const auto project = [&](const char* name) { return reference::linear(x, at(layer_name(index, name))); };
    const auto rotate = [&](const Matrix& heads) {
      return reference::rotate(heads, positions, config_.head_dim, config_.rotary_dim, config_.rope_theta);
    };
    const Matrix attended = reference::softmax_attention(rotate(project("self_attn.q_proj.weight")),
                                                         rotate(project("self_attn.k_proj.weight")),
                                                         project("self_attn.v_proj.weight"), config_.head_dim);
    return reference::linear(attended, at(layer_name(index, "self_attn.o_proj.weight")));
  }

  Matrix mixture(int64_t index, const Matrix& x) const {
    const Matrix logits = reference::linear(x, at(layer_name(index, "block_sparse_moe.gate.weight")));
    std::vector<reference::Expert<Traced>> experts;
    for (int64_t expert = 0; expert < config_.experts; ++expert)
      experts.push_back({at(expert_name(index, expert, "w1")), at(expert_name(index, expert, "w3")),
                         at(expert_name(index, expert, "w2"))});
    const auto chosen = reference::choose_experts(logits, config_.top_k);
    return reference::mix_experts(x, chosen, reference::routing_weights(logits, chosen), experts);
  }

  ModelConfig config_;
  std::map<std::string, Matrix> weights_;
};

/// Adds the gradients of one pass, as run_pass makes it, to `sum`.
void add_exact_pass(const MiniMaxM1& model, const TrainBatch& batch, const PolicyLoss& policy, Values& sum) {
  const reference::Trace trace;
  const ReferenceModel exact(model);
  std::vector<double> values;
  std::vector<int32_t> nodes;
  for (size_t seq = 0, row = 0; seq + 1 < batch.cu_seqlens.size(); ++seq) {
    const int32_t first = batch.cu_seqlens[seq], last = batch.cu_seqlens[seq + 1];
    std::vector<int32_t> rows, targets;
    for (; row < batch.rows.size() && batch.rows[row] < last; ++row) {
      rows.push_back(batch.rows[row] - first);
      targets.push_back(batch.targets[row]);
    }
    if (rows.empty()) continue;
    const std::span<const int32_t> tokens(batch.tokens);
    const Matrix log_probs =
        exact.log_probs(tokens.subspan(static_cast<size_t>(first), static_cast<size_t>(last - first)), rows, targets);
    for (const Traced& log_prob : log_probs.values) {
      values.push_back(log_prob.value);
      nodes.push_back(log_prob.node);
    }
  }
  const PolicyTerms terms = policy_terms(policy, values, batch.old_log_probs, batch.advantages, batch.weights);
  const std::vector<double> d = trace.derivatives(nodes, terms.dlog_probs);
  for (const auto& [name, matrix] : exact.weights()) {
    std::vector<double>& of_weight = sum[name];
    of_weight.resize(matrix.values.size());
    for (size_t i = 0; i < of_weight.size(); ++i) of_weight[i] += d[static_cast<size_t>(matrix.values[i].node)];
  }
}

/// |a - b| / |b| over all weights together.
double difference(const Values& a, const Values& b) {
  double errors = 0, squares = 0;
  for (const auto& [name, want] : b) {
    const std::vector<double>& got = a.at(name);
    for (size_t i = 0; i < want.size(); ++i) {
      errors += (got[i] - want[i]) * (got[i] - want[i]);
      squares += want[i] * want[i];
    }
  }
  return std::sqrt(errors / squares);
}

/// Attempts as a policy step has them, some of them prompts alone, with ratios on both sides of the cap.
std::vector<TrainSequence> attempts() {
  Rng rng(5);
  std::vector<TrainSequence> out;
  double targets = 0;
  for (int64_t i = 0; i < 7; ++i) {
    TrainSequence& sequence = out.emplace_back();
    const double advantage = rng.normal();
    for (uint64_t t = 0, length = 3 + rng.below(14); t < length; ++t) {
      sequence.tokens.push_back(static_cast<int32_t>(rng.below(40)));
      sequence.weights.push_back(i != 3 && t > 1);
      sequence.advantages.push_back(advantage);
      sequence.old_log_probs.push_back(-3.7 + 0.8 * rng.normal());
      targets += sequence.weights.back();
    }
  }
  for (TrainSequence& sequence : out)
    for (double& weight : sequence.weights) weight /= targets;
  return out;
}

TEST(LadderF, WeightsGradientsInFloat64) {
  ThreadPool threads(1);
  Arena arena;
  const Context ctx{.arena = &arena, .threads = &threads};
  const TrainableModel trainable = make_trainable(
      ctx, random_model(minimax::test::tiny_train_config(40), DType::kFloat32, 3, threads), DType::kFloat32);
  PolicyLoss policy = PolicyLoss::cispo();
  policy.ratio_max = 1.5;
  const auto exact = [&](const std::vector<TrainSequence>& sequences, int64_t pass_tokens) {
    Values sum;
    for (const TrainBatch& batch : pack(sequences, pass_tokens)) add_exact_pass(trainable.model, batch, policy, sum);
    return sum;
  };
  const auto computed = [&](const std::vector<TrainSequence>& sequences, int64_t pass_tokens) {
    Gradients d;
    for (const TrainBatch& batch : pack(sequences, pass_tokens))
      run_pass(ctx, trainable.model, batch, {.policy = policy}, 1, d);
    Values out;
    for (const TrainedParameter& parameter : trainable.parameters) {
      const Tensor* found = d.find(parameter.value);
      std::vector<double>& values = out[parameter.name];
      values.resize(static_cast<size_t>(parameter.value.elements()));
      if (found) std::copy_n(found->data<float>(), values.size(), values.begin());
    }
    return out;
  };

  std::vector<TrainSequence> sequences = attempts();
  const Values want = exact(sequences, 1 << 20);
  for (const auto& [name, values] : want)
    EXPECT_TRUE(std::any_of(values.begin(), values.end(), [](double x) { return x != 0; })) << name;
  EXPECT_LT(difference(computed(sequences, 1 << 20), want), 2e-6);
  Rng rng(9);
  for (const int64_t pass_tokens : {1 << 20, 40, 17, 1}) {  // micro-batches of all, some, and one sequence
    for (size_t i = sequences.size(); i > 1; --i) std::swap(sequences[i - 1], sequences[rng.below(i)]);
    EXPECT_LT(difference(exact(sequences, pass_tokens), want), 1e-12) << pass_tokens;
    EXPECT_LT(difference(computed(sequences, pass_tokens), want), 2e-6) << pass_tokens;
  }
  // What is not the same is seen: one attempt's weight by a millionth.
  sequences[0].weights.back() *= 1 + 1e-6;
  EXPECT_GT(difference(exact(sequences, 40), want), 1e-12);
}

}  // namespace
}  // namespace minimax::train
