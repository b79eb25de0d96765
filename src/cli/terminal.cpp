#include "cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/error.h"

namespace minimax::cli {
namespace {

std::string env(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// One code point of UTF-8 at the front of `text`; a byte that is not UTF-8 counts as one character.
struct CodePoint {
  char32_t value;
  size_t bytes;
};
CodePoint first_code_point(std::string_view text) {
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char head = byte(0);
  const size_t bytes = head < 0x80 ? 1 : head >= 0xF0 ? 4 : head >= 0xE0 ? 3 : head >= 0xC0 ? 2 : 1;
  if (bytes == 1 || bytes > text.size()) return {head, 1};
  char32_t value = head & (0xFF >> (bytes + 1));
  for (size_t at = 1; at < bytes; ++at) value = value << 6 | (byte(at) & 0x3F);
  return {value, bytes};
}

int columns_of(char32_t code_point) {
  const int columns = ::wcwidth(static_cast<wchar_t>(code_point));
  return columns < 0 ? 0 : columns;
}

}  // namespace

int display_width(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    width += columns_of(point.value);
    text.remove_prefix(point.bytes);
  }
  return width;
}

std::string fit(std::string_view text, int columns) {
  if (display_width(text) <= columns) return std::string(text);
  std::string out;
  int width = 0;
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    if (width + columns_of(point.value) > columns - 1) break;
    width += columns_of(point.value);
    out += text.substr(0, point.bytes);
    text.remove_prefix(point.bytes);
  }
  return out + "…";
}

std::string shortened(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  size_t end = text.rfind(' ', bytes);
  if (end == std::string_view::npos) end = bytes;
  return fmt::format("{} … ({} more characters)", text.substr(0, end), text.size() - end);
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    const char32_t c = point.value;
    const bool control = (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0);
    if (!control) out += text.substr(0, point.bytes);
    text.remove_prefix(point.bytes);
  }
  return out;
}

std::string human_bytes(int64_t bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 999.5 && unit < 5) value /= 1000, ++unit;
  return unit == 0 ? fmt::format("{} B", bytes)
                   : fmt::format("{:.{}f} {}", value,
                                 value < 9.995   ? 2
                                 : value < 99.95 ? 1
                                                 : 0,
                                 units[unit]);
}

std::string human_count(int64_t count) {
  const char* units[] = {"", " k", " M", " B", " T"};
  double value = static_cast<double>(count);
  int unit = 0;
  while (value >= 999.5 && unit < 4) value /= 1000, ++unit;
  return unit == 0 ? fmt::format("{}", count)
                   : fmt::format("{:.{}f}{}", value,
                                 value < 9.995   ? 2
                                 : value < 99.95 ? 1
                                                 : 0,
                                 units[unit]);
}

