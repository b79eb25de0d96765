#include "text/grammar/token_trie.h"

#include <algorithm>

namespace minimax::text::grammar {

TokenTrie::TokenTrie(std::vector<std::pair<std::string_view, int32_t>> tokens) {
  std::erase_if(tokens, [](const auto& token) { return token.first.empty() || token.first.size() > kMaxDepth; });
  std::ranges::sort(tokens);
  std::vector<int32_t> open;  // nodes on the way to the last one
  std::string_view last;
  for (const auto& [text, id] : tokens) {
    const auto common = static_cast<size_t>(std::ranges::mismatch(text, last).in1 - text.begin());
    while (open.size() > common) {
      nodes_[static_cast<size_t>(open.back())].end = static_cast<int32_t>(nodes_.size());
      open.pop_back();
    }
    while (open.size() < text.size()) {
      const auto byte = static_cast<uint8_t>(text[open.size()]);
      open.push_back(static_cast<int32_t>(nodes_.size()));
      nodes_.push_back({.end = 0, .token = -1, .depth = static_cast<uint16_t>(open.size()), .byte = byte});
    }
    Node& node = nodes_[static_cast<size_t>(open.back())];
    if (node.token < 0) node.token = static_cast<int32_t>(ids_.size());
    ids_.push_back(id);
    counts_.push_back(0);
    ++counts_[static_cast<size_t>(node.token)];
    last = text;
    max_depth_ = std::max(max_depth_, text.size());
  }
  for (const int32_t node : open) nodes_[static_cast<size_t>(node)].end = static_cast<int32_t>(nodes_.size());
}

}  // namespace minimax::text::grammar
