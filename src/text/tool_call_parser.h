// ToolCallParser: finds the tool calls in a model's answer while the text arrives.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_output.h"
#include "text/tool_call_scanner.h"

namespace minimax::text {

struct ToolCallOptions {
  /// Pass arguments on while they are written. A call that breaks off later is then taken back by kToolCallAbort; with
  /// false a call is reported only once it is whole, and nothing is ever taken back.
  bool stream_arguments = true;
  /// The ids of the calls come from it: give each answer another one.
  uint64_t id_seed = 0;
};

/// A block is "<tool_calls>", objects {"name": ..., "arguments": {...}} that each start a line and may span several,
/// and "</tool_calls>" or the end of the text. What is read as a call leaves the content, with the tags and the space
/// around the block; every other byte is content:
///  - a line in a block that is no call, when another one is; a block without any call, whole and with its tags;
///  - "<tool_calls>" when none of the next kMaxPreamble bytes starts an object (prose about the tag);
///  - <think>...</think> and what it contains; not closed, that is the rest of the text.
/// After a broken object reading goes on at the next line. Text that could still become a tag, all that is in a block
/// before its first call, and space that could turn out to precede a block are held back. Not thread-safe.
class ToolCallParser {
 public:
  static constexpr size_t kMaxPreamble = 64;

  explicit ToolCallParser(ToolCallOptions options = {}) : options_(options) {}

  /// What these next bytes decide. Cuts may fall anywhere: the events add up to the same.
  std::vector<OutputEvent> feed(std::string_view content);
  /// The text ends: gives out what was held back. A call that is not complete is content.
  std::vector<OutputEvent> finish();

 private:
  enum class State : uint8_t { kText, kThinking, kBlock, kCall };

  void take(char c);
  void in_text(char c);
  void in_thinking(char c);
  void in_block(char c);
  void between_calls(char c);
  void in_call(char c);

  void not_a_block();
  void close_block();
  void add_junk(std::string_view text);
  void report_progress();
  void call_done();
  void call_broken();
  void emit_content(std::string_view text);

  ToolCallOptions options_;
  State state_ = State::kText;
  std::vector<OutputEvent> events_;
  std::string held_;   // the beginning of a tag
  std::string space_;  // content so far ends with it, not yet given out
  bool has_content_ = false;
  int64_t calls_begun_ = 0;
  int64_t calls_done_ = 0;

  // Of the block:
  std::string block_;  // all of it since its tag; kept while it has no call
  std::string junk_;   // what in it is neither call nor space between lines; likewise
  bool block_has_call_ = false;
  bool block_has_object_ = false;
  bool line_is_junk_ = false;

  // Of the object being read:
  ToolCallScanner scanner_;
  std::string object_;
  bool begin_reported_ = false;
  size_t arguments_reported_ = 0;  // bytes
};

}  // namespace minimax::text
