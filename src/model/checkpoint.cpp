#include "model/checkpoint.h"

#include <algorithm>
#include <set>

#include "core/error.h"

namespace minimax {
namespace {

namespace fs = std::filesystem;

// How the names of a folder answer the tensors of a config.
struct Match {
  struct Found {
    const ExpectedTensor* tensor;
    StoredTensor stored;
    std::optional<quant::Format> format;
  };
  std::vector<Found> found;
  std::vector<std::string> missing;
  std::set<std::string> unexpected;  // what is left
  std::vector<std::string> ignored, unsupported;
};

// Where a matrix lies packed: under its published name and the format's. Routers never do.
std::optional<Match::Found> find_packed(const ExpectedTensor& tensor, const std::set<std::string>& available) {
  if (tensor.shape.rank() != 2 || tensor.router) return std::nullopt;
  for (const quant::Format format : quant::all_formats()) {
    const std::string name = cat(tensor.name, ".", quant::name(format));
    if (!available.contains(name)) continue;
    const int64_t outputs = tensor.shape.dim(0), inputs = tensor.shape.dim(1);
    return Match::Found{&tensor, {name, {quant::panel_count(outputs), quant::panel_bytes(format, inputs)}}, format};
  }
  return std::nullopt;
}

Match match_names(const ModelConfig& config, const std::vector<ExpectedTensor>& expected,
                  const std::vector<std::string>& names) {
  Match match;
  const std::set<std::string> available(names.begin(), names.end());
  match.unexpected = available;
  for (const ExpectedTensor& tensor : expected) {
    const std::vector<StoredTensor> places = spellings(config, tensor);
    const auto place = std::find_if(places.begin(), places.end(),
                                    [&](const StoredTensor& stored) { return available.contains(stored.name); });
    if (place != places.end()) {
      match.unexpected.erase(place->name);
      match.found.push_back({&tensor, *place, {}});
    } else if (auto packed = find_packed(tensor, available)) {
      match.unexpected.erase(packed->stored.name);
      match.found.push_back(std::move(*packed));
    } else {
      match.missing.push_back(tensor.name);
    }
  }
  for (auto name = match.unexpected.begin(); name != match.unexpected.end();) {
    const bool ignored = is_ignored_buffer(*name) || (config.tied_embeddings && *name == kHeadName);
    if (!ignored && !is_quantization_tensor(*name)) {
      ++name;
      continue;
    }
    (ignored ? match.ignored : match.unsupported).push_back(*name);
    name = match.unexpected.erase(name);
  }
  return match;
}

bool is_weight_type(const std::optional<DType>& dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kBFloat16 || dtype == DType::kFloat16;
}

// What is wrong with type or shape of a stored tensor; empty when nothing.
std::string misfit(const io::Shards& shards, const StoredTensor& stored, bool packed) {
  const io::TensorInfo* info = shards.find(stored.name);
  if (!info) return "";  // its file could not be opened, which is a problem of its own
  std::vector<int64_t> dims;
  for (int64_t i = 0; i < stored.shape.rank(); ++i) dims.push_back(stored.shape.dim(i));
  const std::string file = shards.file_of(stored.name)->path().string();
  if (packed && info->dtype != DType::kUInt8)
    return cat(file, ": tensor \"", stored.name, "\" is ", info->dtype_name, ", expected U8");
  if (!packed && !is_weight_type(info->dtype))
    return cat(file, ": tensor \"", stored.name, "\" is ", info->dtype_name, ", expected BF16, F16 or F32");
  if (info->dims == dims) return "";
  std::string found;
  for (const int64_t dim : info->dims) found += (found.empty() ? "" : ", ") + std::to_string(dim);
  return cat(file, ": tensor \"", stored.name, "\" is [", found, "], expected ", stored.shape, " by config.json");
}

std::string first_of(const std::vector<std::string>& names, size_t most) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), most); ++i) text += (i ? ", " : "") + names[i];
  if (names.size() > most) text += cat(", ... (", names.size(), " in all)");
  return text;
}

struct Problem {
  ErrorKind kind;
  std::string message;
};

// What keeps a matched folder from being loaded.
std::vector<Problem> problems_of(const Match& match, const io::Shards& shards, const fs::path& folder) {
  std::vector<Problem> problems;
  if (!match.missing.empty())
    problems.push_back({ErrorKind::kNotFound,
                        cat(folder.string(), ": ", match.missing.size(), " weights of ",
                            match.missing.size() + match.found.size(), " are missing: ", first_of(match.missing, 10))});
  if (!match.unsupported.empty())
    problems.push_back({ErrorKind::kInvalidArgument,
                        cat(folder.string(), ": the weights are quantized in a format that cannot be read yet: ",
                            first_of(match.unsupported, 3))});
  std::set<std::string> checked;  // fused tensors answer many
  for (const auto& [tensor, stored, format] : match.found) {
    if (!checked.insert(stored.name).second) continue;
    std::string text = misfit(shards, stored, format.has_value());
    if (!text.empty()) problems.push_back({ErrorKind::kInvalidArgument, std::move(text)});
  }
  return problems;
}

}  // namespace

