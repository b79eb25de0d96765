#include <fmt/format.h>
#include <fnmatch.h>

#include <filesystem>
#include <memory>

#include "cli/input.h"
#include "cli/verbs.h"
#include "engine/state/state_cache.h"
#include "io/json.h"
#include "io/shards.h"
#include "model/checkpoint.h"
#include "text/tokenizer.h"

namespace minimax::cli {
namespace {

// Parameters one token passes through, counted as the published 45.9 B are: without embedding and head.
int64_t active_parameters(const ModelConfig& config) {
  const int64_t idle_experts = config.layers * (config.experts - config.top_k) * 3 * config.hidden * config.ffn;
  const int64_t vocabulary = (config.tied_embeddings ? 1 : 2) * config.vocab * config.hidden;
  return parameter_count(config) - idle_experts - vocabulary;
}

std::string grouped(int64_t number) {
  std::string text = std::to_string(number);
  for (auto at = static_cast<int64_t>(text.size()) - 3; at > 0; at -= 3) text.insert(static_cast<size_t>(at), ",");
  return text;
}

// "7 lightning, 1 softmax; 10 times": the layers as the shortest pattern that repeats.
std::string layer_pattern(const std::vector<LayerKind>& kinds) {
  const size_t layers = kinds.size();
  size_t period = 1;
  for (; period < layers; ++period) {
    bool repeats = layers % period == 0;
    for (size_t layer = period; repeats && layer < layers; ++layer) repeats = kinds[layer] == kinds[layer - period];
    if (repeats) break;
  }
  std::string text;
  for (size_t begin = 0; begin < period;) {
    size_t end = begin;
    while (end < period && kinds[end] == kinds[begin]) ++end;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", end - begin,
                        kinds[begin] == LayerKind::kLightning ? "lightning" : "softmax");
    begin = end;
  }
  return period == layers ? text : fmt::format("{}; {} times", text, layers / period);
}

struct Tokens {
  std::string description;  // empty: none
  std::string problem;
};

Tokens tokenizer_of(const std::filesystem::path& folder) {
  try {
    return {text::Tokenizer::load(folder).description(), ""};
  } catch (const Error& error) {
    return {"", error.what()};
  }
}

bool matches(const std::string& name, const std::string& filter) {
  if (filter.find_first_of("*?[") == std::string::npos) return name.find(filter) != std::string::npos;
  return fnmatch(filter.c_str(), name.c_str(), 0) == 0;
}

std::string dims_text(const std::vector<int64_t>& dims) {
  return fmt::format("[{}]", fmt::join(dims, ", "));
}

std::string tensor_table(const io::Shards& shards, const std::string& filter, const Terminal& terminal) {
  Table table({{"tensor"}, {"type"}, {"shape"}, {"bytes", Table::Align::kRight}, {"file"}});
  for (const std::string& name : shards.names()) {
    if (!matches(name, filter)) continue;
    if (const io::TensorInfo* info = shards.find(name))
      table.row({name, info->dtype_name, dims_text(info->dims), human_bytes(info->bytes()),
                 shards.file_of(name)->path().filename().string()});
    else
      table.row({name, "", "", "", shards.index()->file_of.find(name)->second + " (not here)"});
  }
  return table.text(terminal);
}

// A list for people: the first few, and how many more.
void print_names(const char* title, Style style, const std::vector<std::string>& names, Terminal& terminal) {
  constexpr size_t kShown = 8;
  if (names.empty()) return;
  terminal.print_line("");
  terminal.print_line(terminal.out_styled(style, fmt::format("{} ({})", title, names.size())));
  for (size_t at = 0; at < std::min(kShown, names.size()); ++at) terminal.print_line("  " + shortened(names[at], 300));
  if (names.size() > kShown)
    terminal.print_line(fmt::format("  and {} more (--json lists all)", names.size() - kShown));
}

void add_config_rows(Table& table, const ModelConfig& c) {
  table.row({"model", fmt::format("{}, {} layers ({})", c.model_type, c.layers, layer_pattern(c.layer_kind))});
  table.row({"parameters", fmt::format("{} ({}), {} active for each token", human_count(parameter_count(c)),
                                       grouped(parameter_count(c)), human_count(active_parameters(c)))});
  table.row({"sizes", fmt::format("hidden {}, vocabulary {}, {} positions", c.hidden, grouped(c.vocab),
                                  grouped(c.max_positions))});
  table.row(
      {"attention", fmt::format("{} heads of {}; softmax: {} key/value heads, {} of {} dimensions rotated, theta {:g}",
                                c.heads, c.head_dim, c.kv_heads, c.rotary_dim, c.head_dim, c.rope_theta)});
  std::string experts = fmt::format("{} of width {}, {} for each token", c.experts, c.ffn, c.top_k);
  if (c.shared_ffn > 0) experts += fmt::format(", and a shared one of width {}", c.shared_ffn);
  table.row({"experts", experts});
  table.row({"sequence", fmt::format("{} of state, and {} for each token",
                                     human_bytes(engine::StateCache::state_bytes_per_sequence(c)),
                                     human_bytes(engine::StateCache::kv_bytes_per_token(c)))});
}

void add_file_rows(Table& table, const CheckpointReport& report) {
  std::string weights = fmt::format("{} of {} files here", report.opened_files, report.files);
  if (report.index_bytes) weights += fmt::format(", {} by the index", human_bytes(*report.index_bytes));
  table.row({"weights", weights});
  for (const auto& [dtype, amount] : report.by_dtype)
    table.row({"", fmt::format("{}: {} in {} tensors{}", dtype, human_bytes(amount.bytes), grouped(amount.tensors),
                               amount.elements > 0 ? ", " + grouped(amount.elements) + " elements" : "")});
}

io::json::array json_names(const std::vector<std::string>& names) {
  return io::json::array(names.begin(), names.end());
}

io::json::object json_config(const ModelConfig& c) {
  io::json::array kinds;
  for (const LayerKind kind : c.layer_kind) kinds.emplace_back(kind == LayerKind::kLightning ? "lightning" : "softmax");
  return {{"model_type", c.model_type},
          {"layers", c.layers},
          {"layer_kinds", std::move(kinds)},
          {"hidden", c.hidden},
          {"ffn", c.ffn},
          {"shared_ffn", c.shared_ffn},
          {"vocab", c.vocab},
          {"heads", c.heads},
          {"kv_heads", c.kv_heads},
          {"head_dim", c.head_dim},
          {"rotary_dim", c.rotary_dim},
          {"rope_theta", c.rope_theta},
          {"experts", c.experts},
          {"top_k", c.top_k},
          {"max_positions", c.max_positions},
          {"postnorm", c.postnorm},
          {"norm_eps", c.norm_eps},
          {"lightning_alpha", c.lightning_alpha},
          {"lightning_beta", c.lightning_beta},
          {"softmax_alpha", c.softmax_alpha},
          {"softmax_beta", c.softmax_beta},
          {"moe_alpha", c.moe_alpha},
          {"moe_beta", c.moe_beta},
          {"tied_embeddings", c.tied_embeddings}};
}

io::json::array json_tensors(const io::Shards& shards, const std::string& filter) {
  io::json::array list;
  for (const std::string& name : shards.names()) {
    if (!matches(name, filter)) continue;
    io::json::object item{{"name", name}};
    if (const io::TensorInfo* info = shards.find(name)) {
      item["dtype"] = info->dtype_name;
      item["shape"] = io::json::array(info->dims.begin(), info->dims.end());
      item["bytes"] = info->bytes();
      item["file"] = shards.file_of(name)->path().filename().string();
    } else {
      item["file"] = shards.index()->file_of.find(name)->second;
      item["here"] = false;
    }
    list.push_back(std::move(item));
  }
  return list;
}

void print_json(const InspectOptions& options, const CheckpointReport& report, const Tokens& tokens,
                Terminal& terminal) {
  io::json::object root{{"model", options.model}, {"loads", report.problems.empty()}};
  if (report.config) {
    root["config"] = json_config(*report.config);
    root["parameters"] = report.parameters;
    root["active_parameters"] = active_parameters(*report.config);
    root["expected_tensors"] = report.expected_tensors;
    root["warnings"] = json_names(report.config->warnings);
  }
  root["files"] = report.files;
  root["opened_files"] = report.opened_files;
  if (report.index_bytes) root["index_bytes"] = *report.index_bytes;
  io::json::object by_dtype;
  for (const auto& [dtype, amount] : report.by_dtype)
    by_dtype[dtype] =
        io::json::object{{"tensors", amount.tensors}, {"elements", amount.elements}, {"bytes", amount.bytes}};
  root["by_dtype"] = std::move(by_dtype);
  root["problems"] = json_names(report.problems);
  root["missing"] = json_names(report.missing);
  root["unexpected"] = json_names(report.unexpected);
  root["ignored"] = json_names(report.ignored);
  root["unsupported"] = json_names(report.unsupported);
  root["tokenizer"] = tokens.description.empty() ? io::json::value(nullptr) : io::json::value(tokens.description);
  if (options.tensors) root["tensors"] = json_tensors(io::Shards::inspect(options.model), options.filter);
  terminal.print_line(io::write_json(root, io::JsonStyle::kPretty));
}

}  // namespace

