#include "train/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <vector>

#include "core/error.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "train/chart.h"
#include "train/run_folder.h"

namespace minimax::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBlue = "#1f6feb";
constexpr const char* kOrange = "#d9730d";
constexpr const char* kColors[] = {kBlue, kOrange, "#1a7f37", "#8250df", "#bf3989", "#9a6700"};

constexpr const char* kHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>)";
constexpr const char* kStyle = R"(</title>
<style>
:root { color-scheme: light dark; --line: #d0d7de; --dim: #656d76; }
@media (prefers-color-scheme: dark) { :root { --line: #30363d; --dim: #8b949e; } body { background: #0d1117; color: #e6edf3; } }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; max-width: 1480px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .6rem; }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; }
.charts svg { border: 1px solid var(--line); border-radius: 8px; max-width: 100%; height: auto; }
table { border-collapse: collapse; } td, th { padding: .15rem 1.2rem .15rem 0; text-align: left; vertical-align: top; }
th { font-weight: 500; color: var(--dim); } pre { white-space: pre-wrap; margin: .2rem 0 1rem; }
.prompt { color: var(--dim); } .sample { border-left: 3px solid var(--line); padding-left: .8rem; margin: .8rem 0; }
</style></head><body>
)";

/// Shows the newest curves; dims them while nobody answers, for the run may be over.
constexpr const char* kRefresh = R"(<script>
setInterval(async () => {
  const main = document.querySelector("main");
  try {
    const answer = await fetch("body");
    if (answer.ok) main.innerHTML = await answer.text();
    main.style.opacity = answer.ok ? 1 : 0.5;
  } catch { main.style.opacity = 0.5; }
}, 2000);
</script>
)";

/// Values by step of every metric.
using Curves = std::map<std::string, std::vector<Point>>;

Curves read_curves(const fs::path& file) {
  Curves curves;
  for (const io::json::value& value : read_jsonl(file)) {
    const io::JsonField line(value, file.string());
    const double step = line["step"].number();
    for (const auto& [key, number] : line.object()) {
      const std::string name(key);
      if (name == "step") continue;
      const io::JsonField field = line[name];
      // "nan" and "inf" are written as texts.
      if (field.is_number() || field.is_string())
        curves[name].push_back({step, field.is_number() ? field.number() : std::nan("")});
    }
  }
  return curves;
}

Chart loss_chart(const Curves& curves) {
  Chart chart{.title = "Loss", .series = {}};
  const std::vector<Point>& raw = curves.at("loss");
  const double keep = raw.size() > 300 ? 1 - 60 / static_cast<double>(raw.size()) : 0;  // shorter runs show as they are
  if (keep > 0) chart.series.push_back({.name = "", .points = raw, .color = kBlue, .width = 1, .opacity = 0.3});
  chart.series.push_back(
      {.name = keep > 0 ? "training, smoothed" : "training", .points = smoothed(raw, keep), .color = kBlue});
  if (const auto held = curves.find("held_out/loss"); held != curves.end())
    chart.series.push_back({.name = "held out", .points = held->second, .color = kOrange, .dots = true});
  return chart;
}

/// A chart of some metrics: those named, and for a name that ends in "*" all that begin so.
struct Wanted {
  const char* title;
  std::vector<std::string> metrics;
  bool log_y = false;
};

std::vector<Wanted> wanted_charts() {
  return {
      {"Held-out score", {"heldout/*"}},
      {"Reward", {"reward/mean", "reward/domain.*"}},
      {"Level of the problems", {"curriculum/*"}},
      {"Groups that teach nothing: all wrong, all right", {"group/zero_var_0", "group/zero_var_1"}},
      {"Gradient norm, before clipping", {"grad/norm"}, true},
      {"Learning rate", {"rate"}},
      {"Load-balancing loss (top_k when balanced)", {"loss/aux"}},
      {"Load of the experts: deviation over mean", {"moe/load_cv"}},
      {"Entropy", {"entropy/mean", "entropy/pos", "entropy/neg"}},
      {"Length of answers, tokens", {"len/mean", "len/p99", "len/window"}},
      {"Share of attempts in form; cut off; stopped for repetition", {"format_rate", "trunc_rate", "rep_stop_rate"}},
      {"KL divergence from the sampler (k3)", {"kl/k3"}, true},
      {"Ratio of the updates", {"ratio/max", "ratio/p99"}, true},
      {"Share of tokens capped; that PPO would have dropped", {"cispo/capfrac", "ppo/region_frac"}},
      {"Engine beside trainer: Pearson of probabilities", {"mismatch/pearson"}},
      {"Tokens per second", {"tok/s"}},
      {"Seconds of a batch", {"time/rollout", "time/score", "time/logprob", "time/update", "time/idle"}}};
}

/// Bytes of the "group/" with which all names begin.
size_t shared_prefix(const std::vector<std::string>& names) {
  const size_t size = names.front().find('/') + 1;  // 0: none
  const bool shared = std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return name.compare(0, size, names.front(), 0, size) == 0;
  });
  return shared ? size : 0;
}

