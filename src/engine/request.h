// Request: what a caller asks of the engine; Listener: what the engine tells the caller.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "engine/finish_reason.h"
#include "engine/sampling/sampler.h"
#include "engine/sampling/token_control.h"

namespace minimax::engine {

using RequestId = uint64_t;

/// "I stop a model that has begun to repeat itself": `tokens` in a row, each with a probability above `probability`
/// (MiniMax-M1 report: 3,000 above 0.99). Off by default.
struct LoopGuard {
  int64_t tokens = 0;  ///< 0: off
  float probability = 0.99f;
};

struct Request {
  std::vector<int32_t> prompt;  ///< at least one id
  /// The answers of a request differ by their stream: answer i takes sampling.stream + i.
  SamplingParams sampling;
  /// Of each answer; negative: until a stop or the end of the context. 0: the prompt is only read (its log-probs).
  int64_t max_tokens = -1;
  std::vector<int32_t> stop_ids;  ///< end an answer; the stop id itself is reported as its last token
  std::vector<int32_t> banned;    ///< never chosen, besides the model's dead ids

  int64_t n = 1;  ///< answers wanted; they share the prompt's state
  /// Answers made (candidates), of which the n with the highest mean log-prob are reported; 0: n. One that failed is
  /// reported before all others: the caller did not get what it asked for.
  int64_t best_of = 0;

  /// >= 0: the log-prob of every prompt token (but the first) is reported, with so many of the most probable ids.
  int64_t prompt_logprobs = -1;

  int64_t priority = 0;         ///< lower goes first (as vLLM)
  double deadline_seconds = 0;  ///< from submit(); then the answers end with FinishReason::kDeadline. 0: none

  /// At most so many thinking tokens (engine/sampling/thinking.h): then the engine writes the closing tag and the
  /// answer goes on. 0: no thinking, the engine writes an empty block first. Negative: no limit. Needs
  /// Options::thinking.
  int64_t max_thinking_tokens = -1;
  bool thinking = true;                ///< false: no tag is looked for, and a constraint rules from the first token
  bool prompt_opens_thinking = false;  ///< the prompt ends inside the block

  std::shared_ptr<const TokenControl> constraint;  ///< cloned for each answer; null: none
  LoopGuard loop_guard;
  bool speculate = true;  ///< where Options::speculation is on; changes no token and no log-prob

  bool use_cache = true;   ///< false: neither reads nor leaves anything in the prefix cache
  std::string cache_salt;  ///< only requests with the same salt share cached prefixes
  /// Keeps the state at the end of the answer under this name (Engine::save_session): of answer 0, with best_of of the
  /// best. Where the answer was cancelled it takes no finished one's place.
  std::string session;
};

/// One token of an answer.
struct Token {
  int64_t answer = 0;           ///< 0 .. n - 1
  int64_t index = 0;            ///< of the token in its answer, from 0
  Sampled sampled;              ///< id, log-prob, most probable ids
  bool forced = false;          ///< written by the engine (closing tag) or by the constraint, not chosen
  bool thinking = false;        ///< part of the thinking block, tags included
  int64_t weights_version = 0;  ///< Engine::weights_version() when its logits were computed
};

struct PromptToken {
  int32_t id = -1;
  float log_prob = 0;             ///< 0 for the first token, which nothing predicts
  std::vector<TokenLogProb> top;  ///< empty for the first token
};

/// How an answer ended.
struct AnswerEnd {
  int64_t answer = 0;
  FinishReason reason = FinishReason::kNone;
  int64_t tokens = 0;                           ///< of the answer, stop id included
  int64_t reasoning_tokens = 0;                 ///< of these, in the thinking block, tags not counted
  double sum_log_prob = 0;                      ///< over its tokens
  ErrorKind error_kind = ErrorKind::kInternal;  ///< for FinishReason::kError
  std::string error;                            ///< for FinishReason::kError: what happened
};

/// Sums over a request's answers (those that best_of dropped included).
struct Usage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  ///< of the prompt, taken from the prefix cache
  int64_t generated_tokens = 0;
  int64_t reasoning_tokens = 0;
  int64_t drafted_tokens = 0;   ///< proposed by prompt lookup
  int64_t accepted_tokens = 0;  ///< of these, kept
  int64_t preemptions = 0;
  double queue_seconds = 0;    ///< from submit() to the first step that worked on it
  double prefill_seconds = 0;  ///< from then to the first token
  double decode_seconds = 0;   ///< from then to the end
};

/// Receives what happens to one request. All calls come from the thread that runs steps, one at a time, in the order
/// of declaration (tokens of different answers mixed); they must return quickly and must not call Engine::step. An
/// exception ends the request as kCancelled.
class Listener {
 public:
  virtual ~Listener() = default;
  /// A piece of the prompt is done; `done` counts cached tokens. Not called again for what a preemption recomputes.
  virtual void on_prompt(int64_t done, int64_t total) { (void)done, (void)total; }
  /// Once, when Request::prompt_logprobs asks for it; one entry for each prompt token.
  virtual void on_prompt_logprobs(const std::vector<PromptToken>& tokens) { (void)tokens; }
  /// kNone to go on; anything else ends this answer with that reason, the token being its last.
  /// With best_of > n, tokens come when all answers have ended, and what it says changes nothing any more.
  virtual FinishReason on_token(const Token& token) = 0;
  /// With best_of > n: a token of a candidate when it is chosen; Token::answer is the candidate, 0 .. best_of - 1. What
  /// it says ends the candidate, as on_token would.
  virtual FinishReason on_candidate(const Token& token) { return (void)token, FinishReason::kNone; }
  /// Once for each of the n answers.
  virtual void on_finish(const AnswerEnd& end) = 0;
  /// The last call.
  virtual void on_done(const Usage& usage) { (void)usage; }
};

}  // namespace minimax::engine
