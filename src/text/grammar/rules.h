// Rules: a grammar as a graph of sequences, choices, repetitions and calls over regular terminals.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "text/grammar/regex_pool.h"

namespace minimax::text::grammar {

using NodeId = int32_t;

/// Built once, then read. Nodes may be used in many places; recursion goes through calls. There is no left recursion:
/// between a rule and a call of itself that is not the last thing it does, bytes are read.
class Rules {
 public:
  /// Containers inside each other that a text may have. Deeper ones are not allowed, so that what is written can be
  /// read by parsers with the usual limits, and stacks stay small.
  static constexpr int32_t kMaxNesting = 63;  // and an empty one in the last
  static constexpr int32_t kNever = std::numeric_limits<int32_t>::max() / 2;
  static constexpr int32_t kUnbounded = RegexPool::kUnbounded;

  enum class Kind : uint8_t { kTerminal, kSequence, kChoice, kRepeat, kCall };
  struct Node {
    Kind kind;
    bool container;        // kSequence: all but its last part is one level deeper
    RegexId regex;         // kTerminal
    int32_t begin, count;  // kSequence, kChoice: in children; kRepeat: begin is the child; kCall: begin is the rule
    int32_t min, max;      // kRepeat
    int32_t nesting;       // containers inside each other that the shallowest text needs; kNever: there is no text
  };

  explicit Rules(size_t max_nodes = 200'000) : max_nodes_(max_nodes) {}

  NodeId terminal(RegexId regex);
  NodeId sequence(std::span<const NodeId> parts, bool container = false);
  NodeId choice(std::span<const NodeId> parts);
  NodeId repeat(NodeId what, int32_t min, int32_t max);
  NodeId optional(NodeId what) { return repeat(what, 0, 1); }
  /// A rule to be called before its body is known.
  int32_t declare();
  void define(int32_t rule, NodeId body);
  NodeId call(int32_t rule);
  size_t rules() const { return bodies_.size(); }

  /// Once all rules are defined: what each node needs. `pool` tells terminals that match nothing.
  void finish(RegexPool& pool);

  const Node& at(NodeId id) const { return nodes_[static_cast<size_t>(id)]; }
  NodeId child(const Node& node, int32_t index) const { return children_[static_cast<size_t>(node.begin + index)]; }
  NodeId body(int32_t rule) const { return bodies_[static_cast<size_t>(rule)]; }

 private:
  NodeId add(const Node& node, std::span<const NodeId> children = {});
  int32_t nesting_of(const Node& node) const;

  size_t max_nodes_;
  std::vector<Node> nodes_;
  std::vector<NodeId> children_;
  std::vector<NodeId> bodies_;
};

}  // namespace minimax::text::grammar