int run_verb(const InspectOptions& options, Session& session) {
  Terminal& terminal = session.terminal;
  MM_CHECK_KIND(kNotFound, std::filesystem::is_directory(options.model), options.model,
                ": no such folder; expected one with config.json and *.safetensors");
  const CheckpointReport report = inspect_checkpoint(options.model);
  const Tokens tokens = tokenizer_of(options.model);
  if (options.json) {
    print_json(options, report, tokens, terminal);
    return 0;
  }
  Table table({{""}, {""}});
  if (report.config) add_config_rows(table, *report.config);
  add_file_rows(table, report);
  table.row({"tokenizer", tokens.description.empty() ? "none: " + tokens.problem : tokens.description});
  table.row({"loads", report.problems.empty() ? terminal.out_styled(Style::kGreen, "yes")
                                              : terminal.out_styled(Style::kRed, "no")});
  terminal.print(table.text(terminal));

  print_names("problems", Style::kRed, report.problems, terminal);
  print_names("missing tensors", Style::kRed, report.missing, terminal);
  print_names("tensors of a quantization that is not read", Style::kRed, report.unsupported, terminal);
  print_names("tensors the model does not use", Style::kYellow, report.unexpected, terminal);
  print_names("buffers that follow from the config", Style::kDim, report.ignored, terminal);
  if (report.config) print_names("warnings", Style::kYellow, report.config->warnings, terminal);
  if (options.tensors) {
    terminal.print_line("");
    terminal.print(tensor_table(io::Shards::inspect(options.model), options.filter, terminal));
  }
  return 0;
}

Command define_inspect() {
  auto options = std::make_shared<InspectOptions>();
  Command command{
      .name = "inspect",
      .summary = "what a checkpoint holds, and whether it loads",
      .usage = "MODEL [flags]",
      .description =
          "Reads headers only, also of folders that are broken or hold no weights yet: config.json "
          "and model.safetensors.index.json are enough.",
      .arguments = {{"MODEL", "folder with config.json", ValueKind::kFolder}},
      .examples = {{"minimax inspect MODEL"},
                   {"minimax inspect MODEL --tensors --filter 'model.layers.7.*'", "the tensors of one layer"},
                   {"minimax inspect MODEL --json | python3 -m json.tool"}},
      .json = &options->json,
      .run = [options](Command& self, Session& session) {
        options->model = take_model(self, options->model);
        options->tensors |= !options->filter.empty();
        return run_verb(*options, session);
      }};
  command.text("-m,--model", options->model, "FOLDER", "the model, instead of the argument", ValueKind::kFolder);
  command.flag("--tensors", options->tensors, "list all tensors");
  command.text("--filter", options->filter, "TEXT",
               "list tensors with this in their name, or matching it when it has * or ?");
  command.flag("--json", options->json, "as JSON");
  return command;
}

}  // namespace minimax::cli
