#include "eval/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "core/error.h"
#include "io/safetensors.h"
#include "io/sha256.h"
#include "model/parameters.h"
#include "ops/activation.h"
#include "ops/input_observer.h"
#include "ops/linear.h"

namespace minimax::eval {
namespace {

constexpr std::string_view kSuffix = ".mean_square", kMomentsSuffix = ".moments";

// Products of two inputs count as if so many tokens had shown none: a few tokens show much that is chance.
constexpr double kDoubtTokens = 64;

// Sums of products of two inputs within each block of 256.
class MomentSums {
 public:
  void add(const Tensor& x, const float* weights, ThreadPool& threads) {
    const int64_t inputs = x.dim(1), blocks = quant::block_count(inputs);
    sums_.resize(static_cast<size_t>(blocks * quant::kTriangle));
    constexpr int64_t kSlice = 16;
    threads.parallel_for(blocks * (quant::kBlock / kSlice), 1, [&](int64_t begin, int64_t end) {
      for (int64_t slice = begin; slice < end; ++slice) {
        const int64_t first = slice * kSlice / quant::kBlock * quant::kBlock;
        for (int64_t i = slice * kSlice; i < std::min(inputs, (slice + 1) * kSlice); ++i)
          add_row(x, weights, first, i - first);
      }
    });
  }

  Tensor mean(double weight, double weight_squares) const {
    const int64_t blocks = static_cast<int64_t>(sums_.size()) / quant::kTriangle;
    Tensor out = Tensor::empty({blocks, quant::kTriangle}, DType::kFloat32);
    const double tokens = weight_squares > 0 ? weight * weight / weight_squares : 0;
    const double share = tokens / (tokens + kDoubtTokens);
    float* mean = out.data<float>();
    for (int64_t block = 0; block < blocks; ++block)
      for (int64_t i = 0; i < quant::kBlock; ++i)
        for (int64_t j = 0; j <= i; ++j) {
          const int64_t place = block * quant::kTriangle + i * (i + 1) / 2 + j;
          mean[place] = static_cast<float>(sums_[static_cast<size_t>(place)] / weight * (i == j ? 1 : share));
        }
    return out;
  }

 private:
  // Products of input i of the block with those before it.
  void add_row(const Tensor& x, const float* weights, int64_t first, int64_t i) {
    const int64_t inputs = x.dim(1);
    std::array<float, quant::kBlock> products{};
    for (int64_t row = 0; row < x.dim(0); ++row) {
      const float* values = x.data<float>() + row * inputs + first;
      const float factor = weights ? weights[row] * values[i] : values[i];
      for (int64_t j = 0; j <= i; ++j) products[static_cast<size_t>(j)] += factor * values[j];
    }
    float* sums = sums_.data() + first / quant::kBlock * quant::kTriangle + i * (i + 1) / 2;
    for (int64_t j = 0; j <= i; ++j) sums[j] += products[static_cast<size_t>(j)];
  }

  std::vector<float> sums_;
};

struct Sums {
  std::vector<double> squares;
  double weight = 0, weight_squares = 0;
  std::optional<MomentSums> moments;

  // Rows of x count as `weights` say; null: each as one.
  void add(const Tensor& x, const float* weights) {
    const int64_t inputs = x.dim(1);
    squares.resize(static_cast<size_t>(inputs));
    for (int64_t row = 0; row < x.dim(0); ++row) {
      const float* values = x.data<float>() + row * inputs;
      const double share = weights ? weights[row] : 1.0;
      for (int64_t k = 0; k < inputs; ++k)
        squares[static_cast<size_t>(k)] += share * static_cast<double>(values[k]) * values[k];
      weight += share;
      weight_squares += share * share;
    }
  }
};

class Observer : public InputObserver {
 public:
  Observer(const MiniMaxM1& model, const Context& ctx, bool with_moments) : ctx_(ctx) {
    for (const Parameter& parameter : parameters(model)) names_[parameter.value.raw()] = parameter.name;
    if (!with_moments) return;
    for (const ExpectedTensor& tensor : expected_tensors(model.config))
      if (const auto role = role_of(tensor);
          role && role != quant::Role::kEmbedding && moments_name(tensor.name) == tensor.name)
        with_moments_.insert(tensor.name);
  }

