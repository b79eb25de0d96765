#include "server/api/answer_spec.h"

#include <algorithm>
#include <charconv>
#include <random>
#include <unordered_set>

#include "core/error.h"
#include "server/api/api_error.h"
#include "server/api/utility_endpoints.h"

namespace minimax::server {
namespace {

using io::JsonField;

constexpr size_t kMaxStops = 16;
constexpr int64_t kMaxAnswers = 128;
constexpr size_t kMaxMetadata = 16;

// {"123": -1.5}
std::vector<std::pair<int32_t, float>> read_logit_bias(const JsonField& field, int64_t vocab) {
  std::vector<std::pair<int32_t, float>> out;
  if (!field.has_value()) return out;
  std::unordered_set<int32_t> seen;
  for (const auto& member : field.object()) {
    const std::string_view key(member.key().data(), member.key().size());
    int32_t id = -1;
    const auto [end, failure] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (failure != std::errc{} || end != key.data() + key.size() || id < 0 || id >= vocab)
      field[key].fail(cat("under the number of a token, 0 to ", vocab - 1));
    if (!seen.insert(id).second) field[key].fail("one number for a token");
    out.emplace_back(id, static_cast<float>(field[key].number(-100, 100)));
  }
  return out;
}

// How long each effort may think. Our choice: the model knows no efforts.
int64_t effort_budget(const JsonField& effort) {
  const std::string_view word = effort.string();
  if (word == "none") return 0;
  if (word == "minimal") return 512;
  if (word == "low") return 2048;
  if (word == "medium") return 8192;
  if (word == "high" || word == "xhigh" || word == "max" || word == "auto") return -1;
  effort.fail("none, minimal, low, medium, high or xhigh");
}

}  // namespace

uint64_t random_seed() {
  thread_local std::random_device device;
  return uint64_t{device()} << 32 | device();
}

engine::SamplingParams read_sampling(const JsonField& root, const ServedModel& model) {
  const engine::SamplingParams& defaults = model.sampling;
  engine::SamplingParams params = defaults;
  const auto number = [&](std::string_view key, float fallback, double min, double max) {
    return static_cast<float>(root[key].number_or(fallback, min, max));
  };
  params.temperature = number("temperature", defaults.temperature, 0, 100);
  params.top_p = number("top_p", defaults.top_p, 0, 1);
  params.top_k = root["top_k"].integer_or(defaults.top_k, -1);
  params.min_p = number("min_p", defaults.min_p, 0, 1);
  for (const std::string_view key : {"repetition_penalty", "repeat_penalty"})
    params.repetition_penalty = number(key, params.repetition_penalty, 1e-3, 1e3);
  params.presence_penalty = number("presence_penalty", defaults.presence_penalty, -2, 2);
  params.frequency_penalty = number("frequency_penalty", defaults.frequency_penalty, -2, 2);
  params.logit_bias = read_logit_bias(root["logit_bias"], model.engine->config().vocab);
  const JsonField seed = root["seed"];
  params.seed = seed.has_value() ? static_cast<uint64_t>(seed.integer()) : random_seed();
  return params;
}

void read_counts(const JsonField& root, engine::Request& request) {
  request.n = root["n"].integer_or(1, 1, kMaxAnswers);
  request.best_of = root["best_of"].integer_or(0, 0, kMaxAnswers);
  if (request.best_of != 0 && request.best_of < request.n) root["best_of"].fail(cat("at least n, ", request.n));
}

std::vector<std::string> read_stop(const JsonField& field) {
  std::vector<std::string> stop;
  if (!field.has_value()) return stop;
  if (field.is_string())
    stop.emplace_back(field.string());
  else if (field.is_array())
    stop = field.strings();
  else
    field.fail("a string or a list of strings");
  if (stop.size() > kMaxStops) field.fail("at most 16 strings");
  std::erase(stop, "");  // some clients send "" for none
  return stop;
}

void read_engine_fields(const JsonField& root, const ServedModel& model, engine::Request& request) {
  request.priority = root["priority"].integer_or(0, -1000000, 1000000);
  request.deadline_seconds = root["timeout"].number_or(0, 0, 1e7);
  request.cache_salt = root["cache_salt"].string_or("");
  request.session = root["session"].string_or("");
  if (!request.session.empty() && !is_session_name(request.session))
    root["session"].fail("letters, digits, dots, dashes and underscores, at most 100");
  if (!request.session.empty() && !model.engine->options().prefix_cache)
    root["session"].fail("none: this server runs without a prefix cache");
  request.banned = model.banned;
  if (!root["ignore_eos"].boolean_or(false)) request.stop_ids = model.stop_ids;
  const JsonField ids = root["stop_token_ids"];
  if (ids.has_value())
    for (const int64_t id : ids.integers(0, model.engine->config().vocab - 1))
      request.stop_ids.push_back(static_cast<int32_t>(id));
  // What ends an answer must be possible.
  std::erase_if(request.banned, [&](int32_t id) {
    return std::find(request.stop_ids.begin(), request.stop_ids.end(), id) != request.stop_ids.end();
  });
  const JsonField guard = root["loop_guard"];
  if (guard.is_bool()) {
    if (guard.boolean()) request.loop_guard.tokens = 3000;
  } else if (guard.has_value()) {
    request.loop_guard.tokens = guard["tokens"].integer_or(3000, 0, int64_t{1} << 40);
    request.loop_guard.probability = static_cast<float>(guard["probability"].number_or(0.99, 0, 1));
  }
}

int64_t read_thinking_budget(const JsonField& root, const ServedModel& model) {
  int64_t budget = model.max_thinking_tokens;
  const auto limit = [&](int64_t tokens) {
    if (tokens >= 0) budget = budget < 0 ? tokens : std::min(budget, tokens);
  };
  const auto number = [&](const JsonField& field) {
    if (field.has_value()) limit(field.integer(-1, int64_t{1} << 40));
  };
  const auto enabled = [&](const JsonField& field) {
    if (field.has_value() && !field.boolean()) limit(0);
  };
  for (const std::string_view key :
       {"max_thinking_tokens", "thinking_token_budget", "thinking_budget_tokens", "thinking_budget"})
    number(root[key]);
  enabled(root["enable_thinking"]);
  if (root["reasoning_effort"].has_value()) limit(effort_budget(root["reasoning_effort"]));

  const JsonField kwargs = root["chat_template_kwargs"];
  if (kwargs.has_value()) {
    number(kwargs["thinking_budget"]);
    enabled(kwargs["enable_thinking"]);
  }
  const JsonField reasoning = root["reasoning"];
  if (reasoning.has_value()) {
    number(reasoning["max_tokens"]);
    enabled(reasoning["enabled"]);
    if (reasoning["effort"].has_value()) limit(effort_budget(reasoning["effort"]));
  }
  const JsonField thinking = root["thinking"];
  if (thinking.has_value()) {
    const std::string_view type = thinking["type"].string_or("enabled");
    if (type == "disabled")
      limit(0);
    else if (type != "enabled" && type != "adaptive")
      thinking["type"].fail("enabled, disabled or adaptive");
    number(thinking["budget_tokens"]);
  }
  return budget;
}

ReasoningOptions read_reasoning_options(const JsonField& root) {
  ReasoningOptions options;
  options.separate = root["separate_reasoning"].boolean_or(true);
  options.include = root["include_reasoning"].boolean_or(true);
  const JsonField reasoning = root["reasoning"];
  if (reasoning.has_value() && reasoning["exclude"].boolean_or(false)) options.include = false;
  return options;
}

void set_prompt(AnswerSpec& spec, const Conversation& conversation, RenderedPrompt prompt, const ServedModel& model) {
  engine::Request& request = spec.request;
  request.prompt = std::move(prompt.ids);
  request.prompt_opens_thinking = spec.text.parser.starts_in_reasoning = prompt.opens_thinking;
  const auto said = [](const text::Message& message) {
    return !message.content.empty() && !message.content.back().text.empty();
  };
  const bool inside =
      conversation.continue_final_message && !prompt.opens_thinking && said(conversation.messages.back());
  if (!inside && request.max_thinking_tokens != 0) return;
  if (!inside) {
    const engine::ThinkingFormat& format = *model.engine->options().thinking;
    const std::vector<int32_t>& block = prompt.opens_thinking ? format.close_ids.front() : format.skip_ids;
    request.prompt.insert(request.prompt.end(), block.begin(), block.end());
  }
  // All that comes is the answer.
  request.max_thinking_tokens = -1;
  request.thinking = request.prompt_opens_thinking = false;
  spec.text.parser.split_reasoning = spec.text.parser.starts_in_reasoning = false;
}

void check_word(const JsonField& field, std::initializer_list<std::string_view> words) {
  if (!field.has_value()) return;
  const std::string_view word = field.string();
  if (std::find(words.begin(), words.end(), word) != words.end()) return;
  std::string expected;
  for (const std::string_view each : words) expected.append(expected.empty() ? "" : ", ").append(each);
  field.fail(expected);
}

void check_metadata(const JsonField& field) {
  if (!field.has_value()) return;
  if (field.object().size() > kMaxMetadata) field.fail(cat("at most ", kMaxMetadata, " members"));
  for (const auto& member : field.object())
    (void)field[std::string_view(member.key().data(), member.key().size())].string();
}

StreamOptions read_stream_options(const JsonField& root) {
  StreamOptions out{.stream = root["stream"].boolean_or(false)};
  const JsonField options = root["stream_options"];
  if (!options.has_value()) return out;
  out.usage = options["include_usage"].boolean_or(false);
  out.obfuscate = options["include_obfuscation"].boolean_or(false);
  return out;
}

void check_model_name(const JsonField& root, const ServedModel& model) {
  const std::string name(root["model"].string_or(""));
  if (name.empty() || model.any_name) return;
  if (std::find(model.names.begin(), model.names.end(), name) != model.names.end()) return;
  throw ApiError(404, "the model \"" + name + "\" is not served here, expected \"" + model.name() + "\"", "model",
                 "model_not_found");
}

}  // namespace minimax::server
