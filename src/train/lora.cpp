#include "train/lora.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "core/rng.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "model/parameters.h"
#include "ops/activation.h"
#include "ops/linear.h"
#include "ops/optimizer.h"
#include "ops/transfer.h"
#include "train/unpack.h"

namespace minimax::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeights = "adapter_model.safetensors";
constexpr const char* kConfig = "adapter_config.json";
constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kEnd = ".weight";

constexpr const char* kAttention[] = {"qkv_proj", "output_gate", "out_proj", "q_proj", "k_proj", "v_proj", "o_proj"};

bool is_chosen(const std::string& name, const LoraOptions& options) {
  const auto ends = [&](const std::string& part) { return name.ends_with(part + std::string(kEnd)); };
  if (options.attention && name.find(".self_attn.") != std::string::npos &&
      std::any_of(std::begin(kAttention), std::end(kAttention), ends))
    return true;
  return options.experts && name.find(".experts.") != std::string::npos && (ends("w1") || ends("w2") || ends("w3"));
}

/// "model.layers.0.self_attn.q_proj.weight", "lora_A" ->
/// "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
std::string adapter_name(const std::string& matrix, const char* part) {
  return cat(kPrefix, matrix.substr(0, matrix.size() - kEnd.size()), ".", part, kEnd);
}

Tensor copy_of(const Context& ctx, const Tensor& x) {
  return ops::to_device(ctx, to_float32(ops::to_host(ctx, x)));
}

Tensor random_down(int64_t rank, int64_t inputs, uint64_t seed, uint64_t stream) {
  const Tensor out = Tensor::empty({rank, inputs}, DType::kFloat32);
  Rng rng(seed, stream);
  const double deviation = 1 / std::sqrt(static_cast<double>(inputs));
  for (float& value : out.span<float>()) value = static_cast<float>(deviation * rng.normal());
  return out;
}

/// B A, [out, in]: what linear's backward gives for its input when dy is B and the weight is A.
Tensor product(const Context& ctx, const Tensor& base, const Tensor& down, const Tensor& up) {
  Gradients d;
  ops::linear_backward(ctx, base, {down}, up, d);
  return d.take(base);
}

/// W + scale B A.
Tensor merged(const Context& ctx, const Tensor& base, const Tensor& down, const Tensor& up, double scale) {
  return ops::scaled_add(ctx, 1, base, static_cast<float>(scale), product(ctx, base, down, up));
}

Tensor rounded(const Tensor& host, DType dtype) {
  if (dtype == DType::kFloat32) return host;
  const Tensor out = Tensor::empty(host.shape(), dtype);
  const auto values = host.span<float>();
  if (dtype == DType::kBFloat16)
    std::transform(values.begin(), values.end(), out.data<bfloat16>(), [](float x) { return to_bfloat16(x); });
  else
    std::transform(values.begin(), values.end(), out.data<float16>(), [](float x) { return to_float16(x); });
  return out;
}

struct Stored {
  io::SafetensorsFile file;
  LoraOptions options;
};

Stored open_adapters(const fs::path& folder) {
  const fs::path config = folder / kConfig;
  MM_CHECK_KIND(kNotFound, fs::exists(config), folder.string(), ": no adapter here, expected ", kConfig, " and ",
                kWeights);
  const io::json::value value = io::read_json_file(config);
  const io::JsonField root(value, config.string());
  if (root["peft_type"].string() != "LORA") root["peft_type"].fail("LORA");
  return {io::SafetensorsFile::open(folder / kWeights),
          {.rank = root["r"].integer(1, 65536), .alpha = root["lora_alpha"].number(0, 1e9)}};
}

Tensor stored_part(const Stored& stored, const std::string& matrix, const char* part, Shape shape) {
  const Tensor x = stored.file.tensor(adapter_name(matrix, part));
  MM_CHECK(x.shape() == shape, stored.file.path().string(), ": ", adapter_name(matrix, part), " is ", x.shape(),
           ", expected ", shape);
  return to_float32(x);
}

