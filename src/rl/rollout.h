// Rollouts: groups of attempts at problems, sampled by the engine, token for token as the trainer will see them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "rl/problem.h"
#include "rl/verifier_workers.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace minimax::rl {

/// One attempt. Ids are never made into text and back: what was sampled is what is trained.
struct Sample {
  std::vector<int32_t> tokens;   ///< prompt, turns, what stood between them; the last one ends the last turn
  std::vector<uint8_t> sampled;  ///< [tokens] 1: the model chose it
  std::vector<float> log_probs;  ///< [tokens] of the sampled ones, as the engine reported them; else 0
  std::string text;              ///< of the last turn, thinking included
  engine::FinishReason finish = engine::FinishReason::kNone;  ///< of the last turn
  int64_t turns = 0;
  int64_t weights_version = 0;  ///< of its first token; staleness is the trainer's version less this
  Score score;
  double reward = 0;  ///< NaN: nobody could score it
  double advantage = 0;

  int64_t sampled_tokens() const;
  bool cut_off() const { return finish == engine::FinishReason::kLength; }
  bool looped() const { return finish == engine::FinishReason::kLoop; }
};

struct Group {
  Problem problem;
  std::vector<Sample> samples;  ///< group_size of them

  double mean_reward() const;  ///< over those that have one; NaN: none
  double pass_rate() const;    ///< share that is right; NaN: none was scored
  /// All scored rewards are the same (or there is at most one): nothing to learn.
  bool flat() const;
};

struct RolloutOptions {
  int64_t group_size = 16;
  engine::SamplingParams sampling{.temperature = 1, .top_p = 1};  ///< seed: of the whole run
  int64_t window = 512;  ///< tokens an attempt may have, prompt not counted; a problem may ask for fewer
  /// For measuring, as engine::Request has it (its engine needs Options::thinking): the ids that close a thinking count
  /// as sampled here, and nobody may train on them. Negative: no limit.
  int64_t max_thinking_tokens = -1;
  engine::LoopGuard loop_guard{};  ///< the report's: 3,000 tokens above 0.99
  text::ChatOptions chat;
  int scoring_threads = 2;  ///< verifiers that run programs take their time
  /// Processes in which the built-in verifiers run; null: in the scoring threads, where one that crashes ends us all.
  std::shared_ptr<VerifierWorkers> verifier_workers = {};
  /// Asked before the verifier that a problem names, which is asked when this says nothing; from several threads.
  std::function<std::optional<Score>(const Problem&, const Attempt&)> scorer = {};
};

/// What a rollout cost.
struct RolloutReport {
  double sample_seconds = 0, score_seconds = 0;  ///< the latter: what scoring took besides, when all was sampled
  double idle_seconds = 0;                       ///< waiting for other processes
  int64_t prompt_tokens = 0, sampled_tokens = 0;
};

/// Ids of the problem's messages and tools, up to where the model's turn begins.
std::vector<int32_t> encode_prompt(const Problem& problem, const text::Tokenizer& tokenizer,
                                   const text::ChatOptions& chat);
/// Ids that follow the end of a model's turn when `replies` come: they close it as the template does (its end token is
/// the model's own) and open the next one.
std::vector<int32_t> encode_replies(const std::vector<text::Message>& replies, bool tools,
                                    const text::Tokenizer& tokenizer, const text::ChatOptions& chat);

/// Samples group_size attempts at each problem and scores them. `engine` is run here, by its step(). Attempt i of
/// problem p of call number `round` takes random numbers of its own, so the result depends on nothing but weights,
/// problems, `round` and the seed. What a verifier throws makes a score without a value and the reason in `why`.
/// `first`: the number of the first of these problems in the round, which may be shared out.
std::vector<Group> roll_out(engine::Engine& engine, const text::Tokenizer& tokenizer, std::span<const Problem> problems,
                            const RolloutOptions& options, int64_t round, RolloutReport* report = nullptr,
                            int64_t first = 0);

}  // namespace minimax::rl
