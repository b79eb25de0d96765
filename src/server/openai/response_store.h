// ResponseStore: the last answers of /v1/responses, for clients that go on from one by its id.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "text/chat_message.h"

namespace minimax::server {

/// In memory only; the oldest goes when there is no room. Ids are random, and whoever knows one may read it.
class ResponseStore {
 public:
  ResponseStore() = default;
  explicit ResponseStore(int64_t max_bytes) : max_bytes_(max_bytes) {}

  struct Entry {
    std::vector<text::Message> conversation;  ///< with the answer, without the instructions
    std::string body;                         ///< the response as JSON
  };
  void put(const std::string& id, Entry entry);
  std::optional<Entry> find(const std::string& id) const;
  bool drop(const std::string& id);

 private:
  struct Kept {
    Entry entry;
    int64_t bytes;
    std::list<std::string>::iterator age;
  };
  void erase(std::map<std::string, Kept>::iterator at);

  const int64_t max_bytes_ = 64 << 20;
  mutable std::mutex mutex_;
  std::map<std::string, Kept> entries_;
  std::list<std::string> ages_;  // oldest first
  int64_t bytes_ = 0;
};

}  // namespace minimax::server
