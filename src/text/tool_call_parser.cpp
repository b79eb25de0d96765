#include "text/tool_call_parser.h"

#include <utility>

#include "core/rng.h"

namespace minimax::text {
namespace {

using Kind = OutputEvent::Kind;

constexpr std::string_view kOpen = "<tool_calls>";
constexpr std::string_view kClose = "</tool_calls>";
constexpr std::string_view kThinkOpen = "<think>";
constexpr std::string_view kThinkClose = "</think>";

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::string call_id(uint64_t seed, int64_t call) {
  constexpr std::string_view kLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  constexpr int kLength = 24;
  Rng rng(seed, static_cast<uint64_t>(call));
  std::string id = "call_";
  for (int at = 0; at < kLength; ++at) id += kLetters[rng.below(kLetters.size())];
  return id;
}

// Takes out of `held`, which is no beginning of a tag, all but what could begin one: a last '<', since no tag has one
// inside.
std::string take_text(std::string& held) {
  std::string text = std::exchange(held, {});
  if (text.size() > 1 && text.back() == '<') {
    text.pop_back();
    held = "<";
  }
  return text;
}

}  // namespace

std::vector<OutputEvent> ToolCallParser::feed(std::string_view content) {
  for (char c : content) take(c);
  return std::exchange(events_, {});
}

std::vector<OutputEvent> ToolCallParser::finish() {
  if (state_ == State::kCall && begin_reported_)
    events_.push_back({.kind = Kind::kToolCallAbort, .call = calls_begun_ - 1});
  if (state_ == State::kText || state_ == State::kThinking)
    emit_content(held_);
  else if (!block_has_call_)
    emit_content(block_);  // with held_; when the block has a call, held_ is a closing tag cut short: no content
  if (state_ == State::kCall) emit_content(object_);
  if (calls_done_ == 0) append_event(events_, Kind::kContent, space_);
  state_ = State::kText;
  held_.clear();
  space_.clear();
  return std::exchange(events_, {});
}

void ToolCallParser::take(char c) {
  switch (state_) {
    case State::kText:
      in_text(c);
      break;
    case State::kThinking:
      in_thinking(c);
      break;
    case State::kBlock:
      in_block(c);
      break;
    case State::kCall:
      in_call(c);
      break;
  }
}

void ToolCallParser::in_text(char c) {
  held_ += c;
  if (held_ == kOpen) {
    block_ = std::exchange(held_, {});
    junk_.clear();
    block_has_call_ = block_has_object_ = line_is_junk_ = false;
    state_ = State::kBlock;
  } else if (held_ == kThinkOpen) {
    emit_content(std::exchange(held_, {}));
    state_ = State::kThinking;
  } else if (!kOpen.starts_with(held_) && !kThinkOpen.starts_with(held_)) {
    emit_content(take_text(held_));
  }
}

void ToolCallParser::in_thinking(char c) {
  held_ += c;
  if (held_ == kThinkClose) {
    emit_content(std::exchange(held_, {}));
    state_ = State::kText;
  } else if (!kThinkClose.starts_with(held_)) {
    emit_content(take_text(held_));
  }
}

void ToolCallParser::in_block(char c) {
  if (!block_has_call_) block_ += c;
  held_ += c;
  if (held_ == kClose) {
    held_.clear();
    close_block();
    return;
  }
  if (kClose.starts_with(held_)) return;
  for (char free : take_text(held_)) between_calls(free);
  if (!block_has_object_ && junk_.size() > kMaxPreamble) not_a_block();
}

void ToolCallParser::between_calls(char c) {
  if (c == '{' && !line_is_junk_) {
    if (!block_has_call_) block_.pop_back();  // it belongs to the object now
    block_has_object_ = true;
    scanner_ = {};
    object_.clear();
    begin_reported_ = false;
    arguments_reported_ = 0;
    state_ = State::kCall;
    in_call(c);
    return;
  }
  if (!is_space(c)) line_is_junk_ = true;
  if (line_is_junk_) add_junk({&c, 1});
  if (c == '\n') line_is_junk_ = false;
}

void ToolCallParser::in_call(char c) {
  const ToolCallScanner::Status status = scanner_.feed(c);
  if (status == ToolCallScanner::Status::kBad) {
    call_broken();
    take(c);
    return;
  }
  object_ += c;
  const bool done = status == ToolCallScanner::Status::kDone;
  if (done || (options_.stream_arguments && scanner_.begun())) report_progress();
  if (done) call_done();
}

// The tag was text. What follows it is read again, since it may hold tags of its own; it is about kMaxPreamble long.
void ToolCallParser::not_a_block() {
  const std::string text = std::exchange(block_, {});
  held_.clear();
  state_ = State::kText;
  emit_content(text.substr(0, kOpen.size()));
  for (char c : text.substr(kOpen.size())) take(c);
}

void ToolCallParser::close_block() {
  if (!block_has_call_) emit_content(block_);
  state_ = State::kText;
}

void ToolCallParser::add_junk(std::string_view text) {
  if (block_has_call_)
    emit_content(text);
  else
    junk_ += text;
}

void ToolCallParser::report_progress() {
  if (!begin_reported_) {
    const int64_t call = calls_begun_++;
    events_.push_back(
        {.kind = Kind::kToolCallBegin, .call = call, .id = call_id(options_.id_seed, call), .name = scanner_.name()});
    begin_reported_ = true;
  }
  const std::string_view arguments = scanner_.arguments();
  append_event(events_, Kind::kToolCallArguments, arguments.substr(arguments_reported_), calls_begun_ - 1);
  arguments_reported_ = arguments.size();
}

void ToolCallParser::call_done() {
  events_.push_back({.kind = Kind::kToolCallEnd, .call = calls_begun_ - 1});
  ++calls_done_;
  state_ = State::kBlock;
  line_is_junk_ = false;
  if (block_has_call_) return;
  block_has_call_ = true;
  emit_content(std::exchange(junk_, {}));
  block_.clear();
}

// object_ holds what was read before the byte that does not fit. Its lines are not searched for objects again: what
// lies inside a broken call is data, and no call of its own. But a string that ran to the end of its line for lack of
// a quote may have swallowed the closing tag.
void ToolCallParser::call_broken() {
  if (begin_reported_) events_.push_back({.kind = Kind::kToolCallAbort, .call = calls_begun_ - 1});
  state_ = State::kBlock;
  const size_t line = object_.rfind('\n') + 1;  // npos + 1 is 0
  const size_t close = object_.find(kClose, line);
  const std::string_view broken = std::string_view(object_).substr(0, close);
  line_is_junk_ = line == 0 || object_.find_first_not_of(" \t\r", line) != std::string::npos;
  add_junk(broken);
  if (!block_has_call_) block_ += broken;
  if (close == std::string::npos) return;
  if (!block_has_call_) block_ += kClose;
  close_block();
  emit_content(std::string_view(object_).substr(close + kClose.size()));
}

// Space is held back until something follows it: around a block of calls it is no part of the answer.
void ToolCallParser::emit_content(std::string_view text) {
  for (char c : text) {
    if (is_space(c)) {
      space_ += c;
      continue;
    }
    if (has_content_ || calls_done_ == 0) append_event(events_, Kind::kContent, space_);
    space_.clear();
    append_event(events_, Kind::kContent, {&c, 1});
    has_content_ = true;
  }
}

}  // namespace minimax::text
