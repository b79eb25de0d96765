// For tests: a small tokenizer with MiniMax-M1's special tokens, written to a folder.
#pragma once

#include "io/test_folder.h"
#include "text/tokenizer.h"
#include "train/bpe_trainer.h"

namespace minimax::test {

/// Bytes, a few merges, special tokens.
struct SmallTokenizer {
  SmallTokenizer() {
    train::BpeTrainer trainer({.tokens = 280, .pattern = text::SplitPattern::kQwen2});
    trainer.add("the answer is the number of the user and the assistant; the end of the sentence is the answer");
    const auto merges = trainer.merges();
    train::write_tokenizer(folder.path(), merges, text::SplitPattern::kQwen2,
                           train::special_tokens_from(static_cast<int32_t>(256 + merges.size())));
    tokenizer = text::Tokenizer::load(folder.path());
  }

  Folder folder;
  std::optional<text::Tokenizer> tokenizer;
};

}  // namespace minimax::test
