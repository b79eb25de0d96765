#include "model/quantize_checkpoint.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "io/atomic_file.h"
#include "io/file.h"
#include "io/json.h"
#include "io/sha256.h"
#include "model/quantize_weights.h"

namespace minimax {
namespace {

namespace fs = std::filesystem;
namespace json = io::json;

constexpr int64_t kLargestSideFile = int64_t{64} << 20;

// By quality, best first. Experts are nine tenths of the weights and bear few bits best; what every token passes
// through keeps more.
constexpr const char* kLadder[] = {
    "keep",          "q8", "q8,experts=experts-int8", "q8,experts=q6",          "q6", "q6,experts=q5",
    "q6,experts=q4", "q4", "q4,embedding=q6,head=q6", "q4,embedding=q4,head=q4"};

quant::SourceTensor described(const ExpectedTensor& tensor, const quant::Recipe& recipe, DType dtype) {
  quant::SourceTensor source{.name = tensor.name, .shape = tensor.shape, .dtype = dtype};
  const std::optional<quant::Role> role = role_of(tensor);
  if (!role) return source;
  const quant::Storage storage = recipe.choose(*role, tensor.name);
  if (storage.quantized()) source.format = storage.format;
  if (storage.kind == quant::Storage::Kind::kBFloat16) source.dtype = DType::kBFloat16;
  return source;
}

template <typename T>
void to_floats(const T* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = to_float(from[i]);
}

using Factors = std::shared_ptr<const std::vector<float>>;

quant::RowReader reader_of(const Tensor& tensor, const Factors& row_factors, const Factors& column_factors) {
  const int64_t columns = tensor.dim(-1);
  return [=](int64_t first, int64_t rows, float* out) {
    const int64_t begin = first * columns;
    const int64_t count = rows * columns;
    switch (tensor.dtype()) {
      case DType::kFloat32:
        std::memcpy(out, tensor.data<float>() + begin, static_cast<size_t>(count) * sizeof(float));
        break;
      case DType::kBFloat16:
        to_floats(tensor.data<bfloat16>() + begin, count, out);
        break;
      default:
        to_floats(tensor.data<float16>() + begin, count, out);
    }
    for (int64_t i = 0; i < count; ++i) {
      if (row_factors) out[i] *= (*row_factors)[static_cast<size_t>(first + i / columns)];
      if (column_factors) out[i] *= (*column_factors)[static_cast<size_t>(i % columns)];
    }
  };
}

// The pages of a mapped file would go by themselves, but only when memory is short, and until then they push out
// others.
void let_go(const io::Shards& shards, const Tensor& tensor) {
  const auto* begin = static_cast<const std::byte*>(tensor.raw());
  for (const io::SafetensorsFile& file : shards.files()) {
    const std::span<const std::byte> bytes = file.file().bytes();
    if (begin >= bytes.data() && begin < bytes.data() + bytes.size())
      file.file().advise(io::Advice::kDontNeed, begin - bytes.data(), tensor.bytes());
  }
}

Factors find(const std::map<std::string, Factors>& map, const std::string& name) {
  const auto found = map.find(name);
  return found == map.end() ? nullptr : found->second;
}

// Matrices by name.
void check_rules(const quant::Recipe& recipe, const std::vector<std::pair<std::string, quant::Role>>& matrices) {
  const std::vector<std::string> idle = recipe.idle_rules(matrices);
  MM_CHECK(idle.empty(), "the rule \"", idle.front(), "\" fits no matrix of this model that can be quantized");
}

std::vector<quant::SourceTensor> sources_of(const Checkpoint& checkpoint, const quant::Recipe& recipe,
                                            const QuantizeHints& hints) {
  std::vector<quant::SourceTensor> sources;
  std::map<std::string, quant::Role> roles;
  for (const ExpectedTensor& expected : expected_tensors(checkpoint.config())) {
    const Tensor tensor = checkpoint.tensor(expected.name);
    quant::SourceTensor source = described(expected, recipe, tensor.dtype());
    source.read = reader_of(tensor, find(hints.row_factors, expected.name), find(hints.column_factors, expected.name));
    source.release = [&checkpoint, tensor] { let_go(checkpoint.shards(), tensor); };
    source.importance = find(hints.importance, expected.name);
    MM_CHECK(!source.importance || static_cast<int64_t>(source.importance->size()) == expected.shape.dim(-1),
             "calibration of \"", expected.name, "\" has ", source.importance->size(), " inputs, expected ",
             expected.shape.dim(-1));
    if (const auto moments = hints.moments.find(expected.name); moments != hints.moments.end())
      source.feedback = [moments = moments->second, inputs = expected.shape.dim(-1),
                         factors = find(hints.column_factors, expected.name)](ThreadPool& threads) {
        return quant::ErrorFeedback(inputs, moments.span<float>(),
                                    factors ? std::span<const float>(*factors) : std::span<const float>(), threads);
      };
    sources.push_back(std::move(source));
    if (const auto role = role_of(expected)) roles[expected.name] = *role;
  }
  check_rules(recipe, {roles.begin(), roles.end()});
  return sources;
}

// Tokenizer, templates, licences: all that is no weight and not what we write ourselves.
bool belongs_beside(const fs::directory_entry& entry) {
  const std::string name = entry.path().filename().string();
  if (!entry.is_regular_file() || name.starts_with('.') || name == "config.json" || name == io::kSumsName) return false;
  for (const char* ending :
       {".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".pth", ".gguf"})
    if (name.ends_with(ending)) return false;
  return static_cast<int64_t>(entry.file_size()) <= kLargestSideFile;
}

// A model's files may be links into a cache: the copy is a file.
void copy_beside(const fs::path& from, const fs::path& to, std::map<std::string, std::string>& sums) {
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    if (!belongs_beside(entry)) continue;
    const std::string name = entry.path().filename().string();
    io::write_file(to / name, io::read_file(entry.path(), kLargestSideFile));
    sums[name] = io::sha256_of_file(to / name);
  }
}

json::object quantization_config(const quant::WrittenFolder& written, const quant::Recipe& recipe,
                                 const QuantizeHints& hints, const QuantizeOptions& options, int64_t parameters) {
  json::object formats;
  for (const quant::WrittenTensor& tensor : written.tensors) {
    json::object& format =
        formats.emplace(tensor.format, json::object{{"tensors", 0}, {"bytes", 0}}).first->value().as_object();
    format["tensors"].as_int64() += 1;
    format["bytes"].as_int64() += tensor.bytes;
  }
  json::object config{{"quant_method", "minimax"},
                      {"version", 1},
                      {"panel_rows", quant::kPanelRows},
                      {"group_size", quant::kGroup},
                      {"block_size", quant::kBlock},
                      {"recipe", recipe.text()},
                      {"rounding", options.rounding == quant::Rounding::kBest ? "best" : "nearest"}};
  if (!hints.fingerprint.empty()) config["calibration"] = hints.fingerprint;
  config["bits_per_weight"] = static_cast<double>(written.bytes) * 8 / static_cast<double>(parameters);
  config["formats"] = std::move(formats);
  return config;
}

// What the output depends on, beside what the writer knows itself: the identity of the weights read.
std::string settings_of(const Checkpoint& checkpoint, const QuantizeHints& hints) {
  std::string text = cat("calibration ", hints.fingerprint, "\n");
  for (const io::SafetensorsFile& file : checkpoint.shards().files())
    text += cat(file.path().filename().string(), " ", fs::file_size(file.path()), " ",
                fs::last_write_time(file.path()).time_since_epoch().count(), "\n");
  return text;
}

}  // namespace

std::optional<quant::Role> role_of(const ExpectedTensor& tensor) {
  if (tensor.router || tensor.shape.rank() != 2) return std::nullopt;
  if (tensor.name == kEmbeddingName) return quant::Role::kEmbedding;
  if (tensor.name == kHeadName) return quant::Role::kHead;
  if (tensor.expert >= 0) return quant::Role::kExpert;
  if (tensor.name.find(".self_attn.") != std::string::npos) return quant::Role::kAttention;
  if (tensor.name.find(".shared_mlp.") != std::string::npos) return quant::Role::kShared;
  return std::nullopt;  // the coefficient of shared experts, [1, hidden]
}

StoredSize stored_size(const ExpectedTensor& tensor, const quant::Recipe& recipe, DType dtype) {
  const quant::SourceTensor source = described(tensor, recipe, tensor.router ? DType::kFloat32 : dtype);
  return {std::string(source.format ? name(*source.format) : to_string(source.dtype)), quant::stored_bytes(source)};
}

int64_t quantized_bytes(const ModelConfig& config, const quant::Recipe& recipe, DType dtype) {
  int64_t bytes = 0;
  for (const ExpectedTensor& tensor : expected_tensors(config)) bytes += stored_size(tensor, recipe, dtype).bytes;
  return bytes;
}

std::vector<std::string> recipe_ladder() {
  return {std::begin(kLadder), std::end(kLadder)};
}

quant::Recipe recipe_that_fits(const ModelConfig& config, int64_t bytes) {
  int64_t least = 0;
  for (const char* text : kLadder) {
    quant::Recipe recipe = quant::Recipe::parse(text, "recipe");
    least = quantized_bytes(config, recipe);
    if (least <= bytes) return recipe;
  }
  throw Error(ErrorKind::kInvalidArgument,
              cat("the weights take ", least, " bytes with the smallest recipe (", std::end(kLadder)[-1],
                  "), more than the ", bytes, " that are left for them"));
}

quant::WrittenFolder quantize_checkpoint(const Checkpoint& checkpoint, const fs::path& from, const fs::path& to,
                                         const quant::Recipe& recipe, const QuantizeHints& hints,
                                         const QuantizeOptions& options, ThreadPool& threads) {
  json::value config = io::read_json_file(from / "config.json");
  MM_CHECK(!io::JsonField(config, (from / "config.json").string())["quantization_config"].has_value(), from.string(),
           ": is quantized already; expected the original weights");
  MM_CHECK(!fs::exists(to / "config.json"), to.string(), ": there is a model already");
  const std::vector<quant::SourceTensor> sources = sources_of(checkpoint, recipe, hints);
  const quant::WriteOptions write_options{options.rounding, options.shard_bytes, settings_of(checkpoint, hints),
                                          options.progress};
  quant::WrittenFolder written = quant::write_folder(to, sources, write_options, threads);

  copy_beside(from, to, written.sums);
  config.as_object()["quantization_config"] =
      quantization_config(written, recipe, hints, options, parameter_count(checkpoint.config()));
  const std::string text = io::write_json(config, io::JsonStyle::kPretty) + "\n";
  io::Sha256 sum;
  sum.update(text);
  written.sums["config.json"] = sum.finish();
  io::write_sums(to, written.sums);
  io::write_file(to / "config.json", text);
  quant::finish_folder(to);
  return written;
}

void quantize_weights(MiniMaxM1& model, const quant::Recipe& recipe, ThreadPool& threads) {
  std::map<std::string, quant::Role> roles;
  for (const ExpectedTensor& tensor : expected_tensors(model.config))
    if (const auto role = role_of(tensor)) roles[tensor.name] = *role;
  check_rules(recipe, {roles.begin(), roles.end()});
  const auto choose = [&](const std::string& name) -> std::optional<quant::Format> {
    const auto role = roles.find(name);
    if (role == roles.end()) return std::nullopt;
    const quant::Storage storage = recipe.choose(role->second, name);
    return storage.quantized() ? std::optional(storage.format) : std::nullopt;
  };
  quantize_weights(model, choose, threads);
}

}  // namespace minimax
