#include "io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace minimax::io {

File::File(std::filesystem::path path, int descriptor, int64_t size)
    : path_(std::move(path)), descriptor_(descriptor), size_(size) {}

File::File(File&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

File File::open(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a FIFO must not hang; it changes nothing for regular files.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) throw_file_error(path, "open", errno);
  File file(path, descriptor, 0);
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) throw_file_error(path, "stat", errno);
  MM_CHECK_KIND(kIo, S_ISREG(status.st_mode), path.string(), ": is ",
                S_ISDIR(status.st_mode) ? "a folder" : "not a regular file", ", expected a file");
  file.size_ = status.st_size;
  return file;
}

void File::read_at(int64_t offset, void* to, int64_t bytes) const {
  // One call reads at most 2 GiB - 4 KiB.
  constexpr int64_t kPiece = int64_t{1} << 30;
  auto* next = static_cast<char*>(to);
  for (int64_t done = 0; done < bytes;) {
    const auto piece = static_cast<size_t>(std::min(bytes - done, kPiece));
    const ssize_t got = ::pread(descriptor_, next + done, piece, offset + done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_file_error(path_, "read", errno);
    MM_CHECK_KIND(kIo, got > 0, path_.string(), ": ends at byte ", offset + done, ", expected ", bytes,
                  " bytes from byte ", offset, " on");
    done += got;
  }
}

std::string read_file(const std::filesystem::path& path, int64_t max_bytes) {
  const File file = File::open(path);
  MM_CHECK(file.size() <= max_bytes, path.string(), ": ", file.size(), " bytes, expected at most ", max_bytes);
  std::string bytes(static_cast<size_t>(file.size()), '\0');
  file.read_at(0, bytes.data(), file.size());
  return bytes;
}

void throw_file_error(const std::filesystem::path& path, std::string_view action, int error_number) {
  const ErrorKind kind = error_number == ENOENT || error_number == ENOTDIR ? ErrorKind::kNotFound
                         : error_number == ENOMEM                          ? ErrorKind::kOutOfMemory
                                                                           : ErrorKind::kIo;
  throw Error(kind, cat(path.string(), ": cannot ", action, ": ", std::generic_category().message(error_number)));
}

}  // namespace minimax::io
