#include "engine/sessions.h"

#include "engine/state/file_layout.h"

#include <algorithm>

namespace minimax::engine {

const ModelTag& Sessions::tag() {
  if (!tag_) tag_ = model_tag(model_, options_.precision, options_.gpu != nullptr);
  return *tag_;
}

/// Where a session of this name goes, the one before it being gone, and others with it whose time it is.
Sessions::Session& Sessions::place(const std::string& name) {
  drop(name);
  for (auto& [other, session] : sessions_) {
    if (session.ids.empty() || seats_.prefixes().has(session.snapshot) || spilled(session)) continue;
    session.ids = {};  // of a state that is gone; what is left is told in lists
  }
  if (static_cast<int64_t>(sessions_.size()) >= options_.max_sessions) {
    const auto oldest =
        std::ranges::min_element(sessions_, {}, [](const auto& session) { return session.second.used; });
    drop(std::string(oldest->first));
  }
  Session& session = sessions_[name];
  session.used = ++clock_;
  return session;
}

const SavedSession* Sessions::spilled(const Session& session) const {
  return session.ids.empty() ? nullptr : seats_.spill().find_exact(session.salt, session.ids);
}

void Sessions::put(const std::string& name, const std::string& salt, std::span<const int32_t> ids,
                   PrefixCache::SnapshotId snapshot, bool finished) {
  Session& session = place(name);
  session.salt = salt;
  session.tokens = static_cast<int64_t>(ids.size());
  session.ids.assign(ids.begin(), ids.end());
  session.snapshot = snapshot;
  session.kernels = kernels_name(options_.precision, options_.gpu != nullptr);
  session.finished = finished;
}

bool Sessions::has_finished(const std::string& name) const {
  const auto found = sessions_.find(name);
  return found != sessions_.end() && found->second.finished;
}

bool Sessions::drop(const std::string& name) {
  const auto found = sessions_.find(name);
  if (found == sessions_.end()) return false;
  seats_.prefixes().unpin(found->second.snapshot);
  sessions_.erase(found);
  return true;
}

void Sessions::clear() {
  while (!sessions_.empty()) drop(std::string(sessions_.begin()->first));
}

SessionInfo Sessions::info(const std::string& name, const Session& session) const {
  return {.name = name,
          .tokens = session.tokens,
          .bytes = 0,
          .in_memory = seats_.prefixes().has(session.snapshot),
          .same_kernels = session.same_kernels};
}

std::vector<SessionInfo> Sessions::list() const {
  std::vector<SessionInfo> all;
  for (const auto& [name, session] : sessions_) all.push_back(info(name, session));
  return all;
}

SessionInfo Sessions::save(const std::string& name, const std::filesystem::path& path) {
  const auto found = sessions_.find(name);
  MM_CHECK_KIND(kNotFound, found != sessions_.end(), "no session \"", name, "\"");
  Session& session = found->second;
  session.used = ++clock_;
  SavedSession saved;
  if (seats_.prefixes().has(session.snapshot)) {
    const PrefixCache::Parts parts = seats_.prefixes().parts(session.snapshot);
    saved.snapshot = in_file_layout(seats_.cache().view(*parts.mark, parts.pages));
    saved.logits = parts.logits;
  } else {
    const SavedSession* on_disk = spilled(session);
    MM_CHECK_KIND(kNotFound, on_disk, "session \"", name, "\" of ", session.tokens, " tokens had to leave memory");
    saved.snapshot = on_disk->snapshot;
    saved.logits = on_disk->logits;
  }
  saved.name = name;
  saved.salt = session.salt;
  saved.kernels = session.kernels;
  saved.ids = session.ids;
  write_session(path, saved, tag());
  SessionInfo written = info(name, session);
  written.bytes = static_cast<int64_t>(std::filesystem::file_size(path));
  return written;
}

SessionInfo Sessions::load(const std::filesystem::path& path) {
  const SavedSession saved = read_session(path, model_.config, tag());
  const auto tokens = static_cast<int64_t>(saved.ids.size());
  MM_CHECK_KIND(kOutOfMemory, tokens < seats_.max_tokens(), path.string(), ": a session of ", tokens,
                " tokens, this engine holds ", seats_.max_tokens(), " with the next ones");
  const auto snapshot = seats_.adopt(saved);
  MM_CHECK_KIND(kOutOfMemory, snapshot != 0, path.string(), ": no room now for a session of ", tokens, " tokens");
  Session& session = place(saved.name);
  session.salt = saved.salt;
  session.tokens = tokens;
  session.ids = saved.ids;
  session.snapshot = snapshot;
  session.same_kernels = saved.kernels == tag().kernels;
  session.kernels = saved.kernels;
  SessionInfo read = info(saved.name, session);
  read.bytes = static_cast<int64_t>(std::filesystem::file_size(path));
  return read;
}

}  // namespace minimax::engine
