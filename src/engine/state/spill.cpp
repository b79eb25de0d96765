#include "engine/state/spill.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace minimax::engine {
namespace {

/// The files stay in the process; any tag does, as long as it is the same.
const ModelTag kOwn{"0000000000000000", "own"};

bool begins_with(std::span<const int32_t> ids, std::span<const int32_t> prefix) {
  return prefix.size() <= ids.size() && std::equal(prefix.begin(), prefix.end(), ids.begin());
}

}  // namespace

Spill::Spill(std::filesystem::path folder, int64_t max_bytes)
    : folder_(std::move(folder)), max_bytes_(folder_.empty() ? 0 : max_bytes) {
  MM_CHECK_KIND(kNotFound, !enabled() || std::filesystem::is_directory(folder_), "spill_folder ", folder_.string(),
                " is no folder");
}

void Spill::put(const SavedSession& prefix, const ModelConfig& config) {
  if (!enabled() || find_exact(prefix.salt, prefix.ids)) return;
  const std::filesystem::path path = folder_ / cat("minimax-prefix-", ::getpid(), "-", ++writes_);
  try {
    write_session(path, prefix, kOwn);
    Entry entry{read_session(path, config, kOwn), static_cast<int64_t>(std::filesystem::file_size(path))};
    std::filesystem::remove(path);
    if (entry.bytes > max_bytes_) return;
    while (bytes_ + entry.bytes > max_bytes_) drop(&entries_.front().prefix);
    bytes_ += entry.bytes;
    entries_.push_back(std::move(entry));
  } catch (const std::exception&) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    ++failures_;
  }
}

const SavedSession* Spill::find(const std::string& salt, std::span<const int32_t> ids) {
  const SavedSession* best = nullptr;
  for (const auto& [prefix, bytes] : entries_) {
    const bool whole = prefix.ids.size() == ids.size();
    if (prefix.salt == salt && begins_with(ids, prefix.ids) && (!whole || prefix.logits.defined()) &&
        (!best || prefix.ids.size() > best->ids.size()))
      best = &prefix;
  }
  return best;
}

const SavedSession* Spill::find_exact(const std::string& salt, std::span<const int32_t> ids) const {
  for (const auto& [prefix, bytes] : entries_)
    if (prefix.salt == salt && prefix.ids.size() == ids.size() && begins_with(ids, prefix.ids)) return &prefix;
  return nullptr;
}

void Spill::drop(const SavedSession* prefix) {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return &e.prefix == prefix; });
  if (found == entries_.end()) return;
  bytes_ -= found->bytes;
  entries_.erase(found);
}

void Spill::clear() {
  entries_.clear();
  bytes_ = 0;
}

}  // namespace minimax::engine
