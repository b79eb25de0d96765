// Data files: conversations and texts, one after the other.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.h"
#include "text/chat_message.h"
#include "text/tokenizer.h"
#include "train/dataset.h"
#include "train/example.h"
#include "train/recipe.h"

namespace minimax::train {

/// The lines of a JSONL file, or a plain text as its only document.
struct DataFile {
  DataRecipe recipe;
  std::string bytes;
  std::vector<std::string_view> records;  ///< lines that are not blank, or the whole file
  std::vector<int64_t> lines;             ///< [records] line numbers from 1
  bool jsonl = false;                     ///< named *.jsonl or *.json
};

/// Throws kNotFound, kIo.
DataFile read_data_file(const DataRecipe& recipe);

/// A record's conversation; an assistant's "learn" is "all" (when it is not there), "answer" or "nothing". Throws
/// kInvalidArgument naming file, line and member.
struct Conversation {
  std::vector<text::Message> messages;
  std::vector<text::ToolDefinition> tools;
  std::vector<Learn> learn;  ///< [messages]
};
Conversation conversation_of(const DataFile& file, size_t record);
/// A record's text: of a conversation what its rendering has between special tokens, piece by piece.
void for_each_text(const DataFile& file, size_t record, const std::function<void(std::string_view)>& use);

/// What became of the records.
struct LoadReport {
  int64_t records = 0;
  int64_t examples = 0;
  int64_t too_long = 0;         ///< conversations longer than the context, left out
  int64_t without_targets = 0;  ///< conversations in which no assistant speaks
  int64_t tokens = 0, targets = 0;
};

/// All examples of a file, those of `held_out_share` (chosen by seed and record) in `held_out` if given. Threads share
/// the work; the result does not depend on them.
Dataset load_dataset(const DataFile& file, const text::Tokenizer& tokenizer, int64_t context, ThreadPool& threads,
                     LoadReport& report, double held_out_share = 0, uint64_t seed = 0, Dataset* held_out = nullptr);

}  // namespace minimax::train
