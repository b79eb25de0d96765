#include "engine/sessions.h"

namespace minimax::engine {

const ModelTag& Sessions::tag() {
  if (!tag_) tag_ = model_tag(model_, options_.precision);
  return *tag_;
}

void Sessions::put(const std::string& name, const std::string& salt, std::span<const int32_t> ids,
                   PrefixCache::SnapshotId snapshot) {
  drop(name);
  sessions_[name] = {salt, {ids.begin(), ids.end()}, snapshot, true, kernels_name(options_.precision)};
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
          .tokens = static_cast<int64_t>(session.ids.size()),
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
  const Session& session = found->second;
  SavedSession saved;
  if (seats_.prefixes().has(session.snapshot)) {
    const PrefixCache::Parts parts = seats_.prefixes().parts(session.snapshot);
    saved.snapshot = seats_.cache().view(*parts.mark, parts.pages);
    saved.logits = parts.logits;
  } else {
    const SavedSession* spilled = seats_.spill().find_exact(session.salt, session.ids);
    MM_CHECK_KIND(kNotFound, spilled, "session \"", name, "\" of ", session.ids.size(), " tokens had to leave memory");
    saved.snapshot = spilled->snapshot;
    saved.logits = spilled->logits;
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
  drop(saved.name);
  Session& session = sessions_[saved.name];
  session = {saved.salt, saved.ids, snapshot, saved.kernels == tag().kernels, saved.kernels};
  SessionInfo read = info(saved.name, session);
  read.bytes = static_cast<int64_t>(std::filesystem::file_size(path));
  return read;
}

}  // namespace minimax::engine
