#include "text/grammar/automaton.h"

#include <algorithm>
#include <bit>

#include "core/error.h"

namespace minimax::text::grammar {
namespace {

constexpr size_t kMaxFrames = 1'000'000;
constexpr size_t kMaxPositions = 20'000;    // of one state
constexpr size_t kMaxWork = 200'000;        // nodes begun for one byte
constexpr size_t kMaxMaskBytes = 24 << 20;  // then what was learnt is forgotten
constexpr size_t kMaxStates = 50'000;
constexpr size_t kFewIds = 1024;

uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 32;
}

}  // namespace

Automaton::Automaton(RegexPool pool, Rules rules, NodeId root, std::shared_ptr<const GrammarVocabulary> vocabulary)
    : vocabulary_(std::move(vocabulary)),
      pool_(std::move(pool)),
      rules_(std::move(rules)),
      frames_{{-1, 0, -1, 0}},
      frame_index_(256, -1),
      terminal_masks_(vocabulary_->base_masks()),
      sets_(vocabulary_->longest_token() + 2) {
  MM_CHECK(rules_.at(root).nesting <= Rules::kMaxNesting,
           rules_.at(root).nesting >= Rules::kNever
               ? std::string("no text satisfies the grammar")
               : cat("every text needs more than ", Rules::kMaxNesting, " arrays and objects inside each other"));
  Set set;
  work_.emplace_back(root, kBottom);
  drain(set);
  start_ = share(set);
}

int32_t Automaton::frame(NodeId node, int32_t index, int32_t parent, int32_t depth) {
  const auto home = [&](const Frame& f) {
    return mix(mix(static_cast<uint64_t>(f.node), static_cast<uint64_t>(f.index)), static_cast<uint64_t>(f.parent));
  };
  const Frame wanted{node, index, parent, depth};
  size_t mask = frame_index_.size() - 1;
  size_t place = home(wanted) & mask;
  for (; frame_index_[place] >= 0; place = (place + 1) & mask) {
    const Frame& there = frames_[static_cast<size_t>(frame_index_[place])];
    if (there.node == node && there.index == index && there.parent == parent) return frame_index_[place];
  }
  MM_CHECK(frames_.size() < kMaxFrames, "the grammar has more than ", kMaxFrames, " different stacks");
  frames_.push_back(wanted);
  frame_index_[place] = static_cast<int32_t>(frames_.size() - 1);
  if (frames_.size() * 2 > frame_index_.size()) {
    frame_index_.assign(frame_index_.size() * 2, -1);
    mask = frame_index_.size() - 1;
    for (size_t i = 1; i < frames_.size(); ++i) {
      place = home(frames_[i]) & mask;
      while (frame_index_[place] >= 0) place = (place + 1) & mask;
      frame_index_[place] = static_cast<int32_t>(i);
    }
  }
  return static_cast<int32_t>(frames_.size() - 1);
}

void Automaton::clear_work() {
  seen_.clear();
  resumed_.clear();
  work_.clear();
  work_done_ = 0;
}

// Does the work that is listed, down to terminals, whose beginnings it adds to `set`.
void Automaton::drain(Set& set) {
  const auto complete = [&](int32_t top) {
    // Frames whose part is complete and may therefore go on; each once.
    if (std::ranges::find(resumed_, top) != resumed_.end()) return;
    resumed_.push_back(top);
    if (top == kBottom) {
      set.can_end = true;
      return;
    }
    const Frame f = frames_[static_cast<size_t>(top)];
    if (rules_.at(f.node).kind == Rules::Kind::kSequence)
      sequence(f.node, f.index, f.parent);
    else
      repetition(f.node, f.index, f.parent);
  };
  const auto first_time = [&](NodeId id, int32_t top) {
    const std::pair item(id, top);
    if (std::ranges::find(seen_, item) != seen_.end()) return false;
    seen_.push_back(item);
    return true;
  };
  while (!work_.empty()) {
    const auto [id, top] = work_.back();
    work_.pop_back();
    if (id == kComplete) {
      complete(top);
      continue;
    }
    MM_CHECK(++work_done_ < kMaxWork, "the grammar is too ambiguous: more than ", kMaxWork, " ways to go on");
    const Rules::Node& node = rules_.at(id);
    if (node.nesting + frames_[static_cast<size_t>(top)].depth > Rules::kMaxNesting) continue;
    switch (node.kind) {
      case Rules::Kind::kTerminal:
        if (node.regex != RegexPool::kEmpty) set.positions.push_back({node.regex, top});
        if (pool_.nullable(node.regex)) work_.emplace_back(kComplete, top);
        break;
      case Rules::Kind::kSequence:
        sequence(id, 0, top);
        break;
      case Rules::Kind::kChoice:
        if (!first_time(id, top)) break;
        for (int32_t i = node.count; i-- > 0;) work_.emplace_back(rules_.child(node, i), top);
        break;
      case Rules::Kind::kRepeat:
        repetition(id, 0, top);
        break;
      case Rules::Kind::kCall:
        if (first_time(id, top)) work_.emplace_back(rules_.body(node.begin), top);
        break;
    }
  }
  std::ranges::sort(set.positions);
  set.positions.erase(std::ranges::unique(set.positions).begin(), set.positions.end());
  MM_CHECK(set.positions.size() <= kMaxPositions, "the grammar is too ambiguous: more than ", kMaxPositions,
           " ways to go on");
}

