// ReasoningParser: splits a model's text into its reasoning and its answer while the text arrives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace minimax::text {

/// A thinking block is "<think>" at the very start (space may precede it, a newline may follow), ended by "</think>"
/// with at most one newline before and two after; these tags and newlines belong to neither side. A "</think>" at the
/// very start, which small models write, is an empty block. Anything else is
/// content from the first byte. Text that could still become a tag is held back. Not thread-safe.
class ReasoningParser {
 public:
  struct Delta {
    std::string reasoning;
    std::string content;
  };

  /// `starts_in_reasoning`: the prompt already opened the block; a "<think>" the model writes all the same is skipped.
  explicit ReasoningParser(bool starts_in_reasoning = false) : starts_in_reasoning_(starts_in_reasoning) {}

  /// What these next bytes of text decide. Cuts may fall anywhere: the deltas add up to the same.
  Delta feed(std::string_view text);
  /// The text ends: gives out what was held back. A block that was not closed stays reasoning.
  Delta finish();

  /// True between the start of a block and its end; after finish() when the block was never closed.
  bool in_reasoning() const { return state_ == State::kOpened || state_ == State::kReasoning; }
  /// The block is over and there is no content yet.
  bool after_reasoning() const { return state_ == State::kClosed; }

 private:
  enum class State : uint8_t { kStart, kOpened, kReasoning, kClosed, kContent };

  void take(char c, Delta& delta);
  void at_start(char c, Delta& delta);
  void in_block(char c, Delta& delta);
  void close();

  bool starts_in_reasoning_;
  State state_ = State::kStart;
  size_t matched_ = 0;        // bytes of the tag that may begin the text
  std::string held_;          // a possible tag, with the space or newline before it
  int newlines_to_skip_ = 0;  // after a closing tag
};

}  // namespace minimax::text
