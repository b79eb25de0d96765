#include "engine/state/prefix_cache.h"

#include <algorithm>
#include <tuple>

namespace minimax::engine {
namespace {

uint64_t hash_of(std::span<const int32_t> ids) {
  uint64_t hash = 0x9E3779B97F4A7C15u;
  for (const int32_t id : ids) {
    hash = (hash ^ static_cast<uint32_t>(id)) * 0x9FB21C651E98DF25u;
    hash ^= hash >> 29;
  }
  return hash;
}

}  // namespace

struct PrefixCache::Node {
  Node* parent = nullptr;
  int64_t length = 0;  // tokens from the root to here, a multiple of kChunk
  uint64_t hash = 0;
  int32_t page = -1;
  std::array<int32_t, kChunk> ids{};
  std::unordered_multimap<uint64_t, std::unique_ptr<Node>> children;  // by hash of their ids
  std::vector<std::unique_ptr<Snapshot>> snapshots;
  std::string salt;  // of a root

  Node* child(std::span<const int32_t> next) const {
    const auto [begin, end] = children.equal_range(hash_of(next));
    for (auto it = begin; it != end; ++it)
      if (std::equal(next.begin(), next.end(), it->second->ids.begin())) return it->second.get();
    return nullptr;
  }
};

struct PrefixCache::Snapshot {
  SnapshotId id = 0;
  Node* node = nullptr;
  std::vector<int32_t> tail;  // ids after the node, fewer than kChunk
  int32_t tail_page = -1;     // theirs
  StateMark mark;
  Tensor logits;
  int64_t bytes = 0;  // charged for mark and logits
  int pins = 0;
  bool ready = false;  // the mark is there; until then it is not evicted and not found
  double worth = 0;    // when it was last used

