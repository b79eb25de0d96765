// Sessions: named states in the prefix cache, which can be written to files and read back.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/seats.h"
#include "engine/state/session_file.h"

namespace minimax::engine {

/// Not thread-safe.
class Sessions {
 public:
  /// All must outlive this.
  Sessions(const MiniMaxM1& model, const EngineOptions& options, Seats& seats)
      : model_(model), options_(options), seats_(seats) {}

  /// Puts a name on a snapshot, which was kept pinned, of `ids`; 0: there was no room for one. `finished`: the answer
  /// was not cancelled.
  void put(const std::string& name, const std::string& salt, std::span<const int32_t> ids,
           PrefixCache::SnapshotId snapshot, bool finished);
  bool has_finished(const std::string& name) const;
  bool drop(const std::string& name);
  void clear();
  std::vector<SessionInfo> list() const;
  int64_t size() const { return static_cast<int64_t>(sessions_.size()); }

  SessionInfo save(const std::string& name, const std::filesystem::path& path);
  SessionInfo load(const std::filesystem::path& path);

  /// The weights changed: files of before belong to another model.
  void forget_tag() { tag_.reset(); }
  const ModelTag& tag();

 private:
  struct Session {
    std::string salt;
    int64_t tokens = 0;
    std::vector<int32_t> ids;  // empty when the state is nowhere any more
    PrefixCache::SnapshotId snapshot = 0;
    bool same_kernels = true;
    std::string kernels;
    bool finished = true;
    int64_t used = 0;  // clock_ then
  };
  Session& place(const std::string& name);
  const SavedSession* spilled(const Session& session) const;
  SessionInfo info(const std::string& name, const Session& session) const;

  const MiniMaxM1& model_;
  const EngineOptions& options_;
  Seats& seats_;
  std::map<std::string, Session> sessions_;
  int64_t clock_ = 0;
  std::optional<ModelTag> tag_;
};

}  // namespace minimax::engine
