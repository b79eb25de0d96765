// Thinking: where an answer's thinking block begins and ends, counted in tokens, and the ids that close it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace minimax::engine {

/// The tags of one model. They are ordinary text over several tokens, and a token may hold a tag's end and more, so
/// they are found in the bytes of the tokens and not by ids.
struct ThinkingFormat {
  std::function<std::string_view(int32_t id)> bytes;  ///< of a token; empty for special ones
  std::string open = "<think>";
  std::string close = "</think>";
  std::vector<int32_t> open_ids;  ///< the opening tag as the model writes it: its newline is in one token with its end
  /// close_ids[n]: the ids that end the block when the last n bytes are the first n of the closing tag; for n = 0 with
  /// the newline before. Newlines after it are part of them. One entry for each n below the tag's length.
  std::vector<std::vector<int32_t>> close_ids;
  std::vector<int32_t> skip_ids;  ///< an empty block, for an answer that must not think
  /// overshoot[n]: ids that complete the tag after its first n bytes and go on with more than white space. Not chosen
  /// where a constraint rules the answer: it would not see that text.
  std::vector<std::vector<int32_t>> overshoot;
};

/// MiniMax-M1's tags in the tokens of this vocabulary. The tokenizer's tables are shared, not copied.
ThinkingFormat thinking_format(const text::Tokenizer& tokenizer);

/// Follows one answer. The block is the opening tag at the very start (white space may precede it) up to the closing
/// tag; a text that starts otherwise has none.
class ThinkingTracker {
 public:
  enum class State : uint8_t {
    kStart,     ///< nothing but white space and a beginning of the opening tag so far
    kThinking,  ///< inside
    kAnswer,    ///< after the closing tag, or the text began with something else
  };

  /// `format` must outlive the tracker. `opened`: the prompt already holds the opening tag.
  ThinkingTracker(const ThinkingFormat& format, bool opened);

  /// `written`: by the engine, not by the model; such tokens do not count.
  void accept(int32_t id, bool written = false);
  State state() const { return state_; }
  /// Tokens after the one that completed the opening tag, up to the one in which the closing tag begins (not counted);
  /// while the block is open, all tokens of it so far.
  int64_t tokens() const { return tokens_; }
  /// What must be written now to close the block, and what must not be chosen where the answer is constrained. State
  /// kThinking only.
  std::span<const int32_t> closing_ids() const { return format_->close_ids[matched_]; }
  std::span<const int32_t> overshoot() const;
  const ThinkingFormat& format() const { return *format_; }

 private:
  void take(char c);

  const ThinkingFormat* format_;
  State state_;
  size_t matched_ = 0;  // bytes of the tag that is being looked for
  int64_t tokens_ = 0;
  std::vector<int64_t> owners_;  // the tokens that the last bytes of the block came from; byte b at b % size
  int64_t bytes_ = 0;            // of the block
};

}  // namespace minimax::engine
