#include "server/openai/chat_request.h"

#include "server/api/api_error.h"
#include "server/api/constraint.h"
#include "text/chat_json.h"

namespace minimax::server {
namespace {

using io::JsonField;

constexpr int64_t kMaxTopLogprobs = 20;

// What cannot be had here is refused rather than left out.
void refuse_foreign(const JsonField& root) {
  if (root["audio"].has_value()) root["audio"].fail("nothing: this model only writes text");
  if (root["moderation"].has_value()) root["moderation"].fail("nothing: this server has no model that moderates");
  if (root["web_search_options"].has_value())
    root["web_search_options"].fail("nothing: this server does not search the web");
  const JsonField modalities = root["modalities"];
  for (int64_t index = 0; modalities.has_value() && index < modalities.size(); ++index)
    if (modalities[index].string() != "text") modalities[index].fail("\"text\": this model only writes text");
}

// A guess of the answer. Speculation by prompt lookup makes its own.
void check_prediction(const JsonField& prediction) {
  if (!prediction.has_value()) return;
  if (prediction["type"].string() != "content") prediction["type"].fail("content");
  const JsonField content = prediction["content"];
  if (content.is_string()) return;
  if (!content.is_array()) content.fail("a string or a list of parts");
  for (int64_t index = 0; index < content.size(); ++index) (void)content[index]["text"].string();
}

// Fields that change nothing here; their types are checked all the same.
void check_ignored(const JsonField& root) {
  for (const std::string_view key : {"user", "safety_identifier", "prompt_cache_key"}) (void)root[key].string_or("");
  check_word(root["service_tier"], {"auto", "default", "flex", "scale", "priority", "fast"});
  check_word(root["verbosity"], {"low", "medium", "high"});
  check_word(root["prompt_cache_retention"], {"in_memory", "in-memory", "24h"});
  if (const JsonField cache = root["prompt_cache_options"]; cache.has_value()) {
    check_word(cache["mode"], {"implicit", "explicit"});
    (void)cache["ttl"].string_or("");
  }
  (void)root["store"].boolean_or(false);
  check_metadata(root["metadata"]);
  check_prediction(root["prediction"]);
}

// function_call: none, auto, or {"name"}, as it was before tool_choice.
ToolChoice read_function_call(const JsonField& field, const std::vector<text::ToolDefinition>& tools) {
  ToolChoice choice;
  if (field.is_object()) {
    choice.mode = ToolChoice::Mode::kRequired;
    choice.allowed = {checked_tool_name(field["name"], tools)};
  } else {
    check_word(field, {"none", "auto"});
    choice = read_tool_choice(field, tools);
  }
  choice.parallel = false;
  return choice;
}

int64_t read_max_tokens(const JsonField& root, const ServedModel& model) {
  for (const std::string_view key : {"max_completion_tokens", "max_tokens"})
    if (root[key].has_value()) return root[key].integer(-1, int64_t{1} << 40);
  return model.max_answer_tokens;
}

}  // namespace

bool speaks_of_functions(const JsonField& root) {
  return root["functions"].has_value() || root["function_call"].has_value();
}

Conversation read_conversation(const JsonField& root) {
  Conversation conversation;
  conversation.messages = text::messages_from_json(root["messages"]);
  const bool parallel = root["parallel_tool_calls"].boolean_or(true);
  if (speaks_of_functions(root)) {
    for (const std::string_view key : {"tools", "tool_choice"})
      if (root[key].has_value()) root[key].fail("nothing beside functions and function_call");
    conversation.tools = text::tools_from_json(root["functions"]);
    conversation.tool_choice = read_function_call(root["function_call"], conversation.tools);
  } else {
    conversation.tools = text::tools_from_json(root["tools"]);
    conversation.tool_choice = read_tool_choice(root["tool_choice"], conversation.tools);
    conversation.tool_choice.parallel = parallel;
  }
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
  refuse_foreign(root);
  check_ignored(root);
  const Conversation conversation = read_conversation(root);

  ChatCall call;
  engine::Request& request = call.spec.request;
  request.sampling = read_sampling(root, model);
  read_engine_fields(root, model, request);
  request.max_tokens = read_max_tokens(root, model);
  read_counts(root, request);
  request.max_thinking_tokens = read_thinking_budget(root, model);

  ChatFormat& format = call.format;
  format.id = new_id("chatcmpl-");
  format.n = request.n;
  const StreamOptions stream = read_stream_options(root);
  format.stream = stream.stream;
  format.include_usage = stream.usage;
  format.obfuscate = stream.obfuscate;
  format.old_calls = speaks_of_functions(root);
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
  set_prompt(call.spec, conversation, render(conversation, model), model);
  return call;
}

}  // namespace minimax::server
