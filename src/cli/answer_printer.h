// AnswerPrinter: shows a model's answer while it is written: thinking dimmed or folded, then the answer.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "cli/terminal.h"
#include "text/chat_output_parser.h"

namespace minimax::cli {

enum class ShowThinking { kFull, kFolded };

/// The answer goes to stdout. Thinking never goes into a pipe: it is shown on the terminal, on stderr when stdout is no
/// terminal, and nowhere when neither is.
class AnswerPrinter {
 public:
  AnswerPrinter(Terminal& terminal, ShowThinking show);

  /// The next text of the model, whole characters.
  void add(std::string_view text);
  /// The answer ended, or was stopped; ends the line if there is one.
  void finish();

  /// Reasoning and content so far.
  const text::ParsedOutput& output() const { return output_; }
  double thinking_seconds() const { return thinking_seconds_; }

 private:
  void take(const std::vector<text::OutputEvent>& events);
  void show_thinking(std::string_view text);
  void end_thinking();
  void write(std::string_view text, bool thinking);

  Terminal& terminal_;
  ShowThinking show_;
  text::OutputParser parser_;
  text::ParsedOutput output_;
  bool thinking_ = false;
  bool line_open_ = false;  // something stands on the answer's last line
  std::chrono::steady_clock::time_point thinking_began_{};
  double thinking_seconds_ = 0;
};

}  // namespace minimax::cli
