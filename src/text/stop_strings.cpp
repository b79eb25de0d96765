#include "text/stop_strings.h"

#include <deque>

#include "core/error.h"

namespace minimax::text {

constexpr size_t kMaxBytes = 64 << 10;

StopStrings::StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)), nodes_(1) {
  size_t bytes = 0;
  for (size_t index = 0; index < strings_.size(); ++index) {
    MM_CHECK(!strings_[index].empty(), "stop string ", index, " is empty, expected at least one character");
    bytes += strings_[index].size();
    MM_CHECK(bytes <= kMaxBytes, "stop strings have more than ", kMaxBytes, " bytes in all");
  }
  for (size_t index = 0; index < strings_.size(); ++index) add(strings_[index], static_cast<int>(index));
  link_fallbacks();
}

void StopStrings::add(std::string_view string, int index) {
  int32_t node = 0;
  for (char byte : string) {
    int32_t next = child(node, byte);
    if (next < 0) {
      next = static_cast<int32_t>(nodes_.size());
      nodes_[node].children.emplace_back(byte, next);
      nodes_.push_back({.depth = nodes_[node].depth + 1, .owner = index});
    }
    node = next;
  }
  if (nodes_[node].stop < 0) nodes_[node].stop = index;  // of equal strings the first
}

// By rising depth, so that the fallback of a node's parent is known before the node's own.
void StopStrings::link_fallbacks() {
  std::deque<int32_t> queue = {0};
  while (!queue.empty()) {
    const int32_t node = queue.front();
    queue.pop_front();
    for (const auto& [byte, next] : nodes_[node].children) {
      if (node != 0) nodes_[next].fallback = step(nodes_[node].fallback, byte);
      if (nodes_[next].stop < 0) nodes_[next].stop = nodes_[nodes_[next].fallback].stop;
      queue.push_back(next);
    }
  }
}

int32_t StopStrings::child(int32_t node, char byte) const {
  for (const auto& [edge, next] : nodes_[node].children)
    if (edge == byte) return next;
  return -1;
}

int32_t StopStrings::step(int32_t node, char byte) const {
  for (;; node = nodes_[node].fallback) {
    const int32_t next = child(node, byte);
    if (next >= 0) return next;
    if (node == 0) return 0;
  }
}

// What is held back is the beginning that the state stands for; it is not kept a second time.
std::string_view StopStrings::held() const {
  if (state_ == 0) return {};
  return std::string_view(strings_[nodes_[state_].owner]).substr(0, static_cast<size_t>(held_bytes()));
}

StopStrings::Output StopStrings::push(std::string_view piece) {
  Output out;
  out.stop = stop_;
  if (stop_) return out;
  const std::string_view before = held();
  size_t read = 0;
  while (read < piece.size() && !out.stop) {
    state_ = step(state_, piece[read++]);
    if (nodes_[state_].stop >= 0) out.stop = stop_ = nodes_[state_].stop;
  }
  const size_t kept_back = stop_ ? strings_[*stop_].size() : static_cast<size_t>(held_bytes());
  const size_t safe = before.size() + read - kept_back;
  out.text = before.substr(0, safe);
  if (safe > before.size()) out.text += piece.substr(0, safe - before.size());
  if (stop_) state_ = 0;
  return out;
}

std::string StopStrings::finish() {
  std::string text(held());
  state_ = 0;
  return text;
}

}  // namespace minimax::text
