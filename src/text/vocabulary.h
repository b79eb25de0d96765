// Vocabulary: the bytes of every token by id, and the id of given bytes.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace minimax::text {

/// Built by add(), then only read. Ids are below kMaxIds; bytes are never empty and never twice the same.
class Vocabulary {
 public:
  /// Ids fit 21 bits, so that a pair of them and a rank fit one word (bpe.h).
  static constexpr int64_t kMaxIds = int64_t{1} << 21;

  /// `expected` tokens, to size the tables at once.
  explicit Vocabulary(size_t expected = 0);

  /// False when the id or the bytes are already there, and nothing changes. 0 <= id < kMaxIds, bytes not empty.
  bool add(int32_t id, std::string_view bytes);

  std::optional<int32_t> find(std::string_view bytes) const;
  /// Empty for an id that was not added.
  std::string_view bytes(int32_t id) const {
    if (static_cast<size_t>(static_cast<uint32_t>(id)) >= tokens_.size()) return {};
    const Token& token = tokens_[static_cast<size_t>(id)];
    return {blob_.data() + token.begin, token.length};
  }
  /// find() will not find the token any more; bytes() still gives it.
  void hide(int32_t id);

  /// One past the largest id.
  int64_t id_limit() const { return static_cast<int64_t>(tokens_.size()); }
  size_t size() const { return size_; }

 private:
  struct Token {
    uint32_t begin = 0;
    uint32_t length = 0;
  };
  // Tokens of up to eight bytes are told apart by `key` and `length` alone, without a look at the blob: most text is
  // made of such.
  struct Slot {
    uint64_t key = 0;  // the bytes, or a hash of more than eight
    int32_t id = kEmpty;
    uint32_t length = 0;
  };
  static constexpr int32_t kEmpty = -1;

  static uint64_t key_of(std::string_view bytes);
  size_t home(uint64_t key, size_t length) const {
    return static_cast<size_t>((key ^ length * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u >> shift_);
  }
  void grow(size_t tokens);
  void insert(uint64_t key, uint32_t length, int32_t id);

  std::string blob_;
  std::vector<Token> tokens_;  // by id
  std::vector<Slot> slots_;    // open addressing, a power of two, at most half full
  int shift_ = 0;              // 64 - log2(slots)
  size_t size_ = 0;
};

inline uint64_t Vocabulary::key_of(std::string_view bytes) {
  const size_t n = bytes.size();
  const char* p = bytes.data();
  const auto load = [](const char* from, size_t count) {
    uint64_t word = 0;
    std::memcpy(&word, from, count);
    return word;
  };
  if (n >= 8) {
    if (n == 8) return load(p, 8);
    uint64_t hash = n;
    for (size_t i = 0; i + 8 < n; i += 8) {
      hash = (hash ^ load(p + i, 8)) * 0x9FB21C651E98DF25u;
      hash ^= hash >> 32;
    }
    hash = (hash ^ load(p + n - 8, 8)) * 0x9FB21C651E98DF25u;
    return hash ^ hash >> 29;
  }
  if (n >= 4) return load(p, 4) | load(p + n - 4, 4) << (8 * (n - 4));
  uint64_t key = static_cast<unsigned char>(p[0]);
  if (n > 1) key |= uint64_t{static_cast<unsigned char>(p[1])} << 8;
  if (n > 2) key |= uint64_t{static_cast<unsigned char>(p[2])} << 16;
  return key;
}

inline std::optional<int32_t> Vocabulary::find(std::string_view wanted) const {
  if (wanted.empty() || slots_.empty()) return std::nullopt;
  const uint64_t key = key_of(wanted);
  for (size_t at = home(key, wanted.size());; at = (at + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[at];
    if (slot.id == kEmpty) return std::nullopt;
    if (slot.key == key && slot.length == wanted.size() && (wanted.size() <= 8 || bytes(slot.id) == wanted))
      return slot.id;
  }
}

}  // namespace minimax::text
