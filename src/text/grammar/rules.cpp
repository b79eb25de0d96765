#include "text/grammar/rules.h"

#include <algorithm>

#include "core/error.h"

namespace minimax::text::grammar {

NodeId Rules::add(const Node& node, std::span<const NodeId> children) {
  MM_CHECK(nodes_.size() < max_nodes_ && children_.size() < 4 * max_nodes_, "the grammar is too large: more than ",
           max_nodes_, " nodes");
  nodes_.push_back(node);
  if (node.kind == Kind::kSequence || node.kind == Kind::kChoice) {
    nodes_.back().begin = static_cast<int32_t>(children_.size());
    nodes_.back().count = static_cast<int32_t>(children.size());
    children_.insert(children_.end(), children.begin(), children.end());
  }
  return static_cast<NodeId>(nodes_.size() - 1);
}

NodeId Rules::terminal(RegexId regex) {
  return add({.kind = Kind::kTerminal,
              .container = false,
              .regex = regex,
              .begin = 0,
              .count = 0,
              .min = 0,
              .max = 0,
              .nesting = kNever});
}

NodeId Rules::sequence(std::span<const NodeId> parts, bool container) {
  if (parts.empty()) return terminal(RegexPool::kEmpty);
  if (parts.size() == 1 && !container) return parts[0];
  return add({.kind = Kind::kSequence,
              .container = container,
              .regex = 0,
              .begin = 0,
              .count = 0,
              .min = 0,
              .max = 0,
              .nesting = kNever},
             parts);
}

NodeId Rules::choice(std::span<const NodeId> parts) {
  if (parts.empty()) return terminal(RegexPool::kNothing);
  if (parts.size() == 1) return parts[0];
  return add({.kind = Kind::kChoice,
              .container = false,
              .regex = 0,
              .begin = 0,
              .count = 0,
              .min = 0,
              .max = 0,
              .nesting = kNever},
             parts);
}

NodeId Rules::repeat(NodeId what, int32_t min, int32_t max) {
  if (max == 0) return terminal(RegexPool::kEmpty);
  if (min == 1 && max == 1) return what;
  return add({.kind = Kind::kRepeat,
              .container = false,
              .regex = 0,
              .begin = what,
              .count = 0,
              .min = min,
              .max = max,
              .nesting = kNever});
}

int32_t Rules::declare() {
  MM_CHECK(bodies_.size() < max_nodes_, "the grammar is too large: more than ", max_nodes_, " rules");
  bodies_.push_back(-1);
  return static_cast<int32_t>(bodies_.size() - 1);
}

void Rules::define(int32_t rule, NodeId body) {
  bodies_[static_cast<size_t>(rule)] = body;
}

NodeId Rules::call(int32_t rule) {
  return add({.kind = Kind::kCall,
              .container = false,
              .regex = 0,
              .begin = rule,
              .count = 0,
              .min = 0,
              .max = 0,
              .nesting = kNever});
}

int32_t Rules::nesting_of(const Node& node) const {
  switch (node.kind) {
    case Kind::kTerminal:
      return node.nesting;
    case Kind::kSequence: {
      int32_t most = 0;
      for (int32_t i = 0; i < node.count; ++i) {
        // The last part of a container is what closes it, or a sequence that goes on at the same depth.
        const int32_t deeper = node.container && i + 1 < node.count ? 1 : 0;
        most = std::max(most, at(child(node, i)).nesting + deeper);
      }
      return std::min(most, kNever);
    }
    case Kind::kChoice: {
      int32_t least = kNever;
      for (int32_t i = 0; i < node.count; ++i) least = std::min(least, at(child(node, i)).nesting);
      return least;
    }
    case Kind::kRepeat:
      return node.min == 0 ? 0 : at(node.begin).nesting;
    case Kind::kCall:
      return at(body(node.begin)).nesting;
  }
  return kNever;
}

// A least fixed point by a list of nodes whose children changed.
void Rules::finish(RegexPool& pool) {
  std::vector<std::vector<NodeId>> users(nodes_.size());
  for (size_t id = 0; id < nodes_.size(); ++id) {
    const Node& node = nodes_[id];
    const auto uses = [&](NodeId child) { users[static_cast<size_t>(child)].push_back(static_cast<NodeId>(id)); };
    if (node.kind == Kind::kSequence || node.kind == Kind::kChoice)
      for (int32_t i = 0; i < node.count; ++i) uses(child(node, i));
    if (node.kind == Kind::kRepeat) uses(node.begin);
    if (node.kind == Kind::kCall) uses(body(node.begin));
  }
  std::vector<NodeId> changed;
  const auto update = [&](NodeId id, int32_t nesting) {
    if (nesting >= at(id).nesting) return;
    nodes_[static_cast<size_t>(id)].nesting = nesting;
    changed.push_back(id);
  };
  for (size_t id = 0; id < nodes_.size(); ++id) {
    const Node& node = nodes_[id];
    if (node.kind == Kind::kTerminal && pool.live(node.regex)) update(static_cast<NodeId>(id), 0);
    if (node.kind == Kind::kRepeat && node.min == 0) update(static_cast<NodeId>(id), 0);
  }
  while (!changed.empty()) {
    const NodeId id = changed.back();
    changed.pop_back();
    for (const NodeId user : users[static_cast<size_t>(id)]) update(user, nesting_of(at(user)));
  }
}

}  // namespace minimax::text::grammar
