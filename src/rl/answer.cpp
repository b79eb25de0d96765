#include "rl/answer.h"

#include <algorithm>

namespace minimax::rl {
namespace {

constexpr std::string_view kOpen = "<think>", kClose = "</think>", kBoxed = "\\boxed";
constexpr std::string_view kAnswerOpen = "<answer>", kAnswerClose = "</answer>";
constexpr std::string_view kSpace = " \t\r\n";

int64_t count(std::string_view text, std::string_view what) {
  int64_t found = 0;
  for (size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + what.size())) ++found;
  return found;
}

// One past the brace that closes the one at `open`, or npos.
size_t closing_brace(std::string_view text, size_t open) {
  int64_t depth = 0;
  for (size_t at = open; at < text.size(); ++at) {
    if (text[at] == '\\' && at + 1 < text.size()) {
      ++at;  // \{ and \} are text
    } else if (text[at] == '{') {
      ++depth;
    } else if (text[at] == '}' && --depth == 0) {
      return at + 1;
    }
  }
  return std::string_view::npos;
}

std::optional<std::string> last_tagged(std::string_view text) {
  const size_t close = text.rfind(kAnswerClose);
  if (close == std::string_view::npos) return std::nullopt;
  const size_t open = text.substr(0, close).rfind(kAnswerOpen);
  if (open == std::string_view::npos) return std::nullopt;
  return std::string(trim(text.substr(open + kAnswerOpen.size(), close - open - kAnswerOpen.size())));
}

}  // namespace

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t begin = text.find_first_not_of(kSpace); begin != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_of(kSpace, begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(kSpace, end);
  }
  return words;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0;;) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    if (end == text.size()) return parts;
    begin = end + 1;
  }
}

std::optional<int64_t> parse_integer(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.empty() || text.size() > 18) return std::nullopt;
  if (text[0] == '0' && (text.size() > 1 || negative)) return std::nullopt;
  int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return negative ? -value : value;
}

std::optional<std::string> last_boxed(std::string_view text) {
  for (size_t end = text.size();;) {
    const size_t at = text.substr(0, end).rfind(kBoxed);
    if (at == std::string_view::npos) return std::nullopt;
    size_t next = at + kBoxed.size();
    if (next < text.size() && text[next] == '{') {
      const size_t close = closing_brace(text, next);
      if (close != std::string_view::npos) return std::string(text.substr(next + 1, close - next - 2));
    } else if (next < text.size() && text[next] == ' ') {
      while (next < text.size() && text[next] == ' ') ++next;
      if (next < text.size() && text[next] != '{') {
        const size_t stop = std::min(text.find_first_of(" \t\r\n$", next), text.size());
        if (stop > next) return std::string(text.substr(next, stop - next));
      }
    }
    end = at;
  }
}

Answer extract_answer(std::string_view text, bool think_required) {
  Answer answer;
  const int64_t opened = count(text, kOpen), closed = count(text, kClose);
  std::string_view rest = text;
  if (closed > 0) {
    rest = text.substr(text.rfind(kClose) + kClose.size());
  } else if (opened > 0 || think_required) {
    answer.why = opened > 0 ? "open_think" : "no_think";
    return answer;
  }
  const bool one_block = opened == 1 && closed == 1 && trim(text).starts_with(kOpen);
  const bool no_block = opened == 0 && closed == 0;
  answer.format_ok = one_block || (no_block && !think_required);
  if (!answer.format_ok) answer.why = opened + closed > 2 ? "two_thinks" : "no_think";
  if (count(rest, kAnswerOpen) > 1 || count(rest, kBoxed) > 1 ||
      (count(rest, kAnswerOpen) > 0 && count(rest, kBoxed) > 0)) {
    answer.format_ok = false;
    answer.why = "two_answers";
  }
  const size_t tag = rest.rfind(kAnswerOpen), box = rest.rfind(kBoxed);
  const bool tagged = tag != std::string_view::npos && (box == std::string_view::npos || tag > box);
  if (tagged) {
    answer.text = last_tagged(rest).value_or("");
  } else if (box != std::string_view::npos) {
    answer.text = std::string(trim(last_boxed(rest).value_or("")));
  } else {
    answer.text = std::string(trim(rest));
  }
  return answer;
}

}  // namespace minimax::rl
