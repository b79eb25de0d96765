// The answers of /v1/chat/completions: one object, or a stream of chunks.
#pragma once

#include <memory>
#include <string>

#include "server/api/answer_spec.h"
#include "server/api/answer_writer.h"

namespace minimax::server {

struct ChatFormat {
  std::string id;
  bool stream = false;
  bool include_usage = false;  ///< of a stream, in a last chunk without choices
  bool obfuscate = false;      ///< as StreamOptions
  /// The request spoke of functions, as before there were tools: a call is `function_call`, one an answer.
  bool old_calls = false;
  bool logprobs = false;
  int64_t n = 1;
  ReasoningOptions reasoning;
};

/// `model` must outlive it.
std::unique_ptr<AnswerWriter> chat_writer(const ServedModel& model, ChatFormat format,
                                          std::shared_ptr<Exchange> exchange);

}  // namespace minimax::server
