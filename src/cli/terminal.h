// Terminal: where a verb talks to the person: result on stdout, everything else on stderr, colour only on a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "cli/options.h"

namespace minimax::cli {

enum class Style { kPlain, kBold, kDim, kRed, kGreen, kYellow, kCyan };

/// Columns `text` takes on a terminal: wide characters count two, combining ones none. Needs a UTF-8 locale.
int display_width(std::string_view text);
/// `text` cut to `columns` columns, with an ellipsis when something went.
std::string fit(std::string_view text, int columns);
/// `text` cut at a space to at most `bytes` bytes, with how much went: a message may list 413 missing files.
std::string shortened(std::string_view text, size_t bytes);
/// `text` without control characters other than line ends and tabs: what a model writes must not move the cursor.
std::string printable(std::string_view text);
/// "1.50 GB", "312 B": decimal units.
std::string human_bytes(int64_t bytes);
/// "456.1 B", "12.3 k": counts.
std::string human_count(int64_t count);
/// "3.2 s", "2 min 5 s".
std::string human_seconds(double seconds);

class Terminal {
 public:
  Terminal();
  void configure(const GlobalOptions& options);

  bool out_is_tty() const { return out_is_tty_; }
  bool in_is_tty() const { return in_is_tty_; }
  bool err_is_tty() const { return err_is_tty_; }
  /// A terminal that cannot move its cursor (TERM unset or "dumb").
  bool dumb() const { return dumb_; }
  bool quiet() const { return quiet_; }
  int width() const;  ///< columns; 80 when nobody knows

  /// `text` in the style, if the stream shows colour; else `text`.
  std::string out_styled(Style style, std::string_view text) const { return styled(out_color_, style, text); }
  std::string err_styled(Style style, std::string_view text) const { return styled(err_color_, style, text); }
  bool out_color() const { return out_color_; }

  /// To stdout, as it is.
  void print(std::string_view text);
  void print_line(std::string_view text);
  /// To stderr, as it is.
  void print_error_stream(std::string_view text);
  /// Throws kIo when stdout could not take everything (a full disk); call before returning success.
  void flush();

  /// Lines on stderr. Errors always; warnings unless --quiet; the rest by --log-level.
  void error(std::string_view message);
  void warn(std::string_view message);
  void info(std::string_view message);
  void debug(std::string_view message);
  /// A plain line on stderr unless --quiet: figures after an answer and the like.
  void note(std::string_view message);

  /// One line on stderr that is written over: "loading  3.1 of 9.9 GB". Nothing unless stderr is a terminal.
  void progress(std::string_view text);
  void clear_progress();

 private:
  static std::string styled(bool color, Style style, std::string_view text);
  void line(std::string_view label, Style style, std::string_view message);

  bool in_is_tty_, out_is_tty_, err_is_tty_, dumb_;
  bool out_color_ = false, err_color_ = false;
  bool quiet_ = false;
  LogLevel level_ = LogLevel::kWarn;
  bool progress_shown_ = false;
  std::chrono::steady_clock::time_point progress_time_{};
};

/// A table with a head, aligned columns and no lines around it.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void row(std::vector<std::string> cells);
  /// Lines, each ended. The head is dimmed where colour shows.
  std::string text(const Terminal& terminal, int indent = 0) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace minimax::cli
