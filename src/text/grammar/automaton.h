// Automaton: a grammar at work on bytes and tokens, with what it learns about its states kept for the next time.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/grammar/grammar_vocabulary.h"
#include "text/grammar/rules.h"

namespace minimax::text::grammar {

/// Where a text may be: a state of a terminal, and the stack of what comes after the terminal.
struct Position {
  RegexId regex;
  int32_t frame;
  auto operator<=>(const Position&) const = default;
};

/// Ids that may come next: a dense set, or a list when they are few.
struct TokenMask {
  std::vector<uint64_t> words;  // empty when `ids` has them
  std::vector<int32_t> ids;
  bool operator==(const TokenMask&) const = default;
};

/// Everywhere a text may be: nothing is decided before it must be. Several threads may hold one.
struct State {
  std::vector<Position> positions;                     // ascending, each once
  bool can_end = false;                                // the text is complete
  mutable std::shared_ptr<const TokenMask> mask = {};  // once asked for; guarded by the automaton
};

/// A pushdown automaton over bytes. What tokens do inside a terminal does not depend on the stack and is kept for each
/// of its states; the few tokens in which a terminal ends are followed with the stack; and the result is kept for each
/// state of the whole. Thread-safe. All functions throw kInvalidArgument when the automaton outgrows its limits.
class Automaton {
 public:
  /// `pool`: a copy of the vocabulary's base_pool() with more in it. Throws kInvalidArgument when no text matches.
  Automaton(RegexPool pool, Rules rules, NodeId root, std::shared_ptr<const GrammarVocabulary> vocabulary);

  std::shared_ptr<const State> start() const { return start_; }
  /// Null when no text goes on so.
  std::shared_ptr<const State> after(const State& state, std::string_view bytes);
  std::shared_ptr<const TokenMask> mask(const State& state);
  /// The one byte that can follow, if it is one and the text cannot end here.
  std::optional<uint8_t> only_byte(const State& state);

  const GrammarVocabulary& vocabulary() const { return *vocabulary_; }
  /// Half of a limit is used up: time to make a new one for new texts.
  bool worn();

 private:
  // What to do when a part of `node` is complete: go on with its child `index`, or count repetition `index`.
  struct Frame {
    NodeId node;
    int32_t index;
    int32_t parent;
    int32_t depth;  // containers inside each other
  };
  struct Set {
    std::vector<Position> positions;
    bool can_end = false;
    void clear() {
      positions.clear();
      can_end = false;
    }
    bool dead() const { return positions.empty() && !can_end; }
  };
  static constexpr int32_t kBottom = 0;    // the frame after which the text is complete
  static constexpr NodeId kComplete = -1;  // as work: what the frame waited for is complete

  int32_t frame(NodeId node, int32_t index, int32_t parent, int32_t depth);
  void clear_work();
  void sequence(NodeId node, int32_t index, int32_t frame);
  void repetition(NodeId node, int32_t done, int32_t frame);
  void drain(Set& set);
  void step(const Set& from, uint8_t byte, Set& to);
  std::shared_ptr<const State> share(Set& set);
  const TerminalMask& terminal_mask(RegexId regex);
  void follow(const TokenTrie& trie, int32_t begin, int32_t end, std::span<uint64_t> words);
  std::shared_ptr<const TokenMask> compute_mask(const State& state);

  std::shared_ptr<const GrammarVocabulary> vocabulary_;
  std::mutex mutex_;
  RegexPool pool_;
  Rules rules_;
  std::vector<Frame> frames_;
  std::vector<int32_t> frame_index_;  // open addressing, a power of two
  std::shared_ptr<const State> start_;

  GrammarVocabulary::TerminalMasks terminal_masks_;
  std::unordered_map<RegexId, const TerminalMask*> mask_of_;
  size_t mask_bytes_ = 0;
  std::unordered_map<uint64_t, std::shared_ptr<const State>> states_;
  std::unordered_map<uint64_t, std::shared_ptr<const TokenMask>> masks_;

  // Scratch of drain(): nodes to begin with their frames, those that were begun, frames that went on.
  std::vector<std::pair<NodeId, int32_t>> work_, seen_;
  std::vector<int32_t> resumed_;
  size_t work_done_ = 0;
  std::vector<Set> sets_;  // by depth of a walk
};

}  // namespace minimax::text::grammar
