// The body of POST /v1/chat/completions, as OpenAI's SDKs and those of vLLM, llama.cpp and OpenRouter write it.
#pragma once

#include "io/json.h"
#include "server/api/answer_spec.h"
#include "server/api/conversation.h"
#include "server/openai/chat_writer.h"

namespace minimax::server {

struct ChatCall {
  AnswerSpec spec;
  ChatFormat format;
};

/// Renders and tokenizes the prompt too. Unknown fields are ignored, null means absent. Throws io::FieldError naming a
/// field of a wrong type or value, ApiError.
ChatCall read_chat(const io::JsonField& root, const ServedModel& model);

/// It has functions or function_call, which OpenAI's API had before tools and tool_choice.
bool speaks_of_functions(const io::JsonField& root);
/// messages, tools (or functions), tool_choice (or function_call), parallel_tool_calls, add_generation_prompt,
/// continue_final_message.
Conversation read_conversation(const io::JsonField& root);

}  // namespace minimax::server