std::map<const void*, std::string> names_of_packed(const MiniMaxM1& model) {
  std::map<const void*, std::string> names;
  for (const Parameter& parameter : parameters(model))
    if (parameter.value.dtype() == DType::kUInt8) names[parameter.value.raw()] = parameter.name;
  return names;
}

std::shared_ptr<const LowRank> beside(const Tensor& down, const Tensor& up, const LoraOptions& options) {
  return std::make_shared<const LowRank>(
      LowRank{down, up, static_cast<float>(options.alpha / static_cast<double>(options.rank))});
}

}  // namespace

LoraAdapters::LoraAdapters(const Context& ctx, TrainableModel& trainable, const LoraOptions& options, uint64_t seed)
    : options_(options) {
  adapt_dense(ctx, trainable, seed);
  adapt_packed(trainable, seed);
  MM_CHECK(!adapted_.empty(), "LoRA: no matrix of this model is to be adapted");
  trainable.parameters.clear();
  for (const Adapted& adapted : adapted_) {
    trainable.parameters.push_back({adapter_name(adapted.name, "lora_A"), adapted.down, adapted.down, true});
    trainable.parameters.push_back({adapter_name(adapted.name, "lora_B"), adapted.up, adapted.up, true});
  }
}

void LoraAdapters::adapt_dense(const Context& ctx, const TrainableModel& trainable, uint64_t seed) {
  for (const TrainedParameter& parameter : trainable.parameters) {
    if (!is_chosen(parameter.name, options_)) continue;
    const int64_t out = parameter.value.dim(0), in = parameter.value.dim(1);
    adapted_.push_back({.name = parameter.name,
                        .weight = parameter.value,
                        .base = copy_of(ctx, parameter.master),
                        .down = ops::to_device(ctx, random_down(options_.rank, in, seed, adapted_.size())),
                        .up = ops::to_device(ctx, Tensor::zeros({out, options_.rank}, DType::kFloat32))});
  }
}

void LoraAdapters::adapt_packed(TrainableModel& trainable, uint64_t seed) {
  const std::map<const void*, std::string> names = names_of_packed(trainable.model);
  for_each_matrix(trainable.model, [&](Weight& weight) {
    const auto name = names.find(weight.data.raw());
    if (!weight.format || name == names.end() || !is_chosen(name->second, options_)) return;
    const Adapted& adapted =
        adapted_.emplace_back(Adapted{.name = name->second,
                                      .weight = {},
                                      .base = {},
                                      .down = random_down(options_.rank, weight.inputs(), seed, adapted_.size()),
                                      .up = Tensor::zeros({weight.outputs(), options_.rank}, DType::kFloat32)});
    weight.adapter = beside(adapted.down, adapted.up, options_);
  });
}

void LoraAdapters::project(const Context& ctx, Gradients& gradients) {
  const auto scale = static_cast<float>(options_.alpha / static_cast<double>(options_.rank));
  Gradients adapters;
  for (const Adapted& adapted : adapted_) {
    if (!adapted.weight.defined()) {  // they have gradients of their own
      for (const Tensor* part : {&adapted.down, &adapted.up})
        if (const Tensor d = gradients.take(*part); d.defined()) adapters.add(*part, d);
      continue;
    }
    const Tensor dweight = gradients.take(adapted.weight);
    if (!dweight.defined()) continue;  // an expert without tokens
    // dW' = dW: dB = scale dW A^T, dA = scale B^T dW.
    const Tensor dup = ops::linear(ctx, dweight, {adapted.down});
    const Tensor scaled = ops::scaled_add(ctx, scale, dup, 0, dup);
    adapters.add(adapted.up, scaled);
    Gradients d;
    ops::linear_backward(ctx, dweight, {adapted.down}, adapted.up, d);
    const Tensor ddown = d.take(adapted.down);
    adapters.add(adapted.down, ops::scaled_add(ctx, scale, ddown, 0, ddown));
  }
  gradients = std::move(adapters);
}

void LoraAdapters::apply(const Context& ctx) {
  const double scale = options_.alpha / static_cast<double>(options_.rank);
  for (const Adapted& adapted : adapted_) {
    if (!adapted.weight.defined()) continue;
    const Tensor host = ops::to_host(ctx, merged(ctx, adapted.base, adapted.down, adapted.up, scale));
    ops::copy_to_device(ctx, rounded(host, adapted.weight.dtype()), adapted.weight);
  }
}

