#include "server/openai/chat_request.h"

#include "server/api/api_error.h"
#include "server/api/constraint.h"
#include "text/chat_json.h"

namespace minimax::server {
namespace {

using io::JsonField;

constexpr int64_t kMaxAnswers = 128;
constexpr int64_t kMaxTopLogprobs = 20;

// What the model cannot give is refused rather than left out.
void refuse_media(const JsonField& root) {
  if (root["audio"].has_value()) root["audio"].fail("nothing: this model only writes text");
  const JsonField modalities = root["modalities"];
  for (int64_t index = 0; modalities.has_value() && index < modalities.size(); ++index)
    if (modalities[index].string() != "text") modalities[index].fail("\"text\": this model only writes text");
}

// Fields that change nothing here; their types are checked all the same.
void check_ignored(const JsonField& root) {
  for (const std::string_view key : {"user", "service_tier", "safety_identifier", "verbosity"})
    (void)root[key].string_or("");
  (void)root["store"].boolean_or(false);
  for (const std::string_view key : {"metadata", "prediction", "web_search_options"})
    if (root[key].has_value()) (void)root[key].object();
}

int64_t read_max_tokens(const JsonField& root, const ServedModel& model) {
  for (const std::string_view key : {"max_completion_tokens", "max_tokens"})
    if (root[key].has_value()) return root[key].integer(-1, int64_t{1} << 40);
  return model.max_answer_tokens;
}

}  // namespace

Conversation read_conversation(const JsonField& root) {
  Conversation conversation;
  conversation.messages = text::messages_from_json(root["messages"]);
  const bool old_spelling = !root["tools"].has_value() && root["functions"].has_value();
  conversation.tools = text::tools_from_json(root[old_spelling ? "functions" : "tools"]);
  JsonField choice = root["tool_choice"];
  if (old_spelling && root["function_call"].is_string()) choice = root["function_call"];
  conversation.tool_choice = read_tool_choice(choice, conversation.tools);
  conversation.tool_choice.parallel = root["parallel_tool_calls"].boolean_or(true);
  if (const JsonField kwargs = root["chat_template_kwargs"]; kwargs.has_value())
    conversation.template_variables = kwargs.object();
  conversation.add_generation_prompt = root["add_generation_prompt"].boolean_or(true);
  conversation.continue_final_message = root["continue_final_message"].boolean_or(false);
  // The state that a session keeps has the thinking in it.
  if (!root["session"].string_or("").empty()) conversation.keep_reasoning = true;
  if (root["keep_reasoning"].has_value()) conversation.keep_reasoning = root["keep_reasoning"].boolean();
  return conversation;
}

ChatCall read_chat(const JsonField& root, const ServedModel& model) {
  check_model_name(root, model);
  refuse_media(root);
  check_ignored(root);
  const Conversation conversation = read_conversation(root);

  ChatCall call;
  engine::Request& request = call.spec.request;
  request.sampling = read_sampling(root, model);
  read_engine_fields(root, model, request);
  if (request.cache_salt.empty() && root["prompt_cache_key"].has_value()) (void)root["prompt_cache_key"].string();
  request.max_tokens = read_max_tokens(root, model);
  request.n = root["n"].integer_or(1, 1, kMaxAnswers);
  request.best_of = root["best_of"].integer_or(0, 0, kMaxAnswers);
  request.max_thinking_tokens = read_thinking_budget(root, model);

  ChatFormat& format = call.format;
  format.id = new_id("chatcmpl-");
  format.n = request.n;
  format.stream = root["stream"].boolean_or(false);
  const JsonField stream_options = root["stream_options"];
  if (stream_options.has_value()) format.include_usage = stream_options["include_usage"].boolean_or(false);
  format.logprobs = root["logprobs"].boolean_or(false);
  const JsonField top = root["top_logprobs"];
  request.sampling.top_logprobs = top.integer_or(0, 0, kMaxTopLogprobs);
  if (top.has_value() && top.integer() > 0 && !format.logprobs)
    root["logprobs"].fail("true, since top_logprobs is given");
  format.reasoning = read_reasoning_options(root);

  AnswerTextOptions& text = call.spec.text;
  text.stop = read_stop(root["stop"]);
  text.reports = format.logprobs;
  text.parser.split_reasoning = format.reasoning.separate;
  text.parser.parse_tool_calls =
      !conversation.tools.empty() && conversation.tool_choice.mode != ToolChoice::Mode::kNone;
  // A call that breaks off halfway could not be taken back.
  text.parser.tool_calls.stream_arguments = false;
  text.parser.tool_calls.id_seed = random_seed();  // ids differ between the turns of a conversation, whatever its seed
  call.spec.parallel_tool_calls = conversation.tool_choice.parallel;

  request.constraint = whole_constraint(read_constraint(root, *model.constraints), conversation, *model.constraints);
  RenderedPrompt prompt = render(conversation, model);
  request.prompt = std::move(prompt.ids);
  request.prompt_opens_thinking = text.parser.starts_in_reasoning = prompt.opens_thinking;
  return call;
}

}  // namespace minimax::server