std::string human_seconds(double seconds) {
  if (seconds < 0.9995) return fmt::format("{:.0f} ms", seconds * 1000);
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

Terminal::Terminal()
    : in_is_tty_(isatty(STDIN_FILENO)), out_is_tty_(isatty(STDOUT_FILENO)), err_is_tty_(isatty(STDERR_FILENO)) {
  const std::string term = env("TERM");
  dumb_ = term.empty() || term == "dumb";
  configure({});
}

void Terminal::configure(const GlobalOptions& options) {
  quiet_ = options.quiet;
  level_ = options.log_level;
  // no-color.org: set and not empty means no colour, unless the person asks for it by flag.
  const bool wanted = env("NO_COLOR").empty() && !dumb_;
  out_color_ = options.color == ColorWhen::kAlways || (options.color == ColorWhen::kAuto && wanted && out_is_tty_);
  err_color_ = options.color == ColorWhen::kAlways || (options.color == ColorWhen::kAuto && wanted && err_is_tty_);
}

int Terminal::width() const {
  winsize size{};
  for (int fd : {STDOUT_FILENO, STDERR_FILENO, STDIN_FILENO})
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const int columns = std::atoi(env("COLUMNS").c_str());
  return columns > 0 ? columns : 80;
}

std::string Terminal::styled(bool color, Style style, std::string_view text) {
  if (!color || style == Style::kPlain || text.empty()) return std::string(text);
  const char* code = "";
  switch (style) {
    case Style::kPlain:
      break;
    case Style::kBold:
      code = "1";
      break;
    case Style::kDim:
      code = "2";
      break;
    case Style::kRed:
      code = "31";
      break;
    case Style::kGreen:
      code = "32";
      break;
    case Style::kYellow:
      code = "33";
      break;
    case Style::kCyan:
      code = "36";
      break;
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

void Terminal::print(std::string_view text) {
  clear_progress();
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void Terminal::print_line(std::string_view text) {
  print(text);
  std::fputc('\n', stdout);
}

void Terminal::print_error_stream(std::string_view text) {
  clear_progress();
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void Terminal::flush() {
  const bool failed = std::fflush(stdout) != 0 || std::ferror(stdout);
  MM_CHECK_KIND(kIo, !failed, "cannot write to standard output: is the disk full?");
}

void Terminal::line(std::string_view label, Style style, std::string_view message) {
  clear_progress();
  std::fflush(stdout);  // keeps the order when both streams go to one place
  std::string text = label.empty() ? std::string() : err_styled(style, label) + " ";
  text += message;
  text += '\n';
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void Terminal::error(std::string_view message) {
  line("error:", Style::kRed, shortened(message, 500));
}
void Terminal::warn(std::string_view message) {
  if (!quiet_ && level_ >= LogLevel::kWarn) line("warning:", Style::kYellow, message);
}
void Terminal::info(std::string_view message) {
  if (!quiet_ && level_ >= LogLevel::kInfo) line("info:", Style::kDim, message);
}
void Terminal::debug(std::string_view message) {
  if (!quiet_ && level_ >= LogLevel::kDebug) line("debug:", Style::kDim, message);
}
void Terminal::note(std::string_view message) {
  if (!quiet_) line("", Style::kPlain, message);
}

void Terminal::progress(std::string_view text) {
  if (quiet_ || !err_is_tty_ || dumb_) return;
  const auto now = std::chrono::steady_clock::now();
  if (progress_shown_ && now - progress_time_ < std::chrono::milliseconds(50)) return;
  progress_time_ = now;
  progress_shown_ = true;
  const std::string line = "\r\x1b[K" + err_styled(Style::kDim, fit(text, width() - 1));
  std::fwrite(line.data(), 1, line.size(), stderr);
}

void Terminal::clear_progress() {
  if (!progress_shown_) return;
  progress_shown_ = false;
  std::fputs("\r\x1b[K", stderr);
}

void Table::row(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::text(const Terminal& terminal, int indent) const {
  std::vector<int> widths;
  for (size_t column = 0; column < columns_.size(); ++column) {
    widths.push_back(display_width(columns_[column].title));
    for (const auto& row : rows_) widths[column] = std::max(widths[column], display_width(row[column]));
  }
  const auto line = [&](const auto& cell_of) {
    std::string out(indent, ' ');
    for (size_t column = 0; column < columns_.size(); ++column) {
      const std::string& cell = cell_of(column);
      const std::string pad(widths[column] - display_width(cell), ' ');
      if (column > 0) out += "  ";
      out += columns_[column].align == Align::kRight ? pad + cell : cell + pad;
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return out;
  };
  std::string out;
  const bool titled = std::any_of(columns_.begin(), columns_.end(), [](const Column& c) { return !c.title.empty(); });
  if (titled) {
    out += terminal.out_styled(Style::kDim,
                               line([&](size_t column) -> const std::string& { return columns_[column].title; })) +
           "\n";
  }
  for (const auto& row : rows_) out += line([&](size_t column) -> const std::string& { return row[column]; }) + "\n";
  return out;
}

}  // namespace minimax::cli