void LoraAdapters::save(const Context& ctx, const fs::path& folder) const {
  std::vector<io::NamedTensor> tensors;
  std::map<std::string, bool> modules;
  for (const Adapted& adapted : adapted_) {
    tensors.push_back({adapter_name(adapted.name, "lora_A"), ops::to_host(ctx, adapted.down)});
    tensors.push_back({adapter_name(adapted.name, "lora_B"), ops::to_host(ctx, adapted.up)});
    const std::string matrix = adapted.name.substr(0, adapted.name.size() - kEnd.size());
    modules[matrix.substr(matrix.rfind('.') + 1)] = true;
  }
  io::write_safetensors(folder / kWeights, tensors, {{"format", "pt"}});
  io::json::array names;
  for (const auto& [name, yes] : modules) names.emplace_back(name);
  io::write_file(folder / kConfig, io::write_json(io::json::object{{"peft_type", "LORA"},
                                                                   {"task_type", "CAUSAL_LM"},
                                                                   {"r", options_.rank},
                                                                   {"lora_alpha", options_.alpha},
                                                                   {"lora_dropout", 0.0},
                                                                   {"bias", "none"},
                                                                   {"target_modules", names}},
                                                  io::JsonStyle::kPretty) +
                                       "\n");
}

void LoraAdapters::load(const Context& ctx, const fs::path& folder) {
  const Stored stored = open_adapters(folder);
  MM_CHECK(stored.options.rank == options_.rank && stored.options.alpha == options_.alpha, folder.string(),
           ": adapters of rank ", stored.options.rank, " and alpha ", stored.options.alpha, ", expected ",
           options_.rank, " and ", options_.alpha);
  for (const Adapted& adapted : adapted_) {
    ops::copy_to_device(ctx, stored_part(stored, adapted.name, "lora_A", adapted.down.shape()), adapted.down);
    ops::copy_to_device(ctx, stored_part(stored, adapted.name, "lora_B", adapted.up.shape()), adapted.up);
  }
  apply(ctx);
}

void merge_adapters(const fs::path& folder, ThreadPool& threads, MiniMaxM1& model, PackedMerge packed) {
  const Stored stored = open_adapters(folder);
  const double scale = stored.options.alpha / static_cast<double>(stored.options.rank);
  const auto is_adapted = [&](const std::string& name) {
    return name.ends_with(kEnd) && stored.file.find(adapter_name(name, "lora_A"));
  };
  size_t used = 0;
  const std::map<const void*, std::string> names = names_of_packed(model);
  for_each_matrix(model, [&](Weight& weight) {
    const auto name = names.find(weight.data.raw());
    if (!weight.format || name == names.end() || !is_adapted(name->second)) return;
    if (packed == PackedMerge::kDense) {
      weight = {unpack(weight, threads), {}, {}};
      return;
    }
    weight.adapter =
        beside(stored_part(stored, name->second, "lora_A", {stored.options.rank, weight.inputs()}),
               stored_part(stored, name->second, "lora_B", {weight.outputs(), stored.options.rank}), stored.options);
    used += 2;
  });
  Arena arena;
  const Context ctx{.arena = &arena, .threads = &threads};
  for_each_parameter(model, [&](const std::string& name, Tensor& value) {
    if (value.dtype() == DType::kUInt8 || !is_adapted(name)) return;
    const Tensor down = stored_part(stored, name, "lora_A", {stored.options.rank, value.dim(1)});
    const Tensor up = stored_part(stored, name, "lora_B", {value.dim(0), stored.options.rank});
    value = rounded(to_float32(merged(ctx, to_float32(value), down, up, scale)), value.dtype());
    used += 2;
  });
  MM_CHECK(used == stored.file.tensors().size(), stored.file.path().string(), ": ", stored.file.tensors().size() - used,
           " of ", stored.file.tensors().size(), " tensors are of no matrix of this model");
}

}  // namespace minimax::train
