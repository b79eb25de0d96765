// RegexPool: regular expressions over bytes as shared nodes, and their automata, built as they are walked.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/grammar/byte_set.h"

namespace minimax::text::grammar {

/// A language of byte strings. Equal ids are equal languages; the converse holds often, not always.
using RegexId = int32_t;

/// Expressions are their own automaton: the state after a byte is the expression of what may still follow (Brzozowski,
/// "Derivatives of regular expressions", 1964). So intersection, complement and counted repetition cost nothing until
/// they are walked, and a state is a node like any other. Every function that makes nodes throws kInvalidArgument when
/// the pool would outgrow its limit: some patterns have automata of exponential size.
///
/// Copies are independent and keep ids. Not thread-safe.
class RegexPool {
 public:
  static constexpr RegexId kNothing = 0;   ///< no string at all
  static constexpr RegexId kEmpty = 1;     ///< the empty string
  static constexpr RegexId kAnything = 2;  ///< every string
  static constexpr int32_t kUnbounded = -1;

  explicit RegexPool(size_t max_nodes = 400'000);

  RegexId bytes(const ByteSet& set);
  RegexId literal(std::string_view text);
  RegexId concat(RegexId first, RegexId second);
  RegexId concat(std::span<const RegexId> parts);
  RegexId alt(std::span<const RegexId> parts);
  RegexId alt(RegexId a, RegexId b) { return alt(std::array{a, b}); }
  RegexId both(std::span<const RegexId> parts);
  RegexId both(RegexId a, RegexId b) { return both(std::array{a, b}); }
  RegexId complement(RegexId of);
  /// 0 <= min <= max, or max kUnbounded.
  RegexId repeat(RegexId what, int32_t min, int32_t max);
  RegexId optional(RegexId what) { return repeat(what, 0, 1); }
  /// Strings of decimal digits, signs and points left out, that are a multiple of `divisor` >= 1; so is the empty one.
  RegexId multiple_of(int32_t divisor) { return remainder(divisor, 0); }
  /// Any of the texts, as a tree of shared beginnings.
  RegexId any_of(std::span<const std::string_view> texts);

  bool nullable(RegexId id) const { return nodes_[static_cast<size_t>(id)].nullable; }
  /// False when no string matches. Without intersections and complements that is known at once; otherwise states are
  /// searched, and what was learnt is kept.
  bool live(RegexId id);
  /// What may follow `byte`; kNothing for a state that is not live.
  RegexId step(RegexId id, uint8_t byte) {
    if (dirty_) refine();
    const int32_t slot = slots_[static_cast<size_t>(id)];
    if (slot >= 0) {
      const RegexId next = tables_[static_cast<size_t>(slot) * width_ + class_of_[byte]];
      if (next >= 0) return next;
    }
    return compute_step(id, byte);
  }
  /// The state after all of `text`.
  RegexId run(RegexId id, std::string_view text);
  bool matches(RegexId id, std::string_view text) { return nullable(run(id, text)); }

  /// A state that accepts and rejects the same strings of up to `length` bytes, and goes on living after the same ones:
  /// counts beyond `length` are forgotten, so that many states share one.
  RegexId within(RegexId id, int32_t length);

  /// For a state that repeats one thing and then goes on: what, how often at most, and what follows.
  struct Loop {
    RegexId what;
    int32_t max;
    RegexId rest;
  };
  std::optional<Loop> loop(RegexId id) const;

  size_t size() const { return nodes_.size(); }
  size_t limit() const { return max_nodes_; }

 private:
  enum class Kind : uint8_t { kNothing, kEmpty, kBytes, kConcat, kAlt, kBoth, kNot, kRepeat, kRemainder };
  struct Node {
    Kind kind;
    bool nullable;
    bool boolean;  // has kBoth or kNot somewhere
    int32_t a,
        b;  // children; kBytes: index of the set; kAlt, kBoth: begin and count in lists_; kRemainder: divisor, rest
    int32_t min, max;  // kRepeat
    int32_t largest;   // largest count of any repetition inside, for within()
  };

  RegexId add(Node node, std::span<const RegexId> list = {});
  RegexId remainder(int32_t divisor, int32_t rest);
  RegexId derivative(RegexId id, uint8_t byte);
  RegexId compute_step(RegexId id, uint8_t byte);
  RegexId any_of(std::span<const std::string_view> texts, size_t depth);
  void refine();
  bool search(RegexId id);
  std::optional<bool> search_deep(RegexId id);
  size_t hash(const Node& node, std::span<const RegexId> list) const;
  bool same(const Node& node, std::span<const RegexId> list, RegexId id) const;
  void grow();
  const Node& at(RegexId id) const { return nodes_[static_cast<size_t>(id)]; }
  std::span<const RegexId> list_of(const Node& node) const {
    return {lists_.data() + node.a, static_cast<size_t>(node.b)};
  }

  size_t max_nodes_;
  std::vector<Node> nodes_;
  std::vector<RegexId> lists_;
  std::vector<ByteSet> sets_;
  std::vector<int32_t> index_;  // open addressing over nodes_, a power of two, -1 for free

  // Transitions, one row a state that was walked, one column a class of bytes that no set tells apart.
  bool dirty_ = true;
  std::array<uint8_t, 256> class_of_{};
  std::vector<uint8_t> example_;  // a byte of each class
  size_t width_ = 0;
  std::vector<int32_t> slots_;  // by node, -1: no row yet
  std::vector<int32_t> tables_;

  enum class Life : uint8_t { kUnknown, kLive, kDead };
  std::vector<Life> life_;  // by node, of those with intersections and complements
};

}  // namespace minimax::text::grammar
