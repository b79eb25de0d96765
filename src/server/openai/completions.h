// /v1/completions: its request, and its answers whole and streamed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/json.h"
#include "server/api/answer_spec.h"
#include "server/api/answer_writer.h"

namespace minimax::server {

struct CompletionsFormat {
  std::string id;
  bool stream = false;
  bool include_usage = false;
  bool obfuscate = false;  ///< as StreamOptions
  bool logprobs = false;
  int64_t n = 1;                       ///< answers to each prompt
  std::vector<std::string> echo = {};  ///< the prompts as text, to be put before their answers; empty: no echo
  std::vector<int64_t> prompt_tokens = {};
  int64_t prompts = 1;
};

struct CompletionsCall {
  std::vector<AnswerSpec> specs;  ///< one for each prompt
  CompletionsFormat format;
};

/// prompt: a text, ids, or a list of one or the other; echo, logprobs, n, best_of, and what the APIs share. Throws
/// io::FieldError naming a field of a wrong type or value, ApiError.
CompletionsCall read_completions(const io::JsonField& root, const ServedModel& model);

/// Answer a of prompt p is choice p * n + a. `model` must outlive it.
std::unique_ptr<AnswerWriter> completions_writer(const ServedModel& model, CompletionsFormat format,
                                                 std::shared_ptr<Exchange> exchange);

}  // namespace minimax::server
