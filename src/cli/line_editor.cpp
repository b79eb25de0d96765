#include "cli/line_editor.h"

#include <fcntl.h>
#include <histedit.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "cli/interrupt.h"
#include "io/json.h"

namespace minimax::cli {
namespace {

constexpr int kHistoryLines = 1000;

void write_to_terminal(const char* bytes) {
  std::fputs(bytes, stdout);
  std::fflush(stdout);
}

// While editing, Ctrl-C is a key like any other: the terminal's own interrupt character is off. (libedit takes over
// changes it finds in the terminal; its own way of setting characters does not reach the terminal.)
class NoInterruptCharacter {
 public:
  NoInterruptCharacter() {
    if (tcgetattr(STDIN_FILENO, &saved_) != 0) return;
    termios changed = saved_;
    changed.c_cc[VINTR] = _POSIX_VDISABLE;
    set_ = tcsetattr(STDIN_FILENO, TCSADRAIN, &changed) == 0;
  }
  ~NoInterruptCharacter() {
    if (set_) tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_);
  }

 private:
  termios saved_{};
  bool set_ = false;
};

bool is_blank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n") == std::string::npos;
}

}  // namespace

std::string to_utf8(const wchar_t* wide, size_t count) {
  std::string out;
  for (size_t at = 0; at < count; ++at) {
    const auto c = static_cast<char32_t>(wide[at]);
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else if (c < 0x800) {
      out += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
    } else if (c < 0x10000) {
      out += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
              static_cast<char>(0x80 | (c & 0x3F))};
    } else {
      out += {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 0x3F)),
              static_cast<char>(0x80 | (c >> 6 & 0x3F)), static_cast<char>(0x80 | (c & 0x3F))};
    }
  }
  return out;
}

std::wstring to_wide(const std::string& utf8) {
  std::wstring out;
  for (size_t at = 0; at < utf8.size();) {
    wchar_t c = 0;
    std::mbstate_t state{};
    const size_t used = std::mbrtowc(&c, utf8.data() + at, utf8.size() - at, &state);
    const bool good = used != static_cast<size_t>(-1) && used != static_cast<size_t>(-2) && used != 0;
    out += good ? c : L'\xFFFD';
    at += good ? used : 1;
  }
  return out;
}

Continuation join_lines(const std::vector<std::string>& lines) {
  static constexpr std::string_view kFence = "\"\"\"";
  Continuation out;
  const bool fenced = !lines.empty() && lines[0].starts_with(kFence);
  for (const std::string& line : lines) {
    if (&line != lines.data()) out.text += '\n';
    out.text += line;
    out.more = !fenced && line.ends_with('\\');
    if (out.more) out.text.pop_back();
  }
  if (!fenced) return out;
  out.text.erase(0, kFence.size());
  out.more = !out.text.ends_with(kFence);
  if (out.more) return out;
  out.text.erase(out.text.size() - kFence.size());
  // A fence on a line of its own: that line is not part of the text.
  if (out.text.starts_with('\n')) out.text.erase(0, 1);
  if (out.text.ends_with('\n')) out.text.pop_back();
  return out;
}

// libedit's side: its handle, its history, and what its callbacks leave behind.
struct LineEditor::Libedit {
  EditLine* handle = nullptr;
  HistoryW* history = nullptr;
  std::wstring prompt;
  std::vector<std::wstring> completions;
  bool interrupted = false;

  static Libedit& of(EditLine* handle) {
    void* self = nullptr;
    el_wget(handle, EL_CLIENTDATA, &self);
    return *static_cast<Libedit*>(self);
  }
  static wchar_t* show_prompt(EditLine* handle) { return of(handle).prompt.data(); }

  static unsigned char interrupt(EditLine* handle, int) {
    of(handle).interrupted = true;
    return CC_EOF;
  }

  static unsigned char newline(EditLine* handle, int) {
    return el_winsertstr(handle, L"\n") == 0 ? CC_REFRESH : CC_ERROR;
  }

