#include "server/openai/response_store.h"

namespace minimax::server {
namespace {

int64_t bytes_of(const ResponseStore::Entry& entry) {
  size_t bytes = sizeof(entry) + entry.body.size();
  for (const text::Message& message : entry.conversation) {
    bytes += sizeof(message) + message.reasoning.value_or("").size();
    for (const text::ContentPart& part : message.content) bytes += sizeof(part) + part.text.size() + part.name.size();
    for (const text::ToolCall& call : message.tool_calls)
      bytes += sizeof(call) + call.id.size() + call.name.size() + call.arguments.size();
  }
  return static_cast<int64_t>(bytes);
}

}  // namespace

void ResponseStore::erase(std::map<std::string, Kept>::iterator at) {
  bytes_ -= at->second.bytes;
  ages_.erase(at->second.age);
  entries_.erase(at);
}

void ResponseStore::put(const std::string& id, Entry entry) {
  const int64_t bytes = bytes_of(entry);
  const std::lock_guard lock(mutex_);
  if (bytes > max_bytes_) return;
  if (const auto old = entries_.find(id); old != entries_.end()) erase(old);
  while (bytes_ + bytes > max_bytes_) erase(entries_.find(ages_.front()));
  ages_.push_back(id);
  entries_.emplace(id, Kept{std::move(entry), bytes, std::prev(ages_.end())});
  bytes_ += bytes;
}

std::optional<ResponseStore::Entry> ResponseStore::find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(id);
  return found == entries_.end() ? std::nullopt : std::optional(found->second.entry);
}

bool ResponseStore::drop(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) return false;
  erase(found);
  return true;
}

}  // namespace minimax::server
