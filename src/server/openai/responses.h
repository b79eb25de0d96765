// /v1/responses: OpenAI's newer API over the same model: items in, items out.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/json.h"
#include "server/api/answer_spec.h"
#include "server/api/answer_writer.h"
#include "server/api/conversation.h"
#include "server/api/service.h"

namespace minimax::server {

struct ResponsesFormat {
  std::string id;
  bool stream = false;
  bool obfuscate = false;  ///< as StreamOptions
  bool store = true;
  bool logprobs = false;
  io::json::object echo;                    ///< what of the request is told back: instructions, tools, temperature, ...
  std::vector<text::Message> conversation;  ///< without the instructions, to go on from later
};

struct ResponsesCall {
  AnswerSpec spec;
  ResponsesFormat format;
};

/// input: a text, or items: messages, function_call, function_call_output, reasoning; with previous_response_id they
/// follow that response. Throws io::FieldError, ApiError 404 for a response that is not stored.
ResponsesCall read_responses(const io::JsonField& root, const ServedModel& model, const ResponseStore& store);

/// `model` must outlive it.
std::unique_ptr<AnswerWriter> responses_writer(const ServedModel& model, ResponsesFormat format,
                                               std::shared_ptr<Exchange> exchange,
                                               std::shared_ptr<ResponseStore> store);

void responses(Service& service, const std::shared_ptr<Exchange>& exchange);
void show_response(Service& service, const std::shared_ptr<Exchange>& exchange);
void drop_response(Service& service, const std::shared_ptr<Exchange>& exchange);

}  // namespace minimax::server
