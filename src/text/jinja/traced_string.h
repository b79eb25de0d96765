// TracedString: text that knows which of its bytes a template wrote and which came from data.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace minimax::text::jinja {

/// Cutting and joining keep the origin of every byte, so whatever a template does with a user's text, it stays a user's
/// text, and special tokens are looked for in the template's own bytes only.
class TracedString {
 public:
  enum class Origin : uint8_t { kTemplate, kData };
  /// Bytes up to `end` that no earlier run has. Neighbours differ in origin; none is empty.
  struct Run {
    size_t end;
    Origin origin;
  };

  TracedString() = default;
  TracedString(std::string bytes, Origin origin) : bytes_(std::move(bytes)) {
    if (!bytes_.empty()) runs_.push_back({bytes_.size(), origin});
  }

  const std::string& bytes() const { return bytes_; }
  const std::vector<Run>& runs() const { return runs_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  bool has_data() const;
  /// Where all bytes come from; kData when any does.
  Origin origin() const { return has_data() ? Origin::kData : Origin::kTemplate; }
  Origin origin_at(size_t byte) const;

  void append(std::string_view bytes, Origin origin);
  void append(const TracedString& other) { append(other, 0, other.size()); }
  void append(const TracedString& other, size_t begin, size_t length);
  TracedString cut(size_t begin, size_t length = std::string::npos) const;
  /// Bytes that stand for other bytes, one for one.
  TracedString with_bytes(std::string bytes) const;

 private:
  std::string bytes_;
  std::vector<Run> runs_;
};

}  // namespace minimax::text::jinja
