// The text that perplexity, verify and calibrate read: its flags, its tokens, its progress.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "core/threads.h"
#include "eval/windows.h"
#include "text/tokenizer.h"

namespace minimax::cli {

void add_text_flags(Command& command, TextOptions& options);

/// The file ("-": stdin) as ids, cut into windows; of a *.jsonl file each conversation is a window of its own, of which
/// the assistant's tokens count. Throws kInvalidArgument when there is nothing to predict.
std::vector<eval::Window> read_windows(const TextOptions& options, const text::Tokenizer& tokenizer,
                                       int64_t max_positions, ThreadPool& threads);

/// "1024 of 8192 tokens".
void show_token_progress(Terminal& terminal, int64_t done, int64_t total);

}  // namespace minimax::cli
