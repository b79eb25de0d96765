#include "engine/sampling/thinking.h"

#include <algorithm>

#include "core/error.h"

namespace minimax::engine {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// Length of the longest beginning of `tag` that ends with `matched` bytes of it followed by c.
size_t advance(std::string_view tag, size_t matched, char c) {
  const std::string text = std::string(tag.substr(0, matched)) + c;
  for (size_t length = std::min(text.size(), tag.size()); length > 0; --length)
    if (text.compare(text.size() - length, length, tag.substr(0, length)) == 0) return length;
  return 0;
}

}  // namespace

ThinkingFormat thinking_format(const text::Tokenizer& tokenizer) {
  ThinkingFormat format;
  format.bytes = [tokenizer](int32_t id) {
    return tokenizer.is_ordinary(id) ? tokenizer.token_bytes(id) : std::string_view();
  };
  format.open_ids = tokenizer.encode(format.open + "\n");
  format.skip_ids = tokenizer.encode(format.open + "\n\n" + format.close + "\n\n");
  format.overshoot.resize(format.close.size());
  for (size_t written = 0; written < format.close.size(); ++written) {
    format.close_ids.push_back(tokenizer.encode((written ? "" : "\n") + format.close.substr(written) + "\n\n"));
    const std::string rest = format.close.substr(written);
    for (int64_t id = 0; id < tokenizer.vocab_size(); ++id) {
      const std::string_view bytes = format.bytes(static_cast<int32_t>(id));
      const size_t tag = bytes.find(rest);
      if ((written == 0 ? tag != bytes.npos : tag == 0) &&
          bytes.find_first_not_of(" \t\r\n", tag + rest.size()) != bytes.npos)
        format.overshoot[written].push_back(static_cast<int32_t>(id));
    }
  }
  return format;
}

ThinkingTracker::ThinkingTracker(const ThinkingFormat& format, bool opened)
    : format_(&format), state_(opened ? State::kThinking : State::kStart) {
  MM_CHECK(format.bytes && !format.open.empty() && format.close_ids.size() == format.close.size(),
           "thinking format: ", format.close_ids.size(), " ways to close \"", format.close, "\", expected ",
           format.close.size());
  owners_.resize(format.close.size());
}

void ThinkingTracker::accept(int32_t id, bool written) {
  const std::string_view bytes = format_->bytes(id);
  const State before = state_;
  if (state_ == State::kStart && bytes.empty()) state_ = State::kAnswer;  // a special token is no tag
  for (const char c : bytes) take(c);
  if (before == State::kThinking && state_ == State::kThinking && !written) ++tokens_;
}

void ThinkingTracker::take(char c) {
  switch (state_) {
    case State::kStart:
      if (matched_ == 0 && is_space(c)) return;
      if (c != format_->open[matched_]) {
        state_ = State::kAnswer;
      } else if (++matched_ == format_->open.size()) {
        state_ = State::kThinking;
        matched_ = 0;
      }
      return;
    case State::kThinking: {
      const auto size = static_cast<int64_t>(format_->close.size());
      owners_[static_cast<size_t>(bytes_++ % size)] = tokens_;
      matched_ = advance(format_->close, matched_, c);
      if (matched_ < format_->close.size()) return;
      state_ = State::kAnswer;
      tokens_ = owners_[static_cast<size_t>((bytes_ - size) % size)];
      return;
    }
    case State::kAnswer:
      return;
  }
}

std::span<const int32_t> ThinkingTracker::overshoot() const {
  if (matched_ >= format_->overshoot.size()) return {};
  return format_->overshoot[matched_];
}

}  // namespace minimax::engine