  int64_t length() const { return node->length + static_cast<int64_t>(tail.size()); }
};

PrefixCache::PrefixCache(StateCache& cache) : cache_(cache) {}

PrefixCache::~PrefixCache() {
  clear();
}

PrefixCache::Hit PrefixCache::find(const std::string& salt, std::span<const int32_t> ids) const {
  Hit hit;
  const auto root = roots_.find(salt);
  if (root == roots_.end()) return hit;
  const Snapshot* best = nullptr;
  for (const Node* node = root->second.get(); node;) {
    const auto rest = ids.subspan(static_cast<size_t>(node->length));
    for (const auto& snapshot : node->snapshots) {
      if (!snapshot->ready || snapshot->tail.size() > rest.size() || (best && snapshot->length() <= best->length()))
        continue;
      if (snapshot->tail.size() == rest.size() && !snapshot->logits.defined()) continue;
      if (std::equal(snapshot->tail.begin(), snapshot->tail.end(), rest.begin())) best = snapshot.get();
    }
    hit.known = node->length;
    node = rest.size() >= kChunk ? node->child(rest.first(kChunk)) : nullptr;
  }
  if (!best) return hit;
  hit.snapshot = best->id;
  hit.length = best->length();
  return hit;
}

Sequence PrefixCache::resume(const Hit& hit) {
  Snapshot& snapshot = *snapshots_.at(hit.snapshot);
  Sequence sequence = cache_.resume(snapshot.mark, pages_of(snapshot));
  touch(snapshot);
  return sequence;
}

Tensor PrefixCache::logits(const Hit& hit) const {
  return snapshots_.at(hit.snapshot)->logits;
}

PrefixCache::Parts PrefixCache::parts(SnapshotId id) const {
  const auto found = snapshots_.find(id);
  if (found == snapshots_.end()) return {};
  const Snapshot& snapshot = *found->second;
  Parts parts;
  std::vector<const Node*> path;
  const Node* root = snapshot.node;
  for (; root->parent; root = root->parent) path.push_back(root);
  for (auto node = path.rbegin(); node != path.rend(); ++node)
    parts.ids.insert(parts.ids.end(), (*node)->ids.begin(), (*node)->ids.end());
  parts.ids.insert(parts.ids.end(), snapshot.tail.begin(), snapshot.tail.end());
  parts.salt = root->salt;
  parts.mark = &snapshot.mark;
  parts.logits = snapshot.logits;
  parts.pages = pages_of(snapshot);
  parts.saves = snapshot.length() - base_of(snapshot);
  return parts;
}

std::vector<int32_t> PrefixCache::pages_of(const Snapshot& snapshot) const {
  std::vector<int32_t> pages;
  for (const Node* node = snapshot.node; node->parent; node = node->parent) pages.push_back(node->page);
  std::reverse(pages.begin(), pages.end());
  if (snapshot.tail_page >= 0) pages.push_back(snapshot.tail_page);
  return pages;
}

/// The node of the last full page of `ids`, made where it is missing, of pages of `sequence`.
PrefixCache::Node* PrefixCache::path_of(const std::string& salt, std::span<const int32_t> ids, Sequence& sequence) {
  std::unique_ptr<Node>& root = roots_[salt];
  if (!root) {
    root = std::make_unique<Node>();
    root->salt = salt;
  }
  Node* node = root.get();
  for (size_t page = 0; (page + 1) * kChunk <= ids.size(); ++page) {
    const auto next = ids.subspan(page * kChunk, kChunk);
    Node* child = node->child(next);
    if (!child) {
      auto made = std::make_unique<Node>();
      child = made.get();
      child->parent = node;
      child->length = node->length + kChunk;
      child->hash = hash_of(next);
      child->page = sequence.pages[page];
      std::copy(next.begin(), next.end(), child->ids.begin());
      hold(child->page);
      node->children.emplace(child->hash, std::move(made));
    } else if (child->page != sequence.pages[page]) {
      // Both hold the same bits: one is enough.
      cache_.retain(child->page);
      cache_.release(sequence.pages[page]);
      sequence.pages[page] = child->page;
    }
    node = child;
  }
  return node;
}

PrefixCache::SnapshotId PrefixCache::keep(const std::string& salt, std::span<const int32_t> ids, Sequence& sequence,
                                          const Tensor& logits, bool close, bool pinned) {
  if (sequence.length == 0) {
    if (close) cache_.close(sequence);
    return 0;
  }
  ids = ids.first(static_cast<size_t>(sequence.length));
  Node* node = path_of(salt, ids, sequence);
  const auto tail = ids.subspan(static_cast<size_t>(node->length));
  for (const auto& old : node->snapshots) {
    if (!std::equal(old->tail.begin(), old->tail.end(), tail.begin(), tail.end())) continue;
    if (logits.defined() && !old->logits.defined() && cache_.budget().fits(logits.bytes())) {
      old->logits = logits;
      old->bytes += logits.bytes();
      cache_.budget().take(logits.bytes());
      counts_.snapshot_bytes += logits.bytes();
    }
    if (close) cache_.close(sequence);
    old->pins += pinned;
    touch(*old);
    return old->id;
  }

  Snapshot& snapshot = *node->snapshots.emplace_back(std::make_unique<Snapshot>());
  snapshot.id = next_id_++;
  snapshot.node = node;
  snapshot.tail.assign(tail.begin(), tail.end());
  snapshot.pins = pinned;
  snapshot.logits = logits;
  snapshots_.emplace(snapshot.id, &snapshot);
  if (!tail.empty()) {
    snapshot.tail_page = sequence.pages[static_cast<size_t>(node->length / kChunk)];
    hold(snapshot.tail_page);
  }
  const int64_t bytes = cache_.mark_bytes(sequence.length) + (logits.defined() ? logits.bytes() : 0);
  touch(snapshot);
  const double below = pinned ? kAnyWorth : snapshot.worth;
  if (close) {
    // The slot goes before the copy of it is charged: the one makes room for the other.
    snapshot.mark = cache_.mark(sequence);
    cache_.close(sequence);
  }
  if (!make_room({.bytes = bytes}, below)) {
    remove(snapshot);
    return 0;
  }
  if (!close) snapshot.mark = cache_.mark(sequence);
  snapshot.bytes = bytes;
  snapshot.ready = true;
  cache_.budget().take(bytes);
  counts_.snapshot_bytes += bytes;
  ++counts_.snapshots;
  touch(snapshot);
  return snapshot.id;
}

void PrefixCache::pin(SnapshotId id) {
  if (const auto found = snapshots_.find(id); found != snapshots_.end()) ++found->second->pins;
}

void PrefixCache::unpin(SnapshotId id) {
  if (const auto found = snapshots_.find(id); found != snapshots_.end() && found->second->pins > 0)
    --found->second->pins;
}

/// Length of the next snapshot towards the root.
int64_t PrefixCache::base_of(const Snapshot& snapshot) {
  int64_t base = 0;
  for (const Node* node = snapshot.node; node && base == 0; node = node->parent)
    for (const auto& other : node->snapshots)
      if (other.get() != &snapshot && other->ready && other->length() < snapshot.length() &&
          (node != snapshot.node ? other->tail.empty()
                                 : std::equal(other->tail.begin(), other->tail.end(), snapshot.tail.begin())))
        base = std::max(base, other->length());
  return base;
}

void PrefixCache::touch(Snapshot& snapshot) {
  const int64_t base = base_of(snapshot);
  int64_t bytes = cache_.mark_bytes(snapshot.length()) + (snapshot.logits.defined() ? snapshot.logits.bytes() : 0);
  if (snapshot.tail_page >= 0) bytes += cache_.page_bytes();
  if (snapshot.node->children.empty() && snapshot.node->snapshots.size() == 1)
    bytes += std::max<int64_t>(snapshot.node->length - base, 0) / kChunk * cache_.page_bytes();
  const double mebibytes = static_cast<double>(std::max<int64_t>(bytes, 1)) / (1 << 20);
  snapshot.worth = clock_ + static_cast<double>(snapshot.length() - base) / mebibytes;
}

bool PrefixCache::make_room(const StateCache::Need& need) {
  return make_room(need, kAnyWorth);
}

bool PrefixCache::make_room(const StateCache::Need& need, double below) {
  while (!cache_.fits(need))
    if (!evict_one(below)) return false;
  return true;
}

bool PrefixCache::evict_one(double below) {
  Snapshot* worst = nullptr;
  const auto rank = [](const Snapshot& s) { return std::tuple(s.pins > 0, s.worth, s.id); };
  for (const auto& [id, snapshot] : snapshots_)
    if (snapshot->ready && (!worst || rank(*snapshot) < rank(*worst))) worst = snapshot;
  if (!worst || worst->worth > below || (worst->pins > 0 && below != kAnyWorth)) return false;
  if (worst->pins == 0) clock_ = std::max(clock_, worst->worth);
  ++counts_.evictions;
  if (on_evict) on_evict(parts(worst->id));
  remove(*worst);
  return true;
}

void PrefixCache::remove(Snapshot& snapshot) {
  if (snapshot.ready) {
    cache_.budget().give_back(snapshot.bytes);
    counts_.snapshot_bytes -= snapshot.bytes;
    --counts_.snapshots;
  }
  if (snapshot.tail_page >= 0) let_go(snapshot.tail_page);
  Node* node = snapshot.node;
  snapshots_.erase(snapshot.id);
  std::erase_if(node->snapshots, [&](const auto& other) { return other.get() == &snapshot; });
  trim(node);
}

/// Frees nodes that lead to no snapshot, from `node` towards the root.
void PrefixCache::trim(Node* node) {
  while (node->children.empty() && node->snapshots.empty()) {
    Node* parent = node->parent;
    if (!parent) {
      roots_.erase(std::string(node->salt));
      return;
    }
    let_go(node->page);
    const auto [begin, end] = parent->children.equal_range(node->hash);
    for (auto it = begin; it != end; ++it)
      if (it->second.get() == node) {
        parent->children.erase(it);
        break;
      }
    node = parent;
  }
}

void PrefixCache::hold(int32_t page) {
  cache_.retain(page);
  if (++held_[page] == 1) ++counts_.pages;
}

void PrefixCache::let_go(int32_t page) {
  const auto held = held_.find(page);
  if (--held->second == 0) {
    held_.erase(held);
    --counts_.pages;
  }
  cache_.release(page);
}

void PrefixCache::drop(const std::string& salt) {
  std::vector<Snapshot*> gone;
  for (const auto& [id, snapshot] : snapshots_) {
    const Node* root = snapshot->node;
    while (root->parent) root = root->parent;
    if (root->salt == salt) gone.push_back(snapshot);
  }
  for (Snapshot* snapshot : gone) remove(*snapshot);
}

void PrefixCache::clear() {
  while (!snapshots_.empty()) remove(*snapshots_.begin()->second);
}

}  // namespace minimax::engine
