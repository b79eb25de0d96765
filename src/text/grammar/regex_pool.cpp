#include "text/grammar/regex_pool.h"

#include <algorithm>
#include <bit>

#include "core/error.h"

namespace minimax::text::grammar {
namespace {

// States that one search for a match may visit: first in depth, which follows a long count along one path only, then in
// breadth.
constexpr size_t kMaxDeepSearch = 4'000;
constexpr size_t kMaxSearch = 10'000;

size_t mix(size_t hash, size_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 29;
}

}  // namespace

RegexPool::RegexPool(size_t max_nodes) : max_nodes_(max_nodes), index_(1024, -1) {
  add({.kind = Kind::kNothing, .nullable = false, .boolean = false, .a = 0, .b = 0, .min = 0, .max = 0, .largest = 0});
  add({.kind = Kind::kEmpty, .nullable = true, .boolean = false, .a = 0, .b = 0, .min = 0, .max = 0, .largest = 0});
  add({.kind = Kind::kNot, .nullable = true, .boolean = true, .a = kNothing, .b = 0, .min = 0, .max = 0, .largest = 0});
  life_[kAnything] = Life::kLive;
}

size_t RegexPool::hash(const Node& node, std::span<const RegexId> list) const {
  size_t out = static_cast<size_t>(node.kind);
  if (node.kind == Kind::kAlt || node.kind == Kind::kBoth) {
    for (const RegexId id : list) out = mix(out, static_cast<size_t>(id));
    return out;
  }
  const auto word = [](int32_t high, int32_t low) {
    return static_cast<size_t>(static_cast<uint32_t>(high)) << 32 | static_cast<uint32_t>(low);
  };
  return mix(mix(out, word(node.a, node.b)), word(node.min, node.max));
}

bool RegexPool::same(const Node& node, std::span<const RegexId> list, RegexId id) const {
  const Node& other = at(id);
  if (node.kind != other.kind) return false;
  if (node.kind == Kind::kAlt || node.kind == Kind::kBoth) return std::ranges::equal(list, list_of(other));
  return node.a == other.a && node.b == other.b && node.min == other.min && node.max == other.max;
}

void RegexPool::grow() {
  index_.assign(index_.size() * 2, -1);
  const size_t mask = index_.size() - 1;
  for (size_t id = 0; id < nodes_.size(); ++id) {
    const Node& node = nodes_[id];
    const bool has_list = node.kind == Kind::kAlt || node.kind == Kind::kBoth;
    size_t place = hash(node, has_list ? list_of(node) : std::span<const RegexId>()) & mask;
    while (index_[place] >= 0) place = (place + 1) & mask;
    index_[place] = static_cast<int32_t>(id);
  }
}

RegexId RegexPool::add(Node node, std::span<const RegexId> list) {
  const size_t mask = index_.size() - 1;
  size_t place = hash(node, list) & mask;
  for (; index_[place] >= 0; place = (place + 1) & mask)
    if (same(node, list, index_[place])) return index_[place];
  MM_CHECK(nodes_.size() < max_nodes_ && lists_.size() < 16 * max_nodes_,
           "the automaton of this grammar is too large: more than ", max_nodes_, " states");
  const auto id = static_cast<RegexId>(nodes_.size());
  if (!list.empty()) {
    node.a = static_cast<int32_t>(lists_.size());
    node.b = static_cast<int32_t>(list.size());
    lists_.insert(lists_.end(), list.begin(), list.end());
  }
  index_[place] = id;
  nodes_.push_back(node);
  slots_.push_back(-1);
  life_.push_back(node.boolean ? Life::kUnknown : Life::kLive);
  if (id == kNothing) life_.back() = Life::kDead;
  if (nodes_.size() * 2 > index_.size()) grow();
  return id;
}

RegexId RegexPool::bytes(const ByteSet& set) {
  if (set.empty()) return kNothing;
  const auto found = std::ranges::find(sets_, set);
  const auto index = static_cast<int32_t>(found - sets_.begin());
  if (found == sets_.end()) {
    sets_.push_back(set);
    // A union of sets that are there tells no bytes apart that they did not.
    for (size_t cls = 0; !dirty_ && cls < 256; ++cls)
      if (set.has(static_cast<uint8_t>(cls)) != set.has(example_[class_of_[cls]])) dirty_ = true;
  }
  return add({.kind = Kind::kBytes,
              .nullable = false,
              .boolean = false,
              .a = index,
              .b = 0,
              .min = 0,
              .max = 0,
              .largest = 0});
}

RegexId RegexPool::literal(std::string_view text) {
  RegexId out = kEmpty;
  for (size_t i = text.size(); i-- > 0;) out = concat(bytes(ByteSet::of(static_cast<uint8_t>(text[i]))), out);
  return out;
}

RegexId RegexPool::concat(RegexId first, RegexId second) {
  if (first == kNothing || second == kNothing) return kNothing;
  if (second == kEmpty) return first;
  // Always nested to the right: the head is no concatenation.
  std::vector<RegexId> heads;
  while (at(first).kind == Kind::kConcat) {
    heads.push_back(at(first).a);
    first = at(first).b;
  }
  heads.push_back(first);
  RegexId out = second;
  for (size_t i = heads.size(); i-- > 0;) {
    const RegexId head = heads[i];
    if (head == kEmpty) continue;
    const Node a = at(head), b = at(out);
    out = add({.kind = Kind::kConcat,
               .nullable = a.nullable && b.nullable,
               .boolean = a.boolean || b.boolean,
               .a = head,
               .b = out,
               .min = 0,
               .max = 0,
               .largest = std::max(a.largest, b.largest)});
  }
  return out;
}

RegexId RegexPool::concat(std::span<const RegexId> parts) {
  RegexId out = kEmpty;
  for (size_t i = parts.size(); i-- > 0;) out = concat(parts[i], out);
  return out;
}

RegexId RegexPool::alt(std::span<const RegexId> parts) {
  std::vector<RegexId> flat;
  ByteSet set;
  for (const RegexId part : parts) {
    if (part == kAnything) return kAnything;
    const Node& node = at(part);
    if (node.kind == Kind::kAlt)
      for (const RegexId inner : list_of(node)) {
        if (at(inner).kind == Kind::kBytes)
          set = set | sets_[static_cast<size_t>(at(inner).a)];
        else
          flat.push_back(inner);
      }
    else if (node.kind == Kind::kBytes)
      set = set | sets_[static_cast<size_t>(node.a)];
    else if (part != kNothing)
      flat.push_back(part);
  }
  if (!set.empty()) flat.push_back(bytes(set));
  // x y | x z is x (y | z): fewer states, and lists of literals become trees.
  const auto head = [this](RegexId id) { return at(id).kind == Kind::kConcat ? at(id).a : id; };
  const auto tail = [this](RegexId id) { return at(id).kind == Kind::kConcat ? at(id).b : kEmpty; };
  std::ranges::sort(flat, [&](RegexId a, RegexId b) { return std::pair(head(a), a) < std::pair(head(b), b); });
  flat.erase(std::ranges::unique(flat).begin(), flat.end());
  for (size_t begin = 0, out = 0; begin < flat.size();) {
    size_t end = begin + 1;
    while (end < flat.size() && head(flat[end]) == head(flat[begin])) ++end;
    if (end - begin > 1 && head(flat[begin]) != kEmpty) {
      std::vector<RegexId> tails;
      for (size_t i = begin; i < end; ++i) tails.push_back(tail(flat[i]));
      flat[out++] = concat(head(flat[begin]), alt(tails));
    } else {
      for (size_t i = begin; i < end; ++i) flat[out++] = flat[i];
    }
    begin = end;
    if (begin >= flat.size()) flat.resize(out);
  }
  std::ranges::sort(flat);
  flat.erase(std::ranges::unique(flat).begin(), flat.end());
  const auto others_nullable = std::ranges::any_of(flat, [this](RegexId id) { return id != kEmpty && nullable(id); });
  if (others_nullable) std::erase(flat, kEmpty);
  if (flat.empty()) return kNothing;
  if (flat.size() == 1) return flat[0];
  Node node{.kind = Kind::kAlt, .nullable = false, .boolean = false, .a = 0, .b = 0, .min = 0, .max = 0, .largest = 0};
  for (const RegexId id : flat) {
    node.nullable |= at(id).nullable;
    node.boolean |= at(id).boolean;
    node.largest = std::max(node.largest, at(id).largest);
  }
  return add(node, flat);
}

RegexId RegexPool::both(std::span<const RegexId> parts) {
  std::vector<RegexId> flat;
  for (const RegexId part : parts) {
    if (part == kNothing) return kNothing;
    if (part == kAnything) continue;
    const Node& node = at(part);
    if (node.kind == Kind::kBoth)
      flat.insert(flat.end(), list_of(node).begin(), list_of(node).end());
    else
      flat.push_back(part);
  }
  std::ranges::sort(flat);
  flat.erase(std::ranges::unique(flat).begin(), flat.end());
  if (flat.empty()) return kAnything;
  if (flat.size() == 1) return flat[0];
  Node node{.kind = Kind::kBoth, .nullable = true, .boolean = true, .a = 0, .b = 0, .min = 0, .max = 0, .largest = 0};
  bool has_empty = false;
  for (const RegexId id : flat) {
    node.nullable &= at(id).nullable;
    node.largest = std::max(node.largest, at(id).largest);
    has_empty |= id == kEmpty;
    if (at(id).kind == Kind::kNot && std::ranges::binary_search(flat, at(id).a)) return kNothing;
  }
  if (has_empty) return node.nullable ? kEmpty : kNothing;
  return add(node, flat);
}

RegexId RegexPool::complement(RegexId of) {
  if (at(of).kind == Kind::kNot) return at(of).a;
  return add({.kind = Kind::kNot,
              .nullable = !nullable(of),
              .boolean = true,
              .a = of,
              .b = 0,
              .min = 0,
              .max = 0,
              .largest = at(of).largest});
}

RegexId RegexPool::repeat(RegexId what, int32_t min, int32_t max) {
  if (max == 0 || what == kEmpty) return kEmpty;
  if (what == kNothing) return min == 0 ? kEmpty : kNothing;
  if (min == 1 && max == 1) return what;
  const Node node = at(what);
  if (node.nullable) min = 0;
  if (node.kind == Kind::kRepeat && node.min == 0 && node.max == kUnbounded) return what;
  return add({.kind = Kind::kRepeat,
              .nullable = min == 0,
              .boolean = node.boolean,
              .a = what,
              .b = 0,
              .min = min,
              .max = max,
              .largest = std::max({node.largest, min, max})});
}

RegexId RegexPool::remainder(int32_t divisor, int32_t rest) {
  MM_CHECK_KIND(kInternal, divisor >= 1, "multiple of ", divisor);
  return add({.kind = Kind::kRemainder,
              .nullable = rest == 0,
              .boolean = false,
              .a = divisor,
              .b = rest,
              .min = 0,
              .max = 0,
              .largest = 0});
}

RegexId RegexPool::any_of(std::span<const std::string_view> texts) {
  std::vector<std::string_view> sorted(texts.begin(), texts.end());
  std::ranges::sort(sorted);
  sorted.erase(std::ranges::unique(sorted).begin(), sorted.end());
  return any_of(sorted, 0);
}

// `texts` are sorted, differ, and agree in their first `depth` bytes. Goes deeper only where they part.
RegexId RegexPool::any_of(std::span<const std::string_view> texts, size_t depth) {
  if (texts.empty()) return kNothing;
  if (texts.size() == 1) return literal(texts[0].substr(depth));
  size_t common = depth;
  while (common < texts.front().size() && texts.front()[common] == texts.back()[common]) ++common;
  const RegexId shared = literal(texts.front().substr(depth, common - depth));
  std::vector<RegexId> branches;
  if (texts.front().size() == common) {
    branches.push_back(kEmpty);
    texts = texts.subspan(1);
  }
  while (!texts.empty()) {
    size_t end = 1;
    while (end < texts.size() && texts[end][common] == texts[0][common]) ++end;
    branches.push_back(any_of(texts.first(end), common));
    texts = texts.subspan(end);
  }
  return concat(shared, alt(branches));
}

// Recursion is as deep as the expression, which its parsers bound.
RegexId RegexPool::derivative(RegexId id, uint8_t byte) {
  const Node node = at(id);
  switch (node.kind) {
    case Kind::kNothing:
    case Kind::kEmpty:
      return kNothing;
    case Kind::kBytes:
      return sets_[static_cast<size_t>(node.a)].has(byte) ? kEmpty : kNothing;
    case Kind::kConcat: {
      const RegexId first = concat(derivative(node.a, byte), node.b);
      return nullable(node.a) ? alt(first, derivative(node.b, byte)) : first;
    }
    case Kind::kAlt:
    case Kind::kBoth: {
      std::vector<RegexId> parts(static_cast<size_t>(node.b));
      for (size_t i = 0; i < parts.size(); ++i) {
        parts[i] = derivative(lists_[static_cast<size_t>(node.a) + i], byte);
        if (parts[i] == kNothing && node.kind == Kind::kBoth) return kNothing;
      }
      return node.kind == Kind::kAlt ? alt(parts) : both(parts);
    }
    case Kind::kNot:
      return complement(derivative(node.a, byte));
    case Kind::kRepeat: {
      const RegexId first = derivative(node.a, byte);
      if (first == kNothing) return kNothing;
      return concat(first, repeat(node.a, std::max(node.min - 1, 0), node.max == kUnbounded ? node.max : node.max - 1));
    }
    case Kind::kRemainder:
      if (byte == '-' || byte == '.') return id;
      if (byte < '0' || byte > '9') return kNothing;
      return remainder(node.a, static_cast<int32_t>((int64_t{node.b} * 10 + (byte - '0')) % node.a));
  }
  return kNothing;
}

RegexId RegexPool::compute_step(RegexId id, uint8_t byte) {
  RegexId next = derivative(id, example_[class_of_[byte]]);
  if (at(next).boolean && life_[static_cast<size_t>(next)] != Life::kLive && !live(next)) next = kNothing;
  if (dirty_) refine();  // by a set that a derivative made
  int32_t& slot = slots_[static_cast<size_t>(id)];
  if (slot < 0) {
    slot = static_cast<int32_t>(tables_.size() / width_);
    tables_.resize(tables_.size() + width_, -1);
  }
  return tables_[static_cast<size_t>(slot) * width_ + class_of_[byte]] = next;
}

void RegexPool::refine() {
  // Bytes are in one class when the same sets have them.
  std::array<size_t, 256> signature{};
  for (const ByteSet& set : sets_)
    for (size_t byte = 0; byte < 256; ++byte)
      signature[byte] = mix(signature[byte], set.has(static_cast<uint8_t>(byte)) ? 2 : 1);
  // 0: sets do not mention it, but a complement or a remainder may.
  example_.clear();
  std::unordered_map<size_t, uint8_t> classes;
  for (size_t byte = 0; byte < 256; ++byte) {
    size_t key = signature[byte];
    if ((byte >= '0' && byte <= '9') || byte == '-' || byte == '.') key = mix(key, 1000 + byte);  // kRemainder
    const auto [found, is_new] = classes.try_emplace(key, static_cast<uint8_t>(example_.size()));
    if (is_new) example_.push_back(static_cast<uint8_t>(byte));
    class_of_[byte] = found->second;
  }
  width_ = example_.size();
  tables_.clear();
  std::ranges::fill(slots_, -1);
  dirty_ = false;
}

bool RegexPool::live(RegexId id) {
  const Life life = life_[static_cast<size_t>(id)];
  return life == Life::kUnknown ? search(id) : life == Life::kLive;
}

std::optional<bool> RegexPool::search_deep(RegexId id) {
  std::vector<std::pair<RegexId, size_t>> path{{id, 0}};  // states, and the class to try next from each
  std::unordered_map<RegexId, bool> seen{{id, true}};
  while (!path.empty()) {
    auto& [state, cls] = path.back();
    if (nullable(state) || life_[static_cast<size_t>(state)] == Life::kLive) {
      for (const auto& step : path) life_[static_cast<size_t>(step.first)] = Life::kLive;
      return true;
    }
    if (cls == example_.size() || life_[static_cast<size_t>(state)] == Life::kDead) {
      path.pop_back();
      continue;
    }
    const RegexId next = derivative(state, example_[cls++]);
    if (next == kNothing || !seen.try_emplace(next, true).second) continue;
    if (seen.size() > kMaxDeepSearch) return std::nullopt;
    path.emplace_back(next, 0);
  }
  for (const auto& [state, found] : seen) life_[static_cast<size_t>(state)] = Life::kDead;
  return false;
}

bool RegexPool::search(RegexId id) {
  if (dirty_) refine();
  if (const auto found = search_deep(id)) return *found;
  std::vector<std::pair<RegexId, size_t>> reached{{id, 0}};  // a state, and where in this list it was reached from
  std::unordered_map<RegexId, bool> seen{{id, true}};
  for (size_t i = 0; i < reached.size(); ++i) {
    const RegexId state = reached[i].first;
    if (nullable(state) || life_[static_cast<size_t>(state)] == Life::kLive) {
      for (size_t back = i;; back = reached[back].second) {
        life_[static_cast<size_t>(reached[back].first)] = Life::kLive;
        if (back == 0) return true;
      }
    }
    if (life_[static_cast<size_t>(state)] == Life::kDead) continue;
    for (size_t cls = 0; cls < example_.size(); ++cls) {
      const RegexId next = derivative(state, example_[cls]);
      if (next != kNothing && seen.try_emplace(next, true).second) reached.emplace_back(next, i);
    }
    MM_CHECK(reached.size() < kMaxSearch, "the automaton of this grammar is too large: no match within ", kMaxSearch,
             " states of a pattern with its limits");
  }
  for (const auto& [state, from] : reached) life_[static_cast<size_t>(state)] = Life::kDead;
  return false;
}

RegexId RegexPool::run(RegexId id, std::string_view text) {
  for (const char c : text) id = step(id, static_cast<uint8_t>(c));
  return id;
}

std::optional<RegexPool::Loop> RegexPool::loop(RegexId id) const {
  const Node& node = at(id);
  if (node.kind != Kind::kConcat || at(node.a).kind != Kind::kRepeat) return std::nullopt;
  return Loop{at(node.a).a, at(node.a).max, node.b};
}

RegexId RegexPool::within(RegexId id, int32_t length) {
  const Node node = at(id);
  if (node.largest <= length || node.boolean) return id;
  switch (node.kind) {
    case Kind::kConcat: {
      // What lies behind a count that cannot be reached stays as it is: it cannot be reached either.
      const RegexId head = within(node.a, length);
      return concat(head, within(node.b, length));
    }
    case Kind::kAlt: {
      const std::vector<RegexId> parts(list_of(node).begin(), list_of(node).end());
      std::vector<RegexId> out;
      for (const RegexId part : parts) out.push_back(within(part, length));
      return alt(out);
    }
    case Kind::kRepeat: {
      const RegexId what = within(node.a, length);
      if (nullable(what)) return repeat(what, node.min, node.max);
      return repeat(what, std::min(node.min, length + 1), node.max > length ? kUnbounded : node.max);
    }
    default:
      return id;
  }
}

}  // namespace minimax::text::grammar