void Automaton::sequence(NodeId id, int32_t index, int32_t top) {
  const Rules::Node& node = rules_.at(id);
  const int32_t depth = frames_[static_cast<size_t>(top)].depth + (node.container ? 1 : 0);
  const bool last = index + 1 == node.count;
  const NodeId child = rules_.child(node, index);
  work_.emplace_back(child, last ? top : frame(id, index + 1, top, depth));
}

void Automaton::repetition(NodeId id, int32_t done, int32_t top) {
  const Rules::Node& node = rules_.at(id);
  if (done >= node.min) work_.emplace_back(kComplete, top);
  if (node.max != Rules::kUnbounded && done >= node.max) return;
  // Beyond the minimum of an open repetition counts do not matter.
  const int32_t count = node.max == Rules::kUnbounded ? std::min(done + 1, node.min) : done + 1;
  work_.emplace_back(node.begin, frame(id, count, top, frames_[static_cast<size_t>(top)].depth));
}

void Automaton::step(const Set& from, uint8_t byte, Set& to) {
  to.clear();
  clear_work();
  for (const Position& position : from.positions) {
    const RegexId next = pool_.step(position.regex, byte);
    if (next == RegexPool::kNothing) continue;
    if (next != RegexPool::kEmpty) to.positions.push_back({next, position.frame});
    if (pool_.nullable(next)) work_.emplace_back(kComplete, position.frame);
  }
  if (!work_.empty() || to.positions.size() > 1) drain(to);
}

std::shared_ptr<const State> Automaton::share(Set& set) {
  if (set.dead()) return nullptr;
  uint64_t hash = set.can_end ? 1 : 0;
  for (const Position& position : set.positions)
    hash = mix(hash, static_cast<uint64_t>(static_cast<uint32_t>(position.regex)) << 32 |
                         static_cast<uint32_t>(position.frame));
  const auto found = states_.find(hash);
  if (found != states_.end() && found->second->positions == set.positions && found->second->can_end == set.can_end)
    return found->second;
  auto state = std::make_shared<State>();
  state->positions = set.positions;
  state->can_end = set.can_end;
  if (states_.size() >= kMaxStates) states_.clear();
  states_[hash] = state;
  return state;
}

std::shared_ptr<const State> Automaton::after(const State& state, std::string_view bytes) {
  const std::scoped_lock lock(mutex_);
  Set current{.positions = state.positions, .can_end = state.can_end}, next;
  for (const char c : bytes) {
    step(current, static_cast<uint8_t>(c), next);
    if (next.dead()) return nullptr;
    std::swap(current, next);
  }
  return share(current);
}

std::optional<uint8_t> Automaton::only_byte(const State& state) {
  const std::scoped_lock lock(mutex_);
  if (state.can_end) return std::nullopt;
  std::optional<uint8_t> only;
  for (int byte = 0; byte < 256; ++byte)
    for (const Position& position : state.positions)
      if (pool_.step(position.regex, static_cast<uint8_t>(byte)) != RegexPool::kNothing) {
        if (only) return std::nullopt;
        only = static_cast<uint8_t>(byte);
        break;
      }
  return only;
}

