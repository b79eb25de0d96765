// LineEditor: reads what a person types in chat: editing keys, history, pasted and typed multi-line text.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/terminal.h"

namespace minimax::cli {

struct Typed {
  enum class Kind {
    kText,         ///< a line, or several
    kInterrupted,  ///< Ctrl-C; `text` is what stood there
    kEnd,          ///< Ctrl-D on an empty line, or the end of a file
  };
  Kind kind = Kind::kEnd;
  std::string text;
};

/// With a terminal: libedit, in its wide form. Without one, or with a dumb one: whole lines from stdin, no prompt
/// unless a person sees it. Text goes on over several lines after a backslash at a line's end, and between a line that
/// begins with """ and the next one that ends with it; a paste of several lines is one text.
/// One at a time in a process: libedit's callbacks reach it through a client pointer, its terminal modes are global.
class LineEditor {
 public:
  /// `history_file`: one JSON string a line, created with mode 0600 and appended to; empty for no file. A history that
  /// cannot be read or written is no reason to stop: it is then kept in memory only.
  LineEditor(Terminal& terminal, std::string history_file);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  /// Words Tab completes at the start of a line ("/help").
  void set_completions(std::vector<std::string> words);

  Typed read(const std::string& prompt, const std::string& continued_prompt);

 private:
  struct Libedit;
  Typed read_line(const std::string& prompt);
  Typed read_plain_line(const std::string& prompt);
  void remember(const std::string& text);

  Terminal& terminal_;
  std::string history_file_;
  std::unique_ptr<Libedit> edit_;  // null: plain lines
  std::string pending_;            // read from a stdin that is no terminal, not yet handed out
};

/// Whether `text` so far asks for another line, and the text it stands for once it does not.
struct Continuation {
  bool more = false;
  std::string text;
};
Continuation join_lines(const std::vector<std::string>& lines);

std::string to_utf8(const wchar_t* wide, size_t count);
/// Bytes that are not UTF-8 become U+FFFD.
std::wstring to_wide(const std::string& utf8);

}  // namespace minimax::cli
