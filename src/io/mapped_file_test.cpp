#include "io/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "io/atomic_file.h"
#include "io/file.h"
#include "io/test_folder.h"

namespace minimax::io {
namespace {

using test::error_of;
using testing::HasSubstr;

std::string text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total_pages = 0, resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * ::sysconf(_SC_PAGESIZE);
}

TEST(MappedFile, HoldsTheBytesMappedReadAndLocked) {
  test::Folder folder;
  const std::string content = "0123456789" + std::string(100000, 'x');
  write_file(folder / "a", content);
  for (const LoadOptions options : {LoadOptions{}, LoadOptions{.mmap = false}, LoadOptions{.mlock = true},
                                    LoadOptions{.mmap = false, .mlock = true}})
    EXPECT_EQ(text_of(*MappedFile::open(folder / "a", options)), content);
}

TEST(MappedFile, AnEmptyFileHasNoBytes) {
  test::Folder folder;
  write_file(folder / "empty", "");
  for (const bool mmap : {true, false}) EXPECT_EQ(MappedFile::open(folder / "empty", {.mmap = mmap})->size(), 0);
}

TEST(MappedFile, MappingTenGigabytesTouchesNoMemory) {
  test::Folder folder;
  constexpr int64_t kBytes = int64_t{10} << 30;
  write_file(folder / "big", "head");
  std::filesystem::resize_file(folder / "big", kBytes);  // sparse: takes no disk either
  const int64_t before = resident_bytes();
  const auto file = MappedFile::open(folder / "big");
  EXPECT_EQ(file->size(), kBytes);
  EXPECT_EQ(file->bytes()[kBytes - 1], std::byte{0});
  EXPECT_LT(resident_bytes() - before, 4 << 20);
}

TEST(MappedFile, AdviceIsCheckedAgainstTheFile) {
  test::Folder folder;
  write_file(folder / "a", std::string(10000, 'x'));
  const auto file = MappedFile::open(folder / "a");
  for (const Advice advice :
       {Advice::kNormal, Advice::kSequential, Advice::kRandom, Advice::kWillNeed, Advice::kDontNeed})
    file->advise(advice, 5000, 5000);
  EXPECT_EQ(text_of(*file), std::string(10000, 'x'));
  EXPECT_THAT(error_of([&] { file->advise(Advice::kWillNeed, 5000, 5001); }), HasSubstr("the file has 10000"));
}

TEST(MappedFile, ErrorsNameTheFile) {
  test::Folder folder;
  EXPECT_THAT(error_of([&] { MappedFile::open(folder / "none"); }), HasSubstr("none: cannot open: No such file"));
  EXPECT_THAT(error_of([&] { MappedFile::open(folder.path()); }), HasSubstr("is a folder, expected a file"));
  write_file(folder / "a", "abc");
  EXPECT_THAT(error_of([&] { read_file(folder / "a", 2); }), HasSubstr("3 bytes, expected at most 2"));
  EXPECT_THAT(error_of([&] {
                char byte = 0;
                File::open(folder / "a").read_at(3, &byte, 1);
              }),
              HasSubstr("ends at byte 3, expected 1 bytes from byte 3 on"));
}

// In a child process, which gives up the right to lock: root has no limit.
TEST(MappedFile, TheErrorOfMlockNamesTheLimit) {
  test::Folder folder;
  write_file(folder / "a", std::string(1 << 20, 'x'));
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit limit{65536, 65536};
    ::setrlimit(RLIMIT_MEMLOCK, &limit);
    if (::getuid() == 0 && ::setuid(65534) != 0) ::_exit(3);
    const auto file = MappedFile::open(folder / "a");
    if (::mlock(file->bytes().data(), file->bytes().size()) == 0) ::_exit(2);
    const std::string message = error_of([&] { MappedFile::open(folder / "a", {.mlock = true}); });
    ::_exit(message.find("This process may lock: 65536 bytes (RLIMIT_MEMLOCK). Raise it with `ulimit -l") !=
                    std::string::npos
                ? 0
                : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 2) GTEST_SKIP() << "mlock does nothing here, as under sanitizers";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(AtomicFile, ReplacesTheContentAtCommit) {
  test::Folder folder;
  write_file(folder / "a", "old");
  AtomicFile file(folder / "a");
  file.write("new ");
  file.write("content");
  EXPECT_EQ(read_file(folder / "a"), "old");
  file.commit();
  EXPECT_EQ(read_file(folder / "a"), "new content");
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  test::Folder folder;
  {
    AtomicFile(folder / "a").write("half");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(AtomicFile, ErrorsNameTheFile) {
  test::Folder folder;
  EXPECT_THAT(error_of([&] { write_file(folder / "none/a", "x"); }), HasSubstr("none/a: cannot write: No such file"));
  std::filesystem::create_directory(folder / "taken");
  EXPECT_THAT(error_of([&] { write_file(folder / "taken", "x"); }), HasSubstr("taken: cannot rename"));
  EXPECT_THAT(error_of([&] { write_file("/", "x"); }), HasSubstr("names no file to write"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

}  // namespace
}  // namespace minimax::io
