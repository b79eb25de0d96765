#include "text/tool_call_scanner.h"

namespace minimax::text {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

}  // namespace

ToolCallScanner::Status ToolCallScanner::feed(char c) {
  if (state_ == State::kInValue) return in_value(c);
  if (state_ == State::kKey) {
    const JsonRewriter::Status status = rewriter_.feed(c, scratch_);
    if (status == JsonRewriter::Status::kMore) return Status::kMore;
    state_ = State::kColon;
    return status == JsonRewriter::Status::kDone && choose_member() ? Status::kMore : Status::kBad;
  }
  if (is_space(c)) return state_ == State::kOpen ? Status::kBad : Status::kMore;
  switch (state_) {
    case State::kOpen:
      state_ = State::kFirstKey;
      return c == '{' ? Status::kMore : Status::kBad;
    case State::kFirstKey:
    case State::kNextKey:
      if (c != '"') return Status::kBad;
      rewriter_ = {};
      scratch_.clear();
      rewriter_.feed(c, scratch_);
      state_ = State::kKey;
      return Status::kMore;
    case State::kColon:
      state_ = State::kValue;
      return c == ':' ? Status::kMore : Status::kBad;
    case State::kValue:
      return begin_value(c);
    default:
      return after_value(c);
  }
}

// The key just read, in scratch_ with its quotes, says where its value goes. False when it comes twice.
bool ToolCallScanner::choose_member() {
  if (scratch_ == "\"name\"") {
    member_ = Member::kName;
    return name_.empty();
  }
  if (scratch_ == "\"arguments\"") {
    member_ = Member::kArguments;
    return arguments_.empty();
  }
  member_ = Member::kOther;
  return true;
}

ToolCallScanner::Status ToolCallScanner::begin_value(char c) {
  if (member_ == Member::kName && c != '"') return Status::kBad;
  if (member_ == Member::kArguments && c != '{') return Status::kBad;
  rewriter_ = {};
  scratch_.clear();
  state_ = State::kInValue;
  return in_value(c);
}

ToolCallScanner::Status ToolCallScanner::in_value(char c) {
  std::string& value = member_ == Member::kArguments ? arguments_ : scratch_;
  const JsonRewriter::Status status = rewriter_.feed(c, value);
  if (member_ == Member::kOther) scratch_.clear();
  switch (status) {
    case JsonRewriter::Status::kMore:
      return Status::kMore;
    case JsonRewriter::Status::kBad:
      return Status::kBad;
    default:
      break;
  }
  state_ = State::kAfterValue;
  if (member_ == Member::kName) {
    // Without its quotes. Names are identifiers; one that still needs an escape after rewriting is not a tool's.
    if (scratch_.size() == 2 || scratch_.find('\\') != std::string::npos) return Status::kBad;
    name_ = scratch_.substr(1, scratch_.size() - 2);
  }
  return status == JsonRewriter::Status::kDoneBefore ? feed(c) : Status::kMore;
}

ToolCallScanner::Status ToolCallScanner::after_value(char c) {
  if (c == ',') {
    state_ = State::kNextKey;
    return Status::kMore;
  }
  return c == '}' && begun() ? Status::kDone : Status::kBad;
}

}  // namespace minimax::text