  void linear(const Weight& weight, const Tensor& x) override { add(weight, to_host(x), nullptr); }

  void experts(const Tensor& x, const ops::Routing& routing, std::span<const ExpertWeights> experts) override {
    const Tensor inputs = to_host(x), chosen = to_host(routing.experts), shares = to_host(routing.weights);
    const int64_t top_k = chosen.dim(1), hidden = inputs.dim(1);
    for (size_t expert = 0; expert < experts.size(); ++expert) {
      std::vector<float> rows, squares;
      for (int64_t at = 0; at < chosen.elements(); ++at) {
        if (chosen.data<int32_t>()[at] != static_cast<int32_t>(expert)) continue;
        const float* row = inputs.data<float>() + at / top_k * hidden;
        rows.insert(rows.end(), row, row + hidden);
        squares.push_back(shares.data<float>()[at] * shares.data<float>()[at]);
      }
      if (squares.empty()) continue;
      const Tensor gathered = Tensor::from<float>(rows, {static_cast<int64_t>(squares.size()), hidden});
      const ExpertWeights& weights = experts[expert];
      add(weights.gate, gathered, squares.data());
      add(weights.up, gathered, squares.data());
      const Tensor activation =
          ops::silu_mul(ctx_, ops::linear(ctx_, gathered, weights.gate), ops::linear(ctx_, gathered, weights.up));
      add(weights.down, activation, squares.data());
    }
  }

  Calibration result(int64_t tokens) const {
    Calibration out;
    out.tokens = tokens;
    for (const auto& [name, sums] : sums_) {
      std::vector<float> mean;
      for (const double square : sums.squares) mean.push_back(static_cast<float>(square / sums.weight));
      out.mean_square[name] = std::make_shared<const std::vector<float>>(std::move(mean));
      if (sums.moments) out.moments[name] = sums.moments->mean(sums.weight, sums.weight_squares);
    }
    return out;
  }

 private:
  void add(const Weight& weight, const Tensor& x, const float* weights) {
    const auto name = names_.find(weight.data.raw());
    if (name == names_.end()) return;
    Sums& sums = sums_[name->second];
    sums.add(x, weights);
    if (!with_moments_.contains(name->second)) return;
    if (!sums.moments) sums.moments.emplace();
    sums.moments->add(x, weights, *ctx_.threads);
  }

