#include "io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

#include "core/error.h"
#include "io/file.h"

namespace minimax::io {
namespace {

// Makes the rename itself durable.
void sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw_file_error(folder, "open", errno);
  const int result = ::fsync(descriptor);
  const int error_number = errno;
  ::close(descriptor);
  // Some network and overlay file systems cannot sync folders, and say so with EINVAL.
  if (result != 0 && error_number != EINVAL) throw_file_error(folder, "sync", error_number);
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  MM_CHECK(path_.has_filename(), "\"", path_.string(), "\" names no file to write");
  static std::atomic<int64_t> counter{0};  // two writers of one path in one process get two names
  temporary_ = folder_of(path_) / cat(".", path_.filename().string(), ".tmp-", ::getpid(), "-", counter++);
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw_file_error(path_, "write", errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, int64_t bytes) {
  constexpr int64_t kPiece = int64_t{1} << 30;  // one call writes at most 2 GiB - 4 KiB
  const auto* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t done = ::write(descriptor_, next, static_cast<size_t>(std::min(bytes, kPiece)));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) throw_file_error(path_, "write", errno);
    next += done;
    bytes -= done;
  }
}

void AtomicFile::commit() {
  MM_CHECK_KIND(kInternal, descriptor_ >= 0, path_.string(), ": committed twice");
  if (::fsync(descriptor_) != 0) throw_file_error(path_, "sync", errno);
  // Closing may report a late write error (network file systems, quotas).
  if (::close(std::exchange(descriptor_, -1)) != 0) throw_file_error(path_, "write", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_file_error(path_, "rename the new file to it", errno);
  temporary_.clear();
  sync_folder(folder_of(path_));
}

void write_file(const std::filesystem::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

}  // namespace minimax::io
