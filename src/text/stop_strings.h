// StopStrings: watches streamed text for strings that end an answer, and holds back what may be the start of one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace minimax::text {

/// The answer ends as soon as its text contains any of the strings: the one that is complete first counts, and of those
/// complete at the same character the longest (it began first). Neither it nor anything after it is handed out. What is
/// handed out in all does not depend on how the text was cut into pieces; time is linear in the text. Aho-Corasick over
/// bytes. If pieces are cut between characters, so is what is handed out.
class StopStrings {
 public:
  struct Output {
    std::string text;         ///< what may be shown now
    std::optional<int> stop;  ///< which string ended the answer: index into the constructor's list
  };

  /// No strings: everything is handed out at once. Throws kInvalidArgument for an empty string, and for more than 64
  /// KiB in all.
  explicit StopStrings(std::vector<std::string> strings = {});

  /// The next piece. After a stop: nothing, and the same stop.
  Output push(std::string_view piece);
  /// The text is over: what was held back, and nothing after a stop.
  std::string finish();

  /// Bytes now held back: the longest end of the text that begins one of the strings.
  int64_t held_bytes() const { return nodes_[state_].depth; }
  const std::vector<std::string>& strings() const { return strings_; }

 private:
  // A node is a beginning of one or more strings; the root, node 0, is the empty one.
  struct Node {
    std::vector<std::pair<char, int32_t>> children = {};
    int32_t fallback = 0;  // the longest proper end of this beginning that is a beginning too
    int32_t depth = 0;     // its length
    int32_t owner = -1;    // a string that begins so
    int32_t stop = -1;     // the longest string that ends here
  };

  void add(std::string_view string, int index);
  void link_fallbacks();
  int32_t child(int32_t node, char byte) const;
  int32_t step(int32_t node, char byte) const;
  std::string_view held() const;

  std::vector<std::string> strings_;
  std::vector<Node> nodes_;
  int32_t state_ = 0;
  std::optional<int> stop_;
};

}  // namespace minimax::text
