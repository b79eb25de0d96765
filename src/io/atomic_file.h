// Files that appear whole or not at all: written under a temporary name, synced, renamed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace minimax::io {

/// Until commit() the path keeps its old content; without commit() nothing is left behind, except a hidden
/// `.NAME.tmp-*` when the process is killed. All members throw kIo, naming the path.
class AtomicFile {
 public:
  /// Creates the temporary file beside `path`. Throws kNotFound when the folder does not exist.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, int64_t bytes);
  void write(std::string_view text) { write(text.data(), static_cast<int64_t>(text.size())); }
  /// After it returns, the new content survives a power failure. Call it once.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// The whole content of a file, replaced in one step.
void write_file(const std::filesystem::path& path, std::string_view content);

}  // namespace minimax::io
