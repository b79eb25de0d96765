#include "cli/answer_printer.h"

#include <fmt/format.h>

namespace minimax::cli {

AnswerPrinter::AnswerPrinter(Terminal& terminal, ShowThinking show)
    : terminal_(terminal), show_(show), parser_({.parse_tool_calls = false}) {}

void AnswerPrinter::add(std::string_view text) {
  take(parser_.feed(text));
}

void AnswerPrinter::finish() {
  take(parser_.finish());
  end_thinking();
  if (line_open_) write("\n", false);
  terminal_.flush();
}

void AnswerPrinter::take(const std::vector<text::OutputEvent>& events) {
  output_.add(events);
  for (const text::OutputEvent& event : events) {
    if (event.kind == text::OutputEvent::Kind::kReasoning) {
      show_thinking(event.text);
    } else if (event.kind == text::OutputEvent::Kind::kContent) {
      end_thinking();
      write(event.text, false);
    }
  }
  terminal_.flush();
}

void AnswerPrinter::show_thinking(std::string_view text) {
  const auto now = std::chrono::steady_clock::now();
  if (!thinking_) {
    thinking_ = true;
    thinking_began_ = now;
  }
  if (show_ == ShowThinking::kFull)
    write(text, true);
  else
    terminal_.progress(
        fmt::format("thinking… {}", human_seconds(std::chrono::duration<double>(now - thinking_began_).count())));
}

void AnswerPrinter::end_thinking() {
  if (!thinking_) return;
  thinking_ = false;
  thinking_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - thinking_began_).count();
  terminal_.clear_progress();
  const std::string fold = line_open_ ? "\n" : "";
  write(fmt::format("{}[thought for {}]\n\n", fold, human_seconds(thinking_seconds_)), true);
  line_open_ = false;
}

void AnswerPrinter::write(std::string_view text, bool thinking) {
  if (text.empty()) return;
  if (!thinking || terminal_.out_is_tty()) {
    // What a model writes must not steer the terminal.
    const std::string shown = terminal_.out_is_tty() ? printable(text) : std::string(text);
    terminal_.print(thinking ? terminal_.out_styled(Style::kDim, shown) : shown);
  } else if (terminal_.err_is_tty() && !terminal_.quiet()) {
    terminal_.print_error_stream(terminal_.err_styled(Style::kDim, printable(text)));
  } else {
    return;
  }
  line_open_ = !text.ends_with('\n');
}

}  // namespace minimax::cli
