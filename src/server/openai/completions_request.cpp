#include "server/api/api_error.h"
#include "server/api/constraint.h"
#include "server/openai/completions.h"

namespace minimax::server {
namespace {

using io::JsonField;

constexpr int64_t kMaxPrompts = 1024;
constexpr int64_t kMaxLogprobs = 20;
constexpr int64_t kDefaultMaxTokens = 16;  // OpenAI's

std::vector<int32_t> ids_of(const JsonField& field, const ServedModel& model) {
  if (field.size() == 0) field.fail("at least one id");
  std::vector<int32_t> ids;
  for (const int64_t id : field.integers(0, model.engine->config().vocab - 1)) ids.push_back(static_cast<int32_t>(id));
  return ids;
}

std::vector<int32_t> encode_prompt(std::string_view text, bool specials, const ServedModel& model) {
  std::vector<int32_t> ids = specials ? model.tokenizer.encode_with_special(text) : model.tokenizer.encode(text);
  if (ids.empty() && model.tokenizer.bos_id()) ids.push_back(*model.tokenizer.bos_id());
  return ids;
}

std::vector<std::vector<int32_t>> read_prompts(const JsonField& field, bool specials, const ServedModel& model) {
  if (field.is_string()) return {encode_prompt(field.string(), specials, model)};
  if (!field.is_array()) field.fail("a text, a list of ids, or a list of either");
  if (field.size() == 0) field.fail("at least one prompt");
  if (field[int64_t{0}].is_number()) return {ids_of(field, model)};
  if (field.size() > kMaxPrompts) field.fail("at most 1024 prompts");
  std::vector<std::vector<int32_t>> prompts;
  for (int64_t index = 0; index < field.size(); ++index) {
    const JsonField prompt = field[index];
    prompts.push_back(prompt.is_array() ? ids_of(prompt, model) : encode_prompt(prompt.string(), specials, model));
  }
  return prompts;
}

// An integer; some clients send true for 0 or more.
int64_t read_logprobs(const JsonField& field) {
  if (!field.has_value()) return -1;
  if (field.is_bool()) return field.boolean() ? 0 : -1;
  return field.integer(0, kMaxLogprobs);
}

}  // namespace

CompletionsCall read_completions(const JsonField& root, const ServedModel& model) {
  check_model_name(root, model);
  (void)root["user"].string_or("");
  if (!root["suffix"].string_or("").empty()) root["suffix"].fail("nothing: this model does not fill in the middle");
  AnswerSpec spec;
  engine::Request& request = spec.request;
  request.sampling = read_sampling(root, model);
  read_engine_fields(root, model, request);
  const bool echo = root["echo"].boolean_or(false);
  request.max_tokens = root["max_tokens"].integer_or(
      model.max_answer_tokens >= 0 ? model.max_answer_tokens : kDefaultMaxTokens, -1, int64_t{1} << 40);
  if (request.max_tokens == 0 && !echo) root["max_tokens"].fail("1 or more, or echo");
  read_counts(root, request);
  const int64_t logprobs = read_logprobs(root["logprobs"]);
  request.sampling.top_logprobs = std::max<int64_t>(logprobs, 0);
  if (echo && logprobs >= 0) request.prompt_logprobs = logprobs;
  request.thinking = false;  // the text is the model's as it comes

  request.constraint = read_constraint(root, *model.constraints);
  spec.text.parse = false;
  spec.text.stop = read_stop(root["stop"]);
  spec.text.reports = logprobs >= 0;

  CompletionsCall call;
  CompletionsFormat& format = call.format;
  format.id = new_id("cmpl-");
  const StreamOptions stream = read_stream_options(root);
  format.stream = stream.stream;
  format.include_usage = stream.usage;
  format.obfuscate = stream.obfuscate;
  if (format.stream && request.best_of > request.n) root["best_of"].fail("at most n in a stream");
  format.logprobs = logprobs >= 0;
  format.n = request.n;

  const bool specials = root["parse_special"].boolean_or(false);
  std::vector<std::vector<int32_t>> prompts = read_prompts(root["prompt"], specials, model);
  format.prompts = static_cast<int64_t>(prompts.size());
  for (std::vector<int32_t>& prompt : prompts) {
    if (echo) format.echo.push_back(model.tokenizer.decode(prompt, text::SpecialTokens::kKeep));
    format.prompt_tokens.push_back(static_cast<int64_t>(prompt.size()));
    call.specs.push_back(spec);
    call.specs.back().request.prompt = std::move(prompt);
  }
  return call;
}

}  // namespace minimax::server
