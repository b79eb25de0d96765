// The bytes of a whole file in memory: mapped, so that only touched pages cost memory, or read and locked on request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace minimax::io {

/// How the bytes of weights come into memory (`--no-mmap`, `--mlock`).
struct LoadOptions {
  bool mmap = true;    ///< false: read everything into anonymous memory at once
  bool mlock = false;  ///< keep everything in RAM, never swapped or dropped
};

enum class Advice : uint8_t { kNormal, kSequential, kRandom, kWillNeed, kDontNeed };

/// Read-only. The file must not be truncated while it is mapped: touching the lost pages ends the process (SIGBUS).
class MappedFile {
 public:
  /// Throws as File::open does, and kOutOfMemory when the memory cannot be had or locked.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path, const LoadOptions& options = {});
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, static_cast<size_t>(size_)}; }
  int64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }

  /// A hint to the kernel about bytes [offset, offset + bytes), widened to whole pages. No effect when read.
  void advise(Advice advice, int64_t offset, int64_t bytes) const;

 private:
  MappedFile(std::filesystem::path path, const std::byte* data, int64_t size, bool mapped)
      : path_(std::move(path)), data_(data), size_(size), mapped_(mapped) {}
  void lock() const;

  std::filesystem::path path_;
  const std::byte* data_;
  int64_t size_;
  bool mapped_;
};

}  // namespace minimax::io