  // Between ESC[200~ (which called this) and ESC[201~ everything is text, line ends and escapes included.
  static unsigned char paste(EditLine* handle, int) {
    static constexpr std::wstring_view kEnd = L"\x1b[201~";
    std::wstring text;
    for (wchar_t c; el_wgetc(handle, &c) == 1;) {
      if (c == L'\r' && !text.ends_with(L'\r'))
        text += L'\n';
      else if (c != L'\r')
        text += c;
      if (text.ends_with(kEnd)) {
        text.resize(text.size() - kEnd.size());
        break;
      }
    }
    std::erase_if(text, [](wchar_t c) { return c < L' ' && c != L'\n' && c != L'\t'; });
    return text.empty() || el_winsertstr(handle, text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  }

  static unsigned char complete(EditLine* handle, int) {
    const LineInfoW* line = el_wline(handle);
    const std::wstring_view typed(line->buffer, line->cursor - line->buffer);
    std::wstring common;
    bool found = false;
    for (const std::wstring& word : of(handle).completions) {
      if (typed.empty() || !word.starts_with(typed)) continue;
      if (!found) common = word;
      found = true;
      while (!word.starts_with(common)) common.pop_back();
    }
    if (!found || common.size() <= typed.size()) return CC_ERROR;
    return el_winsertstr(handle, common.c_str() + typed.size()) == 0 ? CC_REFRESH : CC_ERROR;
  }

  Libedit() {
    handle = el_init("minimax", stdin, stdout, stderr);
    if (!handle) return;
    el_wset(handle, EL_CLIENTDATA, this);
    el_wset(handle, EL_EDITOR, L"emacs");
    el_wset(handle, EL_SIGNAL, 1);
    el_wset(handle, EL_PROMPT_ESC, show_prompt, L'\1');
    history = history_winit();
    HistEventW event;
    history_w(history, &event, H_SETSIZE, kHistoryLines);
    history_w(history, &event, H_SETUNIQUE, 1);
    el_wset(handle, EL_HIST, history_w, history);

    el_wset(handle, EL_ADDFN, L"mm-interrupt", L"Ctrl-C", interrupt);
    el_wset(handle, EL_ADDFN, L"mm-newline", L"insert a line break", newline);
    el_wset(handle, EL_ADDFN, L"mm-paste", L"bracketed paste", paste);
    el_wset(handle, EL_ADDFN, L"mm-complete", L"complete a command", complete);
    const auto bind = [&](const wchar_t* keys, const wchar_t* function) {
      el_wset(handle, EL_BIND, keys, function, nullptr);
    };
    bind(L"^C", L"mm-interrupt");
    bind(L"\x1b[200~", L"mm-paste");
    bind(L"\x1b\r", L"mm-newline");  // Alt-Enter
    bind(L"\x1b\n", L"mm-newline");
    bind(L"\t", L"mm-complete");
    bind(L"^R", L"em-inc-search-prev");
    bind(L"^W", L"ed-delete-prev-word");
    bind(L"^U", L"vi-kill-line-prev");
    bind(L"\x1b[H", L"ed-move-to-beg");
    bind(L"\x1b[F", L"ed-move-to-end");
    bind(L"\x1b[1~", L"ed-move-to-beg");
    bind(L"\x1b[4~", L"ed-move-to-end");
    bind(L"\x1b[3~", L"ed-delete-next-char");
    bind(L"\x1b[1;5C", L"em-next-word");
    bind(L"\x1b[1;5D", L"ed-prev-word");
  }
  ~Libedit() {
    if (handle) el_end(handle);
    if (history) history_wend(history);
  }

  void add_history(const std::string& text) {
    HistEventW event;
    history_w(history, &event, H_ENTER, to_wide(text).c_str());
  }
};

LineEditor::LineEditor(Terminal& terminal, std::string history_file)
    : terminal_(terminal), history_file_(std::move(history_file)) {
  if (!terminal.in_is_tty() || !terminal.out_is_tty() || terminal.dumb()) return;
  edit_ = std::make_unique<Libedit>();
  if (!edit_->handle) {
    edit_.reset();
    return;
  }
  std::ifstream in(history_file_);
  for (std::string line; std::getline(in, line);) {
    try {
      const auto value = io::parse_json(line, history_file_);
      if (value.is_string()) edit_->add_history(std::string(value.get_string()));
    } catch (const std::exception&) {
      // A line cut short by a crash: the others are still good.
    }
  }
}

LineEditor::~LineEditor() = default;

void LineEditor::set_completions(std::vector<std::string> words) {
  if (!edit_) return;
  for (const std::string& word : words) edit_->completions.push_back(to_wide(word));
}

void LineEditor::remember(const std::string& text) {
  if (!edit_ || is_blank(text)) return;
  edit_->add_history(text);
  if (history_file_.empty()) return;
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(history_file_).parent_path(), ignored);
  const int fd = ::open(history_file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  const std::string line = io::write_json_string(text) + "\n";
  // One write, so that two chats at once do not cut each other's lines.
  if (::write(fd, line.data(), line.size()) < 0) history_file_.clear();
  ::close(fd);
}

Typed LineEditor::read(const std::string& prompt, const std::string& continued_prompt) {
  std::vector<std::string> lines;
  for (;;) {
    Typed typed = read_line(lines.empty() ? prompt : continued_prompt);
    if (typed.kind == Typed::Kind::kEnd && !lines.empty()) break;  // the file ended inside a text: take what is there
    if (typed.kind != Typed::Kind::kText) return typed;
    lines.push_back(std::move(typed.text));
    if (!join_lines(lines).more) break;
  }
  const std::string text = join_lines(lines).text;
  remember(text);
  return {Typed::Kind::kText, text};
}

Typed LineEditor::read_line(const std::string& prompt) {
  if (!edit_) return read_plain_line(prompt);
  // \1 tells libedit which bytes of the prompt take no room.
  edit_->prompt = terminal_.out_color() ? to_wide("\1\x1b[1;36m\1" + prompt + "\1\x1b[0m\1") : to_wide(prompt);
  edit_->interrupted = false;
  write_to_terminal("\x1b[?2004h");  // bracketed paste on
  int count = 0;
  const wchar_t* line = nullptr;
  {
    const NoInterruptCharacter off;
    line = el_wgets(edit_->handle, &count);
  }
  write_to_terminal("\x1b[?2004l");
  if (edit_->interrupted) {
    const LineInfoW* info = el_wline(edit_->handle);
    Typed typed{Typed::Kind::kInterrupted, to_utf8(info->buffer, info->lastchar - info->buffer)};
    write_to_terminal("\n");
    return typed;
  }
  if (!line || count <= 0) {
    write_to_terminal("\n");
    return {Typed::Kind::kEnd, ""};
  }
  std::string text = to_utf8(line, count);
  if (text.ends_with('\n')) text.pop_back();
  return {Typed::Kind::kText, text};
}

// read(2) rather than getline: Ctrl-C must come through as EINTR, which a stream would take for the end.
Typed LineEditor::read_plain_line(const std::string& prompt) {
  const bool person = terminal_.in_is_tty();
  std::optional<Interrupt> interrupt;
  if (person) {
    interrupt.emplace();
    write_to_terminal(prompt.c_str());
  }
  for (;;) {
    if (const size_t end = pending_.find('\n'); end != std::string::npos) {
      std::string line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      if (line.ends_with('\r')) line.pop_back();
      return {Typed::Kind::kText, line};
    }
    char bytes[4096];
    const ssize_t got = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (got > 0) {
      pending_.append(bytes, got);
      continue;
    }
    if (got < 0 && errno == EINTR) {
      write_to_terminal("\n");
      return {Typed::Kind::kInterrupted, std::exchange(pending_, "")};
    }
    if (!pending_.empty()) return {Typed::Kind::kText, std::exchange(pending_, "")};  // a last line without its end
    if (person) write_to_terminal("\n");
    return {Typed::Kind::kEnd, ""};
  }
}

}  // namespace minimax::cli