std::string charts(const Curves& curves) {
  std::string out = "<div class=\"charts\">\n";
  if (curves.contains("loss")) out += svg(loss_chart(curves));
  for (const Wanted& wanted : wanted_charts()) {
    std::vector<std::string> names;
    for (const std::string& name : wanted.metrics) {
      const bool all = name.ends_with('*');
      for (const auto& [metric, points] : curves)
        if (all ? metric.starts_with(name.substr(0, name.size() - 1)) : metric == name) names.push_back(metric);
    }
    if (names.empty()) continue;
    Chart chart{.title = wanted.title, .series = {}, .log_y = wanted.log_y};
    const size_t shared = shared_prefix(names);
    for (const std::string& name : names)
      chart.series.push_back({.name = names.size() == 1 ? "" : name.substr(shared),
                              .points = curves.at(name),
                              .color = kColors[chart.series.size() % std::size(kColors)],
                              .dots = curves.at(name).size() < 60});
    out += svg(chart);
  }
  return out + "</div>\n";
}

/// What the run warned of, the newest first.
std::string alarms(const fs::path& file) {
  constexpr size_t kMost = 100;
  std::vector<std::string> items;
  for (const io::json::value& value : read_jsonl(file)) {
    const io::JsonField line(value, file.string());
    if (!line["alarms"].has_value()) continue;
    for (int64_t i = 0; i < line["alarms"].size(); ++i)
      items.push_back(
          fmt::format("<li>step {}: {}</li>\n", line["step"].integer(), escaped(line["alarms"][i].string())));
  }
  if (items.empty()) return "";
  std::string out = fmt::format("<h2>Alarms: {}</h2>\n<ul>\n", items.size());
  for (size_t i = 0; i < std::min(items.size(), kMost); ++i) out += items[items.size() - 1 - i];
  return out + "</ul>\n";
}

std::string plain(const io::json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : io::write_json(value);
}

std::string facts(const fs::path& file) {
  if (!fs::exists(file)) return "";
  const io::json::value value = io::read_json_file(file);
  std::string out = "<table>\n";
  for (const auto& [key, fact] : io::JsonField(value, file.string()).object()) {
    std::string text = plain(fact);
    if (key == "data" && fact.is_array()) {
      text.clear();
      for (const io::json::value& data : fact.get_array()) {
        const io::JsonField field(data, file.string());
        text += fmt::format("{}{}: {} examples, {} tokens, weight {}", text.empty() ? "" : "; ", field["name"].string(),
                            field["examples"].integer(), field["tokens"].integer(), field["weight"].number());
      }
    }
    out += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", escaped(std::string(key)), escaped(text));
  }
  return out + "</table>\n";
}

std::string samples(const fs::path& file) {
  const std::vector<io::json::value> lines = read_jsonl(file);
  if (lines.empty()) return "";
  std::string out = "<h2>Samples</h2>\n";
  // The newest first: what the model can do now.
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    const io::JsonField field(*line, file.string());
    out += fmt::format("<div class=\"sample\"><div class=\"prompt\">step {}: {}</div><pre>{}</pre></div>\n",
                       field["step"].integer(), escaped(field["prompt"].string()), escaped(field["text"].string()));
  }
  return out;
}

/// Of a run of reinforcement learning.
std::string summary_of_rewards(const Curves& curves) {
  const auto reward = curves.find("reward/mean");
  if (reward == curves.end() || reward->second.empty()) return "";
  std::string out = fmt::format("{} batches; reward {:.3f} in the first, {:.3f} in the last", reward->second.back().x,
                                reward->second.front().y, reward->second.back().y);
  for (const auto& [name, points] : curves)
    if (name.starts_with("heldout/") && name != "heldout/reward" && !points.empty())
      out += fmt::format("; {} {:.3f} &rarr; {:.3f}", escaped(name.substr(8)), points.front().y, points.back().y);
  return "<p>" + out + "</p>\n";
}

std::string summary(const Curves& curves) {
  const auto loss = curves.find("loss");
  if (loss == curves.end() || loss->second.empty()) return summary_of_rewards(curves);
  std::string out = fmt::format("{} steps; loss {:.4f} at the first, {:.4f} at the last", loss->second.back().x,
                                loss->second.front().y, loss->second.back().y);
  if (const auto held = curves.find("held_out/loss"); held != curves.end()) {
    Point best = held->second.front();
    for (const Point& point : held->second)
      if (point.y < best.y) best = point;
    out += fmt::format("; held out {:.4f} at best, after step {}", best.y, best.x);
  }
  return "<p>" + out + "</p>\n";
}

}  // namespace

std::string report_body(const fs::path& run) {
  const std::string name = "<h1>" + escaped(fs::absolute(run).filename().string()) + "</h1>\n";
  const Curves curves = read_curves(run / "metrics.jsonl");
  if (curves.empty()) return name + "<p>no step is done yet</p>\n" + facts(run / "run.json");
  return name + summary(curves) + charts(curves) + alarms(run / "metrics.jsonl") + "<h2>Run</h2>\n" +
         facts(run / "run.json") + samples(run / "samples.jsonl");
}

std::string report_page(const fs::path& run, bool live) {
  return std::string(kHead) + escaped(fs::absolute(run).filename().string()) + kStyle + "<main>\n" + report_body(run) +
         "</main>\n" + (live ? kRefresh : "") + "</body></html>\n";
}

void write_report(const fs::path& run) {
  const fs::path metrics = run / "metrics.jsonl";
  MM_CHECK_KIND(kNotFound, fs::exists(metrics), metrics.string(), ": no such file");
  io::write_file(run / "report.html", report_page(run, false));
}

}  // namespace minimax::train
