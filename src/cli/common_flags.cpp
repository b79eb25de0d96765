#include "cli/common_flags.h"

#include <fmt/format.h>

#include <charconv>
#include <random>

namespace minimax::cli {
namespace {

// "42=-1.5".
std::string parse_bias(const std::string& word, std::pair<int32_t, float>& bias) {
  const char* end = word.data() + word.size();
  const auto [id_end, id_failure] = std::from_chars(word.data(), end, bias.first);
  if (id_failure == std::errc{} && id_end != end && (*id_end == '=' || *id_end == ':')) {
    const char* number = id_end + 1 + (id_end + 1 != end && id_end[1] == '+');
    const auto [stop, failure] = std::from_chars(number, end, bias.second);
    if (failure == std::errc{} && stop == end) return "";
  }
  return fmt::format("\"{}\" is not ID=BIAS, such as 42=-1.5", word);
}

}  // namespace

void add_global_flags(Command& command, GlobalOptions& options) {
  command.group("General");
  command.number("-t,--threads", options.threads, "N", "threads to compute with", "one per processor", 0, 4096);
  command.flag("-q,--quiet", options.quiet, "no warnings, no progress, no figures on stderr");
  command.choice<LogLevel>(
      "--log-level", options.log_level, "LEVEL", "how much to say on stderr",
      {{"error", LogLevel::kError}, {"warn", LogLevel::kWarn}, {"info", LogLevel::kInfo}, {"debug", LogLevel::kDebug}},
      "warn");
  command.choice<ColorWhen>("--color", options.color, "WHEN", "colours; NO_COLOR is respected",
                            {{"auto", ColorWhen::kAuto}, {"always", ColorWhen::kAlways}, {"never", ColorWhen::kNever}},
                            "auto");
  command
      .text("--config", options.config_file, "FILE", "settings file", ValueKind::kFile, "~/.config/minimax/config.toml")
      .from_settings = false;  // parse.cpp reads it before any other
  command.mark("-h,--help", "this text");
}

void add_model_flags(Command& command, ModelOptions& options) {
  command.group("Model");
  command.text("-m,--model", options.model, "FOLDER", "the model, instead of the argument", ValueKind::kFolder);
  command.number("-c,--ctx-size", options.context_size, "N", "most tokens of prompt and answer together",
                 "32768, if the model allows", 0);
  command.text("--adapter", options.adapter, "FOLDER", "LoRA adapters to merge into the model while it loads",
               ValueKind::kFolder);
  command.text("--quant", options.quant, "RECIPE",
               "quantize the weights while they load, as q4 or experts=q4,attention=q8 (see minimax quantize)");
  command.negative_flag("--no-mmap", options.mmap, "read the weights into memory instead of mapping the files");
  command.flag("--mlock", options.mlock, "keep the weights from being paged out");
  command.choice<DeviceChoice>(
      "--device", options.device, "DEVICE", "where to compute; auto takes a GPU when there is one and the weights fit",
      {{"auto", DeviceChoice::kAuto}, {"cpu", DeviceChoice::kCpu}, {"cuda", DeviceChoice::kCuda}}, "auto");
  command.flag("--exact", options.exact, "on a GPU: float32 operands in every product (slow); else bfloat16 ones");
  command.flag("--deterministic", options.deterministic,
               "on a GPU: a token's log-probs do not depend on its batch, to the bit; always so on CPUs");
  command.choice<bool>("--matmul-precision", options.bfloat16_matmul, "P",
                       "on a CPU, activations in matrix products: exact, or rounded (faster with bf16 dot products)",
                       {{"float32", false}, {"bfloat16", true}}, "float32");
  command.choice<KvPrecision>("--kv-type", options.kv_precision, "TYPE",
                              "on a CPU, how keys and values are kept; int8 takes a quarter of the memory",
                              {{"float32", KvPrecision::kFloat32}, {"int8", KvPrecision::kInt8}}, "float32");
}

void add_sampling_flags(Command& command, SamplingOptions& options) {
  engine::SamplingParams& params = options.params;
  command.group("Sampling");
  command.number("-n,--max-tokens,--n-predict", options.max_tokens, "N", "longest answer", "until it ends", 0);
  command.number("--temperature,--temp", params.temperature, "T", "0 takes the likeliest token", "1.0", 0);
  command.number("--top-p", params.top_p, "P", "keep the likeliest tokens that hold this much", "0.95", 0, 1);
  command.number("--top-k", params.top_k, "K", "keep this many of the likeliest tokens; 0 keeps all", "0", -1);
  command.number("--min-p", params.min_p, "P", "drop tokens below this share of the likeliest one", "0", 0, 1);
  command.number("--repetition-penalty,--repeat-penalty", params.repetition_penalty, "X",
                 "above 1: tokens of prompt and answer become less likely", "1");
  command.number("--presence-penalty", params.presence_penalty, "X", "taken from logits of tokens in the answer", "0",
                 -2, 2);
  command.number("--frequency-penalty", params.frequency_penalty, "X", "the same, for every time they stand there", "0",
                 -2, 2);
  command.number("-s,--seed", options.seed, "N", "the same answer every time", "a new one", 0);
  command.text("--stop", options.stop, "TEXT", "end the answer before this text; may be given several times");
  command.list("--stop-id", "ID", "end the answer at this id; may be given several times",
               [&options](const std::vector<std::string>& words) -> std::string {
                 options.stop_ids.clear();
                 for (const std::string& word : words) {
                   int32_t& id = options.stop_ids.emplace_back();
                   const auto [stop, failure] = std::from_chars(word.data(), word.data() + word.size(), id);
                   if (failure != std::errc{} || stop != word.data() + word.size() || id < 0)
                     return fmt::format("\"{}\" is not an id", word);
                 }
                 return "";
               });
  command.flag("--ignore-eos", options.ignore_eos, "do not end at the end-of-sentence token");
  command.list("--logit-bias", "ID=BIAS", "added to the logit of an id; may be given several times",
               [&params](const std::vector<std::string>& words) -> std::string {
                 params.logit_bias.clear();
                 for (const std::string& word : words) {
                   const std::string problem = parse_bias(word, params.logit_bias.emplace_back());
                   if (!problem.empty()) return problem;
                 }
                 return "";
               });
}

uint64_t seed_of(const SamplingOptions& options) {
  if (options.seed) return *options.seed;
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace minimax::cli
