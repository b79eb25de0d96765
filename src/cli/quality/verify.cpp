#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "cli/common_flags.h"
#include "cli/input.h"
#include "cli/loaded_model.h"
#include "cli/quality/text.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "eval/perplexity.h"
#include "eval/tensor_errors.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/sha256.h"
#include "train/chart.h"

namespace minimax::cli {
namespace {

namespace fs = std::filesystem;

// Files of the folder that are not what SHA256SUMS says.
std::vector<std::string> damaged_files(const fs::path& folder, Terminal& terminal) {
  std::vector<std::string> damaged;
  for (const auto& [name, sum] : io::read_sums(folder)) {
    terminal.progress("checking " + name);
    if (!fs::exists(folder / name))
      damaged.push_back(name + " is missing");
    else if (io::sha256_of_file(folder / name) != sum)
      damaged.push_back(name + " has other bytes");
  }
  terminal.clear_progress();
  return damaged;
}

struct Findings {
  std::optional<int64_t> checked_files;
  std::vector<eval::TensorError> tensors;
  std::optional<eval::Comparison> comparison;
};

std::string percent(double share) {
  return fmt::format("{:.3f}%", 100 * share);
}

void print_weights(const VerifyOptions& options, std::vector<eval::TensorError> tensors, Terminal& terminal) {
  struct Group {
    int64_t tensors = 0, bytes = 0;
    double sum = 0, worst = 0;
  };
  std::map<std::pair<std::string, std::string>, Group> groups;
  for (const eval::TensorError& tensor : tensors) {
    Group& group = groups[{tensor.role, tensor.format}];
    group.tensors += 1;
    group.bytes += tensor.bytes;
    group.sum += tensor.relative_error;
    group.worst = std::max(group.worst, tensor.relative_error);
  }
  Table table({{"weights"},
               {"format"},
               {"tensors", Table::Align::kRight},
               {"bytes", Table::Align::kRight},
               {"error", Table::Align::kRight},
               {"largest", Table::Align::kRight}});
  for (const auto& [key, group] : groups)
    table.row({key.first, key.second, std::to_string(group.tensors), human_bytes(group.bytes),
               percent(group.sum / static_cast<double>(group.tensors)), percent(group.worst)});
  terminal.print(table.text(terminal));

  constexpr size_t kWorst = 5;
  if (!options.tensors) {
    std::stable_sort(tensors.begin(), tensors.end(),
                     [](const auto& a, const auto& b) { return a.relative_error > b.relative_error; });
    tensors.resize(std::min(kWorst, tensors.size()));
  }
  Table each({{options.tensors ? "tensor" : "largest errors"},
              {"format"},
              {"error", Table::Align::kRight},
              {"largest / rms", Table::Align::kRight}});
  for (const eval::TensorError& tensor : tensors)
    each.row({tensor.name, tensor.format, percent(tensor.relative_error), fmt::format("{:.3f}", tensor.largest)});
  terminal.print_line("");
  terminal.print(each.text(terminal));
}

std::string with_error(double value, double error, int digits = 4) {
  return fmt::format("{:.{}f} ± {:.{}f}", value, digits, error, digits);
}

void print_comparison(const eval::Comparison& found, Terminal& terminal) {
  Table table({{"on the text"}, {""}});
  table.row({"tokens", std::to_string(found.divergence.count())});
  table.row({"perplexity", with_error(found.model.value(), found.model.standard_error())});
  table.row({"of the reference", with_error(found.reference.value(), found.reference.standard_error())});
  table.row({"loss difference", with_error(found.loss_difference.value(), found.loss_difference.standard_error(), 5)});
  table.row({"divergence (KL)", with_error(found.divergence.value(), found.divergence.standard_error(), 6)});
  table.row({"99% below, largest", fmt::format("{:.5f}, {:.5f}", found.divergence_99, found.largest_divergence)});
  table.row({"same likeliest token",
             fmt::format("{:.2f}% ± {:.2f}%", 100 * found.same_top.value(), 100 * found.same_top.standard_error())});
  terminal.print_line("");
  terminal.print(table.text(terminal));
  Table layers({{"hidden state after"}, {"error", Table::Align::kRight}});
  const auto last = static_cast<int64_t>(found.hidden_error.size()) - 1;
  for (int64_t at = 0; at <= last; ++at)
    layers.row({at == 0      ? "embedding"
                : at == last ? "final norm"
                             : fmt::format("layer {}", at - 1),
                percent(found.hidden_error[static_cast<size_t>(at)])});
  terminal.print_line("");
  terminal.print(layers.text(terminal));
}

io::json::object json_of(const eval::Comparison& found) {
  io::json::array hidden(found.hidden_error.begin(), found.hidden_error.end());
  return {{"tokens", found.divergence.count()},
          {"perplexity", found.model.value()},
          {"perplexity_standard_error", found.model.standard_error()},
          {"reference_perplexity", found.reference.value()},
          {"reference_perplexity_standard_error", found.reference.standard_error()},
          {"loss_difference", found.loss_difference.value()},
          {"loss_difference_standard_error", found.loss_difference.standard_error()},
          {"divergence", found.divergence.value()},
          {"divergence_standard_error", found.divergence.standard_error()},
          {"divergence_99", found.divergence_99},
          {"largest_divergence", found.largest_divergence},
          {"same_top", found.same_top.value()},
          {"same_top_standard_error", found.same_top.standard_error()},
          {"hidden_error", std::move(hidden)}};
}

void print_json(const Findings& findings, Terminal& terminal) {
  io::json::array tensors;
  for (const eval::TensorError& tensor : findings.tensors)
    tensors.push_back(io::json::object{{"name", tensor.name},
                                       {"format", tensor.format},
                                       {"role", tensor.role},
                                       {"bytes", tensor.bytes},
                                       {"relative_error", tensor.relative_error},
                                       {"largest", tensor.largest}});
  io::json::object root;
  if (findings.checked_files) root["checked_files"] = *findings.checked_files;
  root["tensors"] = std::move(tensors);
  if (findings.comparison) root["text"] = json_of(*findings.comparison);
  terminal.print_line(io::write_json(root, io::JsonStyle::kPretty));
}

// Errors of weights and of hidden states along the layers.
std::string chart_of(const Findings& findings) {
  train::Chart chart{.title = "relative error by layer", .x_label = "layer", .series = {}, .log_y = true};
  const std::pair<const char*, const char*> roles[] = {
      {"experts", "#1f6feb"}, {"attention", "#2da44e"}, {"shared", "#8250df"}};
  for (const auto& [role, color] : roles) {
    train::Series series{std::string(role) + " weights", {}, color};
    for (const auto& [layer, error] : eval::errors_by_layer(findings.tensors, role))
      series.points.push_back({static_cast<double>(layer), error});
    if (!series.points.empty()) chart.series.push_back(std::move(series));
  }
  if (findings.comparison) {
    train::Series series{"hidden states", {}, "#cf222e"};
    const std::vector<double>& errors = findings.comparison->hidden_error;
    for (size_t at = 1; at + 1 < errors.size(); ++at)
      series.points.push_back({static_cast<double>(at - 1), errors[at]});
    chart.series.push_back(std::move(series));
  }
  return train::svg(chart);
}

int run_verify(const VerifyOptions& options, Session& session) {
  Terminal& terminal = session.terminal;
  check_model_folder(options.model.model);
  Findings findings;
  if (options.sums && fs::exists(fs::path(options.model.model) / io::kSumsName)) {
    const std::vector<std::string> damaged = damaged_files(options.model.model, terminal);
    MM_CHECK_KIND(kIo, damaged.empty(), options.model.model, ": ", fmt::format("{}", fmt::join(damaged, ", ")),
                  " (by SHA256SUMS)");
    findings.checked_files = static_cast<int64_t>(io::read_sums(options.model.model).size());
    if (!options.json) terminal.print_line(fmt::format("{} files are as SHA256SUMS says\n", *findings.checked_files));
  }
  if (options.against.empty()) {
    MM_CHECK(findings.checked_files, options.model.model, ": has no SHA256SUMS to check; --against MODEL compares it");
    if (options.json) print_json(findings, terminal);
    return 0;
  }
  check_model_folder(options.against);
  {
    ThreadPool threads(session.global.threads);
    findings.tensors = eval::tensor_errors(Checkpoint::open(options.model.model), Checkpoint::open(options.against),
                                           threads, [&](int64_t done, int64_t total, const std::string& name) {
                                             terminal.progress(fmt::format("{} of {} tensors: {}", done, total, name));
                                           });
    terminal.clear_progress();
  }
  if (!options.text.file.empty()) {
    LoadedModel model(options.model, session);
    ModelOptions other = options.model;
    other.model = options.against;
    LoadedModel reference(other, session);
    const auto windows =
        read_windows(options.text, reference.tokenizer(), model.config().max_positions, *model.context().threads);
    findings.comparison =
        eval::compare(model.model(), reference.model(), model.context(), windows,
                      [&](int64_t done, int64_t total) { show_token_progress(terminal, done, total); });
    terminal.clear_progress();
  }
  if (!options.svg_file.empty()) io::write_file(options.svg_file, chart_of(findings));
  if (options.json) {
    print_json(findings, terminal);
    return 0;
  }
  print_weights(options, findings.tensors, terminal);
  if (findings.comparison) print_comparison(*findings.comparison, terminal);
  return 0;
}

}  // namespace

Command define_verify() {
  auto options = std::make_shared<VerifyOptions>();
  Command command{
      .name = "verify",
      .summary = "how far a quantized model is from the original",
      .usage = "MODEL [--against MODEL [--text FILE]] [flags]",
      .description =
          "Checks the files against SHA256SUMS. With --against: the error of each stored weight. With --text too: both "
          "read the text, and the table has perplexities, the divergence of the next-token distributions, how often "
          "both have the same likeliest token, and the error of the hidden states after each layer.",
      .arguments = {{"MODEL", "the folder to verify", ValueKind::kFolder}},
      .examples = {{"minimax verify quantized", "the files are whole"},
                   {"minimax verify quantized --against MODEL --text wiki.test.raw --tokens 20000 --svg errors.svg"}},
      .json = &options->json,
      .run = [options](Command& self, Session& session) {
        options->model.model = take_model(self, options->model.model);
        if (options->against.empty() && !options->text.file.empty())
          throw UsageError("verify: --text compares with a reference: --against MODEL", self.name);
        if (!options->against.empty()) {
          Command reference{.name = self.name, .words = {options->against}};
          options->against = take_model(reference, "");
        }
        // Both models stand in the memory of one context.
        options->model.device = DeviceChoice::kCpu;
        return run_verify(*options, session);
      }};
  command.group("What to compare");
  command.text("--against", options->against, "MODEL", "the original", ValueKind::kFolder);
  command.negative_flag("--no-sums", options->sums, "do not read all files to check SHA256SUMS");
  command.flag("--tensors", options->tensors, "a line for every tensor");
  command.text("--svg", options->svg_file, "FILE", "a chart of the errors by layer", ValueKind::kFile);
  add_text_flags(command, options->text);
  command.flag("--json", options->json, "everything as JSON");
  return command;
}

}  // namespace minimax::cli
