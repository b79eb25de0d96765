// Files opened for reading, and small files read whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace minimax::io {

/// A regular file open for reading; closes itself. Reads name their place, so threads may share one.
class File {
 public:
  /// Throws kNotFound when there is none, kIo when it cannot be opened or is no regular file.
  static File open(const std::filesystem::path& path);
  File(File&& other) noexcept;
  File& operator=(File&&) = delete;
  ~File();

  int descriptor() const { return descriptor_; }
  int64_t size() const { return size_; }  ///< when it was opened
  const std::filesystem::path& path() const { return path_; }
  /// Exactly `bytes` bytes from `offset` on. Throws kIo, also when the file ends before.
  void read_at(int64_t offset, void* to, int64_t bytes) const;

 private:
  File(std::filesystem::path path, int descriptor, int64_t size);

  std::filesystem::path path_;
  int descriptor_;
  int64_t size_;
};

/// The bytes of a file. Throws as File does, and kInvalidArgument when it has more than `max_bytes`.
std::string read_file(const std::filesystem::path& path, int64_t max_bytes = int64_t{1} << 30);

/// Throws kIo (kNotFound for ENOENT, kOutOfMemory for ENOMEM): "PATH: cannot ACTION: reason of error_number".
[[noreturn]] void throw_file_error(const std::filesystem::path& path, std::string_view action, int error_number);

}  // namespace minimax::io
