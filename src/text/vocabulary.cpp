#include "text/vocabulary.h"

#include <cassert>

namespace minimax::text {

namespace {
// Set in a slot's length to hide it: no text is that long.
constexpr uint32_t kHidden = 1u << 31;
}  // namespace

Vocabulary::Vocabulary(size_t expected) {
  blob_.reserve(expected * 8);
  tokens_.reserve(expected);
  grow(expected);
}

void Vocabulary::grow(size_t tokens) {
  const size_t slots = std::bit_ceil(std::max<size_t>(tokens * 2, 1024));
  std::vector<Slot> old(slots);
  old.swap(slots_);
  shift_ = 64 - std::countr_zero(slots);
  for (const Slot& slot : old)
    if (slot.id != kEmpty) insert(slot.key, slot.length, slot.id);
}

void Vocabulary::insert(uint64_t key, uint32_t length, int32_t id) {
  size_t at = home(key, length);
  while (slots_[at].id != kEmpty) at = (at + 1) & (slots_.size() - 1);
  slots_[at] = {key, id, length};
}

bool Vocabulary::add(int32_t id, std::string_view bytes) {
  assert(id >= 0 && id < kMaxIds && !bytes.empty() && bytes.size() < kHidden);
  if (!this->bytes(id).empty() || find(bytes)) return false;
  if ((size_ + 1) * 2 > slots_.size()) grow(size_ * 2);
  const auto index = static_cast<size_t>(id);
  if (index >= tokens_.size()) tokens_.resize(index + 1);
  tokens_[index] = {static_cast<uint32_t>(blob_.size()), static_cast<uint32_t>(bytes.size())};
  blob_ += bytes;
  insert(key_of(bytes), static_cast<uint32_t>(bytes.size()), id);
  ++size_;
  return true;
}

void Vocabulary::hide(int32_t id) {
  const std::string_view hidden = bytes(id);
  if (!find(hidden)) return;
  const uint64_t key = key_of(hidden);
  size_t at = home(key, hidden.size());
  while (slots_[at].id != id) at = (at + 1) & (slots_.size() - 1);
  slots_[at].length |= kHidden;
}

}  // namespace minimax::text
