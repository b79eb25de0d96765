#include "cli/quality/text.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/input.h"
#include "eval/windows.h"
#include "train/data_files.h"

namespace minimax::cli {
namespace {

std::vector<eval::Window> conversations(const TextOptions& options, const text::Tokenizer& tokenizer, int64_t longest,
                                        ThreadPool& threads) {
  train::DataRecipe recipe;
  recipe.path = options.file;
  train::LoadReport report;
  const train::Dataset dataset =
      train::load_dataset(train::read_data_file(recipe), tokenizer, longest, threads, report);
  std::vector<eval::Window> windows;
  int64_t tokens = 0;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const train::Example example = dataset.at(i);
    tokens += static_cast<int64_t>(example.tokens.size());
    if (options.most_tokens > 0 && tokens > options.most_tokens) break;
    windows.push_back({example.tokens, example.targets});
  }
  MM_CHECK(!windows.empty(), options.file, ": has no conversation of at most ", longest, " tokens to predict");
  return windows;
}

}  // namespace

void add_text_flags(Command& command, TextOptions& options) {
  command.group("Text");
  command.text("--text", options.file, "FILE",
               "a text to read, - is stdin; or a .jsonl of conversations, of which the assistant's words count",
               ValueKind::kFile);
  command.number("--window", options.window, "N", "tokens that are read together, each from an empty state", "1024", 2);
  command.flag("--special", options.special, "special tokens in the text count: it was written by a chat template");
  command.number("--tokens", options.most_tokens, "N", "read no more of the text than this; 0: all of it", "0", 0);
}

std::vector<eval::Window> read_windows(const TextOptions& options, const text::Tokenizer& tokenizer,
                                       int64_t max_positions, ThreadPool& threads) {
  const int64_t longest = std::min(options.window, max_positions);
  if (options.file.ends_with(".jsonl")) return conversations(options, tokenizer, longest, threads);
  const std::string text = read_text(options.file);
  const std::vector<int32_t> ids = options.special ? tokenizer.encode_with_special(text) : tokenizer.encode(text);
  MM_CHECK(ids.size() >= 2, options.file, ": has ", ids.size(), " tokens, expected at least 2");
  return eval::windows_of(ids, longest, options.most_tokens);
}

void show_token_progress(Terminal& terminal, int64_t done, int64_t total) {
  terminal.progress(fmt::format("{} of {} tokens", done, total));
}

}  // namespace minimax::cli
