#include "text/reasoning_parser.h"

namespace minimax::text {
namespace {

constexpr std::string_view kOpen = "<think>";
constexpr std::string_view kClose = "</think>";
constexpr int kMaxNewlinesAfterClose = 2;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

}  // namespace

ReasoningParser::Delta ReasoningParser::feed(std::string_view text) {
  Delta delta;
  for (char c : text) take(c, delta);
  return delta;
}

ReasoningParser::Delta ReasoningParser::finish() {
  Delta delta;
  if (state_ == State::kStart && starts_in_reasoning_) state_ = State::kReasoning;
  (in_reasoning() ? delta.reasoning : delta.content) = std::move(held_);
  held_.clear();
  return delta;
}

void ReasoningParser::take(char c, Delta& delta) {
  switch (state_) {
    case State::kStart:
      at_start(c, delta);
      break;
    case State::kOpened:
      state_ = State::kReasoning;
      if (c != '\n') in_block(c, delta);
      break;
    case State::kReasoning:
      in_block(c, delta);
      break;
    case State::kClosed:
      if (c == '\n' && newlines_to_skip_ > 0) {
        --newlines_to_skip_;
        break;
      }
      state_ = State::kContent;
      [[fallthrough]];
    case State::kContent:
      delta.content += c;
      break;
  }
}

// held_ is space, then the first matched_ bytes of a tag.
void ReasoningParser::at_start(char c, Delta& delta) {
  if (matched_ == 0 && is_space(c)) {
    held_ += c;
    return;
  }
  const std::string begun = held_.substr(held_.size() - matched_) + c;
  if (kOpen.starts_with(begun) || (kClose.starts_with(begun) && !starts_in_reasoning_)) {
    held_ += c;
    ++matched_;
    if (begun == kOpen) state_ = State::kOpened;
    if (begun == kClose) close();
    if (state_ != State::kStart) held_.clear();
    return;
  }
  const std::string text = std::move(held_) + c;
  held_.clear();
  state_ = starts_in_reasoning_ ? State::kReasoning : State::kContent;
  for (char again : text) take(again, delta);
}

void ReasoningParser::close() {
  newlines_to_skip_ = kMaxNewlinesAfterClose;
  state_ = State::kClosed;
}

// held_ is at most one newline, then a beginning of kClose.
void ReasoningParser::in_block(char c, Delta& delta) {
  const size_t newline = held_.starts_with('\n') ? 1 : 0;
  if (c == kClose[held_.size() - newline]) {
    held_ += c;
    if (held_.size() - newline < kClose.size()) return;
    held_.clear();
    return close();
  }
  delta.reasoning += held_;
  held_.clear();
  if (c == '\n' || c == '<')
    held_ = c;
  else
    delta.reasoning += c;
}

}  // namespace minimax::text