bool Automaton::worn() {
  const std::scoped_lock lock(mutex_);
  return frames_.size() > kMaxFrames / 2 || pool_.size() > pool_.limit() / 2;
}

const TerminalMask& Automaton::terminal_mask(RegexId regex) {
  const auto known = mask_of_.find(regex);
  if (known != mask_of_.end()) return *known->second;
  // States that differ only in counts that no token can reach share a mask.
  const RegexId alike = pool_.within(regex, static_cast<int32_t>(vocabulary_->longest_token()));
  std::shared_ptr<const TerminalMask>& mask = terminal_masks_[alike];
  if (!mask) {
    mask = vocabulary_->terminal_mask(pool_, alike);
    mask_bytes_ += mask->inside.size() * 8 + mask->ids.size() * 4 + mask->exits.nodes().size() * 24;
  }
  return *(mask_of_[regex] = mask.get());
}

// Adds the tokens of nodes [begin, end) of a tree that go on from the set of the depth above them.
void Automaton::follow(const TokenTrie& trie, int32_t begin, int32_t end, std::span<uint64_t> words) {
  trie.walk(begin, end, [&](const TokenTrie::Node& node) {
    Set& next = sets_[node.depth];
    step(sets_[node.depth - 1u], node.byte, next);
    if (next.dead()) return false;
    for (const int32_t id : trie.tokens_at(node)) set_bit(words, id);
    return !next.positions.empty();
  });
}

std::shared_ptr<const TokenMask> Automaton::compute_mask(const State& state) {
  std::vector<uint64_t> words(mask_words(vocabulary_->rows()));
  for (size_t begin = 0; begin < state.positions.size();) {
    size_t end = begin + 1;
    while (end < state.positions.size() && state.positions[end].regex == state.positions[begin].regex) ++end;
    const TerminalMask& mask = terminal_mask(state.positions[begin].regex);
    for (size_t i = 0; i < mask.inside.size(); ++i) words[i] |= mask.inside[i];
    for (const int32_t id : mask.ids) set_bit(words, id);
    if (mask.leaves) {
      Set rest;
      clear_work();
      for (size_t i = begin; i < end; ++i) work_.emplace_back(kComplete, state.positions[i].frame);
      drain(rest);
      if (!rest.positions.empty()) {
        sets_[0] = rest;
        follow(mask.exits, 0, static_cast<int32_t>(mask.exits.nodes().size()), words);
        for (const int32_t exit : mask.large_exits) {
          const TokenTrie::Node& node = mask.tree->nodes()[static_cast<size_t>(exit)];
          sets_[node.depth] = rest;
          follow(*mask.tree, exit + 1, node.end, words);
        }
      }
    }
    begin = end;
  }
  if (state.can_end)
    for (const int32_t id : vocabulary_->end_ids()) set_bit(words, id);

  auto out = std::make_shared<TokenMask>();
  size_t count = 0;
  uint64_t hash = 0;
  for (const uint64_t word : words) {
    count += static_cast<size_t>(std::popcount(word));
    hash = mix(hash, word);
  }
  const auto found = masks_.find(hash);
  if (count > kFewIds) {
    out->words = std::move(words);
  } else {
    for (size_t word = 0; word < words.size(); ++word)
      for (uint64_t bits = words[word]; bits != 0; bits &= bits - 1)
        out->ids.push_back(static_cast<int32_t>(word * 64 + static_cast<size_t>(std::countr_zero(bits))));
  }
  if (found != masks_.end() && *found->second == *out) return found->second;
  mask_bytes_ += out->words.size() * 8 + out->ids.size() * 4;
  masks_[hash] = out;
  return out;
}

std::shared_ptr<const TokenMask> Automaton::mask(const State& state) {
  const std::scoped_lock lock(mutex_);
  if (!state.mask) {
    if (mask_bytes_ > kMaxMaskBytes) {
      states_.clear();
      masks_.clear();
      mask_of_.clear();
      terminal_masks_ = vocabulary_->base_masks();
      mask_bytes_ = 0;
    }
    state.mask = compute_mask(state);
  }
  return state.mask;
}

}  // namespace minimax::text::grammar
