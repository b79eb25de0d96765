#include "train/run_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "io/atomic_file.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "model/parameters.h"
#include "ops/transfer.h"
#include "text/tokenizer.h"

namespace minimax::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";
constexpr const char* kTokenizerFiles[] = {"tokenizer.json",        "vocab.json",    "merges.txt",
                                           "tokenizer_config.json", "merges.txt.gz", "vocab.json.gz",
                                           "tokenizer.json.gz"};

/// So that a rename survives a power failure.
void sync_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY);
  if (descriptor < 0) io::throw_file_error(folder, "open", errno);
  ::fsync(descriptor);
  ::close(descriptor);
}

std::vector<std::string> lines_of(const fs::path& file) {
  std::vector<std::string> lines;
  if (!fs::exists(file)) return lines;
  const std::string text = io::read_file(file);
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    lines.push_back(text.substr(begin, end - begin));
  return lines;
}

int64_t step_of(const std::string& line, const fs::path& file) {
  const io::json::value value = io::parse_json(line, file.string());
  return io::JsonField(value, file.string())["step"].integer();
}

}  // namespace

RunFolder::RunFolder(fs::path path) : path_(std::move(path)) {
  fs::create_directories(path_ / "checkpoints");
  // What a killed run left half-written.
  for (const fs::directory_entry& entry : fs::directory_iterator(path_ / "checkpoints"))
    if (entry.path().filename().string().starts_with(".")) fs::remove_all(entry.path());
}

fs::path RunFolder::checkpoint(int64_t step) const {
  return path_ / "checkpoints" / fmt::format("{}{:06}", kPrefix, step);
}

std::vector<int64_t> RunFolder::checkpoints() const {
  std::vector<int64_t> steps;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_ / "checkpoints")) {
    const std::string name = entry.path().filename().string();
    int64_t step = 0;
    const char* end = name.data() + name.size();
    if (name.starts_with(kPrefix) && std::from_chars(name.data() + kPrefix.size(), end, step).ptr == end)
      steps.push_back(step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

bool RunFolder::is_used() const {
  return fs::exists(metrics_file()) || !checkpoints().empty();
}

void RunFolder::append(const fs::path& file, const io::json::object& line) {
  std::ofstream out(file, std::ios::app | std::ios::binary);
  out << io::write_json(line, io::JsonStyle::kPython) << '\n';
  out.flush();
  MM_CHECK_KIND(kIo, out.good(), file.string(), ": cannot be written");
}

void RunFolder::forget_after(int64_t step) {
  for (const fs::path& file : {metrics_file(), samples_file()}) {
    std::string kept;
    for (const std::string& line : lines_of(file))
      if (step_of(line, file) <= step) kept += line + "\n";
    if (fs::exists(file)) io::write_file(file, kept);
  }
}

void RunFolder::save(int64_t step, const std::function<void(const fs::path& folder)>& write) {
  const fs::path target = checkpoint(step), temporary = path_ / "checkpoints" / fmt::format(".step-{:06}", step);
  fs::remove_all(temporary);
  fs::create_directory(temporary);
  write(temporary);
  sync_folder(temporary);
  fs::remove_all(target);
  fs::rename(temporary, target);
  sync_folder(path_ / "checkpoints");
}

void RunFolder::prune(int64_t keep_last, std::optional<int64_t> best) {
  std::vector<int64_t> steps = checkpoints();
  steps.resize(steps.size() - static_cast<size_t>(std::min<int64_t>(keep_last, static_cast<int64_t>(steps.size()))));
  for (const int64_t step : steps)
    if (step != best) fs::remove_all(checkpoint(step));
}

std::vector<io::json::value> read_jsonl(const fs::path& file) {
  std::vector<io::json::value> values;
  for (const std::string& line : lines_of(file)) values.push_back(io::parse_json(line, file.string()));
  return values;
}

void save_model(const Context& ctx, const MiniMaxM1& model, const fs::path& folder, const fs::path& tokenizer) {
  std::vector<io::NamedTensor> tensors;
  for (const Parameter& parameter : parameters(model))
    tensors.push_back({parameter.name, ops::to_host(ctx, parameter.value)});
  io::write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
  ModelConfig config = model.config;
  config.dtype = model.lm_head.data.dtype();
  if (!tokenizer.empty()) {
    for (const char* name : kTokenizerFiles)
      if (fs::exists(tokenizer / name)) fs::copy_file(tokenizer / name, folder / name);
    const auto ids = text::Tokenizer::load(tokenizer);
    if (config.eos.empty() && ids.eos_id()) config.eos = {*ids.eos_id()};
    if (!config.bos && ids.bos_id()) config.bos = *ids.bos_id();
  }
  io::write_file(folder / "config.json", write_config(config));
}

void save_optimizer(const Context& ctx, const TrainableModel& trainable, AdamW& optimizer, const fs::path& folder) {
  std::vector<io::NamedTensor> tensors;
  for (size_t i = 0; i < trainable.parameters.size(); ++i) {
    const ops::AdamWSlot& slot = optimizer.slots()[i];
    const std::string& name = trainable.parameters[i].name;
    tensors.push_back({"m." + name, ops::to_host(ctx, slot.m)});
    tensors.push_back({"v." + name, ops::to_host(ctx, slot.v)});
    if (slot.master.raw() != slot.weight.raw()) tensors.push_back({"master." + name, ops::to_host(ctx, slot.master)});
  }
  io::write_safetensors(folder / "optimizer.safetensors", tensors);
}

void load_optimizer(const Context& ctx, const TrainableModel& trainable, AdamW& optimizer, const fs::path& folder) {
  const auto file = io::SafetensorsFile::open(folder / "optimizer.safetensors");
  for (size_t i = 0; i < trainable.parameters.size(); ++i) {
    const ops::AdamWSlot& slot = optimizer.slots()[i];
    const std::string& name = trainable.parameters[i].name;
    ops::copy_to_device(ctx, file.tensor("m." + name), slot.m);
    ops::copy_to_device(ctx, file.tensor("v." + name), slot.v);
    if (slot.master.raw() != slot.weight.raw()) ops::copy_to_device(ctx, file.tensor("master." + name), slot.master);
  }
}

}  // namespace minimax::train