  Context ctx_;  // without an observer: what is computed here is not shown again
  std::unordered_map<const void*, std::string> names_;
  std::unordered_set<std::string> with_moments_;
  std::map<std::string, Sums> sums_;
};

using Values = std::shared_ptr<const std::vector<float>>;

Values find(const std::map<std::string, Values>& map, const std::string& name) {
  const auto found = map.find(name);
  return found == map.end() ? nullptr : found->second;
}

// One value for each row of v: the mean over the query heads that share it. With group 1 the values themselves.
std::vector<float> grouped(const std::vector<float>& values, int64_t group, int64_t head_dim) {
  if (group == 1) return values;
  std::vector<float> out(values.size() / static_cast<size_t>(group));
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t head = i / static_cast<size_t>(head_dim), within = i % static_cast<size_t>(head_dim);
    out[head / static_cast<size_t>(group) * static_cast<size_t>(head_dim) + within] +=
        values[i] / static_cast<float>(group);
  }
  return out;
}

// What is known of the inputs of a matrix.
struct Inputs {
  const std::vector<float>& mean_square;
  const Tensor* moments;  // or null
};

quant::ErrorFeedback feedback_of(const Inputs& known, std::span<const float> factors, ThreadPool& threads) {
  return {static_cast<int64_t>(known.mean_square.size()), known.moments->span<float>(), factors, threads};
}

// What rounding costs at the matrix's output when its columns are multiplied by the factors, on some rows.
double output_error(const Tensor& sample, quant::Format format, const Inputs& known, const std::vector<float>& factors,
                    ThreadPool& threads) {
  const int64_t inputs = sample.dim(1);
  std::vector<float> importance(known.mean_square);
  for (size_t k = 0; k < importance.size(); ++k) importance[k] /= factors[k] * factors[k];
  std::optional<quant::ErrorFeedback> plain, feedback;
  if (known.moments) {
    plain = feedback_of(known, {}, threads);
    feedback = feedback_of(known, factors, threads);
  }
  std::vector<float> weights(static_cast<size_t>(inputs)), back(weights.size());
  double error = 0;
  for (int64_t row = 0; row < sample.dim(0); ++row) {
    const float* original = sample.data<float>() + row * inputs;
    for (size_t k = 0; k < weights.size(); ++k) weights[k] = original[k] * factors[k];
    quant::decode_row(format, inputs,
                      quant::encode_row(format, inputs, weights.data(), importance.data(), quant::Rounding::kBest,
                                        feedback ? &*feedback : nullptr),
                      back.data());
    for (size_t k = 0; k < back.size(); ++k) back[k] /= factors[k];
    if (plain) {
      error += plain->output_error(original, back.data());
      continue;
    }
    for (size_t k = 0; k < back.size(); ++k) {
      const double difference = static_cast<double>(original[k]) - back[k];
      error += known.mean_square[k] * difference * difference;
    }
  }
  return error;
}

// Rows spread over the whole matrix.
Tensor sampled_rows(const Tensor& matrix) {
  constexpr int64_t kRows = 128;
  const int64_t step = std::max<int64_t>(1, matrix.dim(0) / kRows);
  const int64_t count = (matrix.dim(0) + step - 1) / step;
  const Tensor sample = Tensor::empty({count, matrix.dim(1)}, DType::kFloat32);
  for (int64_t i = 0; i < count; ++i)
    copy_bytes(to_float32(matrix.rows(i * step, i * step + 1)), sample.rows(i, i + 1));
  return sample;
}

// The best of a few strengths; empty: none is better than leaving the matrix as it is.
std::vector<float> best_factors(const Tensor& matrix, quant::Format format, const Inputs& known,
                                const FoldablePair& pair, int64_t head_dim, ThreadPool& threads) {
  const Tensor sample = sampled_rows(matrix);
  std::vector<float> best;
  double least = output_error(sample, format, known, std::vector<float>(known.mean_square.size(), 1.0f), threads);
  for (const float strength : {0.25f, 0.5f, 0.75f, 1.0f}) {
    const std::vector<float> factors = column_factors(grouped(known.mean_square, pair.group, head_dim), strength);
    const double error = output_error(sample, format, known, to_columns(factors, pair, head_dim), threads);
    if (error < least) {
      least = error;
      best = factors;
    }
  }
  return best;
}

}  // namespace

std::vector<FoldablePair> foldable_pairs(const ModelConfig& config) {
  std::vector<FoldablePair> pairs;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    if (config.layer_kind[static_cast<size_t>(layer)] == LayerKind::kLightning)
      pairs.push_back({layer_name(layer, "self_attn.norm.weight"), layer_name(layer, "self_attn.out_proj.weight")});
    else
      pairs.push_back({layer_name(layer, "self_attn.v_proj.weight"), layer_name(layer, "self_attn.o_proj.weight"),
                       config.heads / config.kv_heads});
    for (int64_t expert = 0; expert < config.experts; ++expert)
      pairs.push_back({expert_name(layer, expert, "w3"), expert_name(layer, expert, "w2")});
  }
  return pairs;
}

std::vector<float> to_columns(const std::vector<float>& rows, const FoldablePair& pair, int64_t head_dim) {
  std::vector<float> out(rows.size() * static_cast<size_t>(pair.group));
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t head = i / static_cast<size_t>(head_dim), within = i % static_cast<size_t>(head_dim);
    out[i] = rows[head / static_cast<size_t>(pair.group) * static_cast<size_t>(head_dim) + within];
  }
  return out;
}

