// For tests: a tiny model with a tokenizer of single bytes, and all that a policy's training needs around it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "model/random.h"
#include "rl/policy_trainer.h"
#include "text/tokenizer_files.h"
#include "train/test_config.h"
#include "train/trainer.h"

namespace minimax::rl::test {

inline text::Tokenizer byte_tokenizer() {
  text::TokenizerParts parts = text::parse_merges("", "no merges");
  int32_t id = 256;
  for (const char* special :
       {"<begin_of_document>", "<end_of_document>", "<beginning_of_sentence>", "<end_of_sentence>"})
    parts.added.push_back({id++, special});
  parts.bos = "<begin_of_document>";
  parts.eos = "<end_of_sentence>";
  return text::Tokenizer::from_parts(std::move(parts));
}

inline ModelConfig tiny_config() {
  return minimax::test::tiny_train_config(260);
}

/// Engine and trainer on the same weights.
struct Policy {
  explicit Policy(train::TrainerOptions options = {}, uint64_t seed = 3)
      : trainable(
            train::make_trainable(ctx, random_model(tiny_config(), DType::kFloat32, seed, threads), DType::kFloat32)),
        engine(trainable.model, threads, {.context = 4096, .max_running = 64, .max_waiting = 4096}),
        trainer(ctx, trainable, options) {}

  std::vector<float> weights() const {
    std::vector<float> out;
    for (const train::TrainedParameter& parameter : trainable.parameters)
      out.insert(out.end(), parameter.value.span<float>().begin(), parameter.value.span<float>().end());
    return out;
  }

  ThreadPool threads{1};  // the work is small: a second one would only wait
  Arena arena;
  Context ctx{.arena = &arena, .threads = &threads};
  text::Tokenizer tokenizer = byte_tokenizer();
  train::TrainableModel trainable;
  engine::Engine engine;
  train::Trainer trainer;
};

/// Right when most characters are ASCII: about half of what an untrained model writes. Others are mostly no UTF-8 and
/// have become three bytes.
inline Score score_by_bytes(const Problem&, const Attempt& attempt) {
  int64_t ascii = 0, bytes = 0;
  for (const char c : attempt.text) ascii += static_cast<unsigned char>(c) < 128, ++bytes;
  Score score;
  score.correct = 3 * ascii > bytes - ascii;
  score.score = score.correct;
  score.format_ok = true;
  score.why = score.correct ? "correct" : "wrong_value";
  return score;
}

inline CurriculumOptions additions(uint64_t seed = 1) {
  return {.tasks = {{.task = "addition", .least_level = 1, .most_level = 2}}, .seed = seed};
}

}  // namespace minimax::rl::test
