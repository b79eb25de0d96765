// TokenTrie: the tokens of a vocabulary as a tree of bytes, laid out for one walk from left to right.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace minimax::text::grammar {

/// Nodes in preorder: a node's descendants follow it, up to `end`. The root, which has no byte, is not a node.
class TokenTrie {
 public:
  struct Node {
    int32_t end;     ///< one past the last descendant
    int32_t token;   ///< index of the first of its tokens in tokens(), -1 for none
    uint16_t depth;  ///< bytes up to and with this one, from 1
    uint8_t byte;
    uint8_t padding = 0;
  };
  static constexpr size_t kMaxDepth = 1024;

  TokenTrie() = default;
  /// Text and id; texts may repeat. Those that are empty or longer than kMaxDepth are left out.
  explicit TokenTrie(std::vector<std::pair<std::string_view, int32_t>> tokens);

  std::span<const Node> nodes() const { return nodes_; }
  bool empty() const { return nodes_.empty(); }
  /// The ids that end at a node.
  std::span<const int32_t> tokens_at(const Node& node) const {
    if (node.token < 0) return {};
    const auto first = static_cast<size_t>(node.token);
    return {ids_.data() + first, counts_[first]};
  }
  size_t max_depth() const { return max_depth_; }

  /// Calls `enter(node, depth)` for every node whose parents it returned true for.
  template <typename Enter>
  void walk(Enter enter) const {
    walk(0, static_cast<int32_t>(nodes_.size()), enter);
  }
  /// The same for nodes [begin, end) only.
  template <typename Enter>
  void walk(int32_t begin, int32_t end, Enter enter) const {
    for (int32_t i = begin; i < end;) {
      const Node& node = nodes_[static_cast<size_t>(i)];
      i = enter(node) ? i + 1 : node.end;
    }
  }
  int32_t index_of(const Node& node) const { return static_cast<int32_t>(&node - nodes_.data()); }

 private:
  std::vector<Node> nodes_;
  std::vector<int32_t> ids_;
  std::vector<uint32_t> counts_;  // beside the first id of a node: how many it has
  size_t max_depth_ = 0;
};

}  // namespace minimax::text::grammar