std::string moments_name(const std::string& name) {
  constexpr std::pair<std::string_view, std::string_view> kShared[] = {
      {"self_attn.k_proj.weight", "self_attn.q_proj.weight"},
      {"self_attn.v_proj.weight", "self_attn.q_proj.weight"},
      {"self_attn.output_gate.weight", "self_attn.qkv_proj.weight"},
      {".w3.weight", ".w1.weight"},
      {"shared_mlp.up_proj.weight", "shared_mlp.gate_proj.weight"}};
  for (const auto& [ending, instead] : kShared)
    if (name.ends_with(ending)) return name.substr(0, name.size() - ending.size()) + std::string(instead);
  return name;
}

Calibration calibrate(const MiniMaxM1& model, const Context& ctx, const std::vector<Window>& windows,
                      const TokenProgress& progress, bool with_moments) {
  Observer observer(model, ctx, with_moments);
  Context watched = ctx;
  watched.inputs = &observer;
  perplexity(model, watched, windows, progress);
  int64_t tokens = 0;
  for (const Window& window : windows) tokens += static_cast<int64_t>(window.ids.size());
  return observer.result(tokens);
}

void write_calibration(const std::filesystem::path& path, const Calibration& calibration) {
  std::vector<io::NamedTensor> tensors;
  for (const auto& [name, values] : calibration.mean_square)
    tensors.push_back(
        {name + std::string(kSuffix), Tensor::from<float>(*values, {static_cast<int64_t>(values->size())})});
  for (const auto& [name, values] : calibration.moments)
    tensors.push_back({name + std::string(kMomentsSuffix), values});
  io::write_safetensors(path, tensors, {{"tokens", std::to_string(calibration.tokens)}});
}

Calibration read_calibration(const std::filesystem::path& path, const ModelConfig& config) {
  const auto file = io::SafetensorsFile::open(path);
  std::unordered_map<std::string, int64_t> inputs;
  for (const ExpectedTensor& tensor : expected_tensors(config))
    if (tensor.shape.rank() == 2) inputs[tensor.name] = tensor.shape.dim(1);
  Calibration out;
  for (const io::TensorInfo& info : file.tensors()) {
    if (info.name.ends_with(kMomentsSuffix)) {
      const std::string name = info.name.substr(0, info.name.size() - kMomentsSuffix.size());
      const auto expected = inputs.find(name);
      MM_CHECK(expected != inputs.end(), path.string(), ": \"", info.name,
               "\" is no statistic of a matrix of this model");
      const Tensor values = file.tensor(info.name);
      const Shape shape = {quant::block_count(expected->second), quant::kTriangle};
      MM_CHECK(values.dtype() == DType::kFloat32 && values.shape() == shape, path.string(), ": \"", info.name, "\" is ",
               values.shape(), " ", values.dtype(), ", expected ", shape, " F32");
      out.moments[name] = values;
      continue;
    }
    const std::string name = info.name.ends_with(kSuffix) ? info.name.substr(0, info.name.size() - kSuffix.size()) : "";
    const auto expected = inputs.find(name);
    MM_CHECK(expected != inputs.end(), path.string(), ": \"", info.name,
             "\" is no statistic of a matrix of this model");
    const Tensor values = file.tensor(info.name);
    MM_CHECK(values.dtype() == DType::kFloat32 && values.shape() == Shape({expected->second}), path.string(), ": \"",
             info.name, "\" is ", values.shape(), " ", values.dtype(), ", expected [", expected->second, "] F32");
    for (const float value : values.span<float>())
      MM_CHECK(std::isfinite(value) && value >= 0, path.string(), ": \"", info.name, "\" holds ", value,
               ", expected numbers of 0 or more");
    out.mean_square[name] =
        std::make_shared<const std::vector<float>>(values.span<float>().begin(), values.span<float>().end());
  }
  if (const auto tokens = file.metadata().find("tokens"); tokens != file.metadata().end())
    out.tokens = std::atoll(tokens->second.c_str());
  return out;
}

