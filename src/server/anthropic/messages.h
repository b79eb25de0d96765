// /v1/messages: Anthropic's chat API over the same model.
#pragma once

#include <memory>
#include <string>

#include "io/json.h"
#include "server/api/answer_spec.h"
#include "server/api/answer_writer.h"
#include "server/api/conversation.h"
#include "server/api/service.h"

namespace minimax::server {

struct MessagesFormat {
  std::string id;
  bool stream = false;
  bool thinking = true;  ///< thinking blocks are told
};

struct MessagesCall {
  AnswerSpec spec;
  MessagesFormat format;
};

/// system, messages with text, tool_use, tool_result and thinking blocks, tools with input_schema, tool_choice. A last
/// message of the assistant is gone on with. Throws io::FieldError.
Conversation read_messages_conversation(const io::JsonField& root);
MessagesCall read_messages(const io::JsonField& root, const ServedModel& model);

/// One message of content blocks, or the stream of their events. `model` must outlive it.
std::unique_ptr<AnswerWriter> messages_writer(const ServedModel& model, MessagesFormat format,
                                              std::shared_ptr<Exchange> exchange, int64_t prompt_tokens);

void messages(Service& service, const std::shared_ptr<Exchange>& exchange);
void count_message_tokens(Service& service, const std::shared_ptr<Exchange>& exchange);

}  // namespace minimax::server