Checkpoint Checkpoint::open(const fs::path& folder, const io::LoadOptions& options) {
  ModelConfig config = read_config(folder);
  Checkpoint checkpoint(std::move(config), io::Shards::open(folder, options));
  const std::vector<ExpectedTensor> expected = expected_tensors(checkpoint.config_);
  const Match match = match_names(checkpoint.config_, expected, checkpoint.shards_.names());
  const std::vector<Problem> problems = problems_of(match, checkpoint.shards_, folder);
  if (!problems.empty()) {
    const size_t more = problems.size() - 1;
    throw Error(problems[0].kind, problems[0].message + (more ? cat(" (and ", more, " more problems)") : ""));
  }
  for (const auto& [tensor, stored, format] : match.found)
    checkpoint.places_.emplace(tensor->name, Place{stored, tensor->shape, format});
  return checkpoint;
}

Tensor Checkpoint::tensor(std::string_view name) const {
  const Weight found = weight(name);
  MM_CHECK(!found.format, "\"", name, "\" is packed as ", quant::name(*found.format), ", expected a dense tensor");
  return found.data;
}

Weight Checkpoint::weight(std::string_view name) const {
  const auto found = places_.find(std::string(name));
  MM_CHECK_KIND(kNotFound, found != places_.end(), "this model has no weight \"", name, "\"");
  const auto& [stored, shape, format] = found->second;
  const Tensor whole = shards_.tensor(stored.name);
  if (format) return packed_weight(whole, *format, shape.dim(0), shape.dim(1));
  if (stored.shape == shape) return {whole};
  const int64_t columns = stored.shape.dim(-1);
  return {whole.view({whole.elements() / columns, columns}).rows(stored.first_row, stored.first_row + shape.dim(0))};
}

LayerWeights Checkpoint::layer(int64_t layer) const {
  MM_CHECK(0 <= layer && layer < config_.layers, "layer ", layer, " of a model with ", config_.layers);
  const auto get = [&](std::string_view rest) { return weight(layer_name(layer, rest)); };
  const auto vector = [&](std::string_view rest) { return tensor(layer_name(layer, rest)); };
  LayerWeights weights;
  weights.kind = config_.layer_kind[static_cast<size_t>(layer)];
  weights.attention_norm = vector("input_layernorm.weight");
  weights.moe_norm = vector("post_attention_layernorm.weight");
  if (weights.kind == LayerKind::kLightning) {
    weights.qkv = get("self_attn.qkv_proj.weight");
    weights.output_gate = get("self_attn.output_gate.weight");
    weights.lightning_norm = vector("self_attn.norm.weight");
    weights.out = get("self_attn.out_proj.weight");
  } else {
    weights.q = get("self_attn.q_proj.weight");
    weights.k = get("self_attn.k_proj.weight");
    weights.v = get("self_attn.v_proj.weight");
    weights.out = get("self_attn.o_proj.weight");
  }
  weights.router = get("block_sparse_moe.gate.weight");
  for (int64_t expert = 0; expert < config_.experts; ++expert)
    weights.experts.push_back({weight(expert_name(layer, expert, "w1")), weight(expert_name(layer, expert, "w3")),
                               weight(expert_name(layer, expert, "w2"))});
  if (config_.shared_ffn > 0) {
    weights.shared = {get("shared_mlp.gate_proj.weight"), get("shared_mlp.up_proj.weight"),
                      get("shared_mlp.down_proj.weight")};
    weights.shared_coefficient = get("coefficient.weight");
  }
  return weights;
}

CheckpointReport inspect_checkpoint(const fs::path& folder) {
  CheckpointReport report;
  try {
    report.config = read_config(folder);
  } catch (const Error& error) {
    report.problems.push_back(error.what());
  }
  const io::Shards shards = io::Shards::inspect(folder);
  report.problems.insert(report.problems.end(), shards.problems().begin(), shards.problems().end());
  report.opened_files = static_cast<int64_t>(shards.files().size());
  report.files = shards.index() ? static_cast<int64_t>(shards.index()->files().size()) : report.opened_files;
  if (shards.index()) report.index_bytes = shards.index()->total_size;
  for (const io::SafetensorsFile& file : shards.files())
    for (const io::TensorInfo& tensor : file.tensors()) {
      const size_t dot = tensor.name.rfind('.');
      const bool packed = tensor.dtype_name == "U8" && quant::format_by_name(tensor.name.substr(dot + 1));
      CheckpointReport::Amount& amount = report.by_dtype[packed ? tensor.name.substr(dot + 1) : tensor.dtype_name];
      amount.tensors += 1;
      if (!packed) amount.elements += tensor.elements();
      amount.bytes += tensor.bytes();
    }
  if (!report.config) return report;

  const std::vector<ExpectedTensor> expected = expected_tensors(*report.config);
  report.expected_tensors = static_cast<int64_t>(expected.size());
  report.parameters = parameter_count(*report.config);
  Match match = match_names(*report.config, expected, shards.names());
  for (Problem& problem : problems_of(match, shards, folder)) report.problems.push_back(std::move(problem.message));
  report.missing = std::move(match.missing);
  report.unexpected.assign(match.unexpected.begin(), match.unexpected.end());
  report.ignored = std::move(match.ignored);
  report.unsupported = std::move(match.unsupported);
  return report;
}

}  // namespace minimax
