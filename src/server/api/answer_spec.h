// AnswerSpec: what a request of any of the APIs comes to: what the engine is asked, and how its ids are read.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"
#include "io/json.h"
#include "server/api/answer_text.h"
#include "server/api/conversation.h"
#include "server/api/served_model.h"

namespace minimax::server {

struct AnswerSpec {
  engine::Request request;
  AnswerTextOptions text;
  bool parallel_tool_calls = true;  ///< false: an answer ends with its first call
};

/// Where reasoning goes in an answer.
struct ReasoningOptions {
  bool separate = true;  ///< false: it stays in the content, tags and all
  bool include = true;   ///< false: it is not told
};

/// Another number each time.
uint64_t random_seed();

/// Fields that the APIs share. They throw io::FieldError for a wrong type or range; absent and null mean the default.
///
/// temperature, top_p, top_k, min_p, repetition_penalty, presence_penalty, frequency_penalty, logit_bias, seed. Without
/// a seed: another one each time.
engine::SamplingParams read_sampling(const io::JsonField& root, const ServedModel& model);
/// n and best_of: answers wanted, and those made to choose from.
void read_counts(const io::JsonField& root, engine::Request& request);
/// A string or a list of strings, at most 16.
std::vector<std::string> read_stop(const io::JsonField& field);
/// priority, timeout (seconds), cache_salt or prompt_cache_key, session, stop_token_ids, ignore_eos, loop_guard, and
/// the model's stop ids and bans.
void read_engine_fields(const io::JsonField& root, const ServedModel& model, engine::Request& request);
/// The thinking budget under all its names: max_thinking_tokens, thinking_token_budget, thinking_budget_tokens,
/// thinking_budget, reasoning.max_tokens, chat_template_kwargs.thinking_budget, thinking.budget_tokens; off by
/// chat_template_kwargs.enable_thinking, enable_thinking, reasoning.enabled, thinking.type; or an effort:
/// reasoning_effort, reasoning.effort. The smallest that is given counts. Negative: no limit.
int64_t read_thinking_budget(const io::JsonField& root, const ServedModel& model);
/// separate_reasoning, include_reasoning, reasoning.exclude.
ReasoningOptions read_reasoning_options(const io::JsonField& root);
/// The prompt that messages became, and the thinking that its answer may have: with a budget of none the prompt ends
/// with an empty block, so that max_tokens are all the answer's.
void set_prompt(AnswerSpec& spec, const Conversation& conversation, RenderedPrompt prompt, const ServedModel& model);
/// A field that says nothing to this server: its type and words are checked all the same.
void check_word(const io::JsonField& field, std::initializer_list<std::string_view> words);
/// At most 16 members, each a string.
void check_metadata(const io::JsonField& field);

struct StreamOptions {
  bool stream = false;
  bool usage = false;      ///< the last event before the end tells it
  bool obfuscate = false;  ///< events are filled up, so that their sizes tell little of their text
};
/// stream, stream_options.include_usage, stream_options.include_obfuscation.
StreamOptions read_stream_options(const io::JsonField& root);
/// Throws ApiError 404 when the request names another model and that matters.
void check_model_name(const io::JsonField& root, const ServedModel& model);

}  // namespace minimax::server