std::vector<float> column_factors(const std::vector<float>& mean_square, float strength) {
  constexpr int kMost = 4;  // 2^4
  double logs = 0;
  int64_t count = 0;
  for (const float square : mean_square) {
    if (square <= 0) continue;
    logs += 0.5 * std::log2(square);
    ++count;
  }
  std::vector<float> factors(mean_square.size(), 1.0f);
  for (size_t k = 0; k < factors.size() && count > 0; ++k) {
    if (mean_square[k] <= 0) continue;
    const double relative = 0.5 * std::log2(mean_square[k]) - logs / static_cast<double>(count);
    factors[k] = std::ldexp(1.0f, std::clamp(static_cast<int>(std::nearbyint(strength * relative)), -kMost, kMost));
  }
  return factors;
}

QuantizeHints hints_of(const Calibration& calibration, const Checkpoint& checkpoint, const quant::Recipe& recipe,
                       ThreadPool& threads) {
  QuantizeHints hints;
  hints.importance = calibration.mean_square;
  io::Sha256 sum;
  for (const auto& [name, values] : calibration.mean_square) {
    sum.update(name);
    sum.update(values->data(), static_cast<int64_t>(values->size() * sizeof(float)));
  }
  for (const auto& [name, values] : calibration.mean_square)
    if (const auto moments = calibration.moments.find(moments_name(name)); moments != calibration.moments.end()) {
      hints.moments[name] = moments->second;
      sum.update(moments->first);
    }
  hints.fingerprint = sum.finish();

  std::map<std::string, std::optional<quant::Format>> formats;
  for (const ExpectedTensor& tensor : expected_tensors(checkpoint.config())) {
    const auto role = role_of(tensor);
    const quant::Storage storage = role ? recipe.choose(*role, tensor.name) : quant::Storage{};
    formats[tensor.name] = storage.quantized() ? std::optional(storage.format) : std::nullopt;
  }
  const int64_t head_dim = checkpoint.config().head_dim;
  const std::vector<FoldablePair> pairs = foldable_pairs(checkpoint.config());
  std::vector<std::vector<float>> factors(pairs.size());
  threads.parallel_for(static_cast<int64_t>(pairs.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const FoldablePair& pair = pairs[static_cast<size_t>(i)];
      const auto format = formats.at(pair.columns);
      const Values mean_square = find(calibration.mean_square, pair.columns);
      const auto moments = calibration.moments.find(moments_name(pair.columns));
      if (format && mean_square)
        factors[static_cast<size_t>(i)] = best_factors(
            checkpoint.tensor(pair.columns), *format,
            {*mean_square, moments == calibration.moments.end() ? nullptr : &moments->second}, pair, head_dim, threads);
    }
  });
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (factors[i].empty()) continue;
    std::vector<float> inverse;
    for (const float factor : factors[i]) inverse.push_back(1 / factor);
    const std::vector<float> columns = to_columns(factors[i], pairs[i], head_dim);
    // What the matrix will be fed is smaller by the factor.
    std::vector<float> importance = *hints.importance.at(pairs[i].columns);
    for (size_t k = 0; k < importance.size(); ++k) importance[k] /= columns[k] * columns[k];
    hints.importance[pairs[i].columns] = std::make_shared<const std::vector<float>>(std::move(importance));
    hints.column_factors[pairs[i].columns] = std::make_shared<const std::vector<float>>(columns);
    // A norm is a vector: one row, whose columns take the inverse.
    const bool vector = pairs[i].rows.ends_with("norm.weight");
    (vector ? hints.column_factors : hints.row_factors)[pairs[i].rows] =
        std::make_shared<const std::vector<float>>(std::move(inverse));
  }
  return hints;
}

}  // namespace minimax::eval
