#include "io/mapped_file.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/error.h"
#include "io/file.h"

namespace minimax::io {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path, const LoadOptions& options) {
  const File file = File::open(path);
  const auto size = static_cast<size_t>(file.size());
  void* data = nullptr;
  if (size > 0) {  // a mapping of no bytes is an error to the kernel
    data = options.mmap ? ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.descriptor(), 0)
                        : ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MM_CHECK_KIND(kOutOfMemory, data != MAP_FAILED, path.string(), ": cannot ",
                  options.mmap ? "map " : "allocate memory for ", size,
                  " bytes: ", std::generic_category().message(errno));
  }
  // Fewer TLB misses. Of a file: what is read from disk comes 2 MiB at a time, and where the file system keeps it as
  // one piece it is mapped as one. Harmless where there are no huge pages.
  if (size >= kHugePage) ::madvise(data, size, MADV_HUGEPAGE);
  std::shared_ptr<const MappedFile> mapped(
      new MappedFile(path, static_cast<const std::byte*>(data), file.size(), options.mmap));
  if (!options.mmap && size > 0) {
    file.read_at(0, data, file.size());
    ::mprotect(data, size, PROT_READ);  // as a mapped file behaves
  }
  if (options.mlock) mapped->lock();
  return mapped;
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), static_cast<size_t>(size_));
}

void MappedFile::lock() const {
  if (!data_ || ::mlock(data_, static_cast<size_t>(size_)) == 0) return;
  const int error_number = errno;
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  const std::string allowed = limit.rlim_cur == RLIM_INFINITY ? "unlimited" : cat(limit.rlim_cur, " bytes");
  throw Error(ErrorKind::kOutOfMemory,
              cat(path_.string(), ": cannot lock ", size_, " bytes in memory: ",
                  std::generic_category().message(error_number), ". This process may lock: ", allowed,
                  " (RLIMIT_MEMLOCK). Raise it with `ulimit -l unlimited`, LimitMEMLOCK=infinity (systemd) or "
                  "--ulimit memlock=-1 (containers), or leave out --mlock"));
}

void MappedFile::advise(Advice advice, int64_t offset, int64_t bytes) const {
  MM_CHECK(0 <= offset && 0 <= bytes && offset <= size_ && bytes <= size_ - offset, path_.string(), ": advice on ",
           bytes, " bytes from ", offset, " on, the file has ", size_);
  if (!mapped_ || bytes == 0) return;
  const int64_t page = ::sysconf(_SC_PAGESIZE);
  const int64_t begin = offset / page * page;
  const int kernel_advice = advice == Advice::kSequential ? MADV_SEQUENTIAL
                            : advice == Advice::kRandom   ? MADV_RANDOM
                            : advice == Advice::kWillNeed ? MADV_WILLNEED
                            : advice == Advice::kDontNeed ? MADV_DONTNEED
                                                          : MADV_NORMAL;
  // A hint: whether the kernel takes it changes no result.
  ::madvise(const_cast<std::byte*>(data_) + begin, static_cast<size_t>(offset + bytes - begin), kernel_advice);
}

}  // namespace minimax::io
