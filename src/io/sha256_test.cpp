#include "io/sha256.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/atomic_file.h"
#include "io/test_folder.h"

namespace minimax::io {
namespace {

using test::error_of;
using testing::HasSubstr;

// FIPS 180-4, the examples of its appendix.
constexpr std::string_view kOfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Sha256, IsTheStandards) {
  Sha256 sum;
  sum.update("a");
  sum.update("bc");
  EXPECT_EQ(sum.finish(), kOfAbc);
  EXPECT_EQ(Sha256().finish(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, OfAFileInPieces) {
  test::Folder folder;
  const std::string text(10 << 20, 'a');
  write_file(folder / "x", text);
  Sha256 whole;
  whole.update(text);
  int64_t heard = 0;
  EXPECT_EQ(sha256_of_file(folder / "x", [&](int64_t bytes) { heard += bytes; }), whole.finish());
  EXPECT_EQ(heard, 10 << 20);
  write_file(folder / "empty", "");
  EXPECT_EQ(sha256_of_file(folder / "empty"), Sha256().finish());
}

TEST(Sums, AreReadAsTheyAreWritten) {
  test::Folder folder;
  const std::map<std::string, std::string> sums{{"a b.safetensors", std::string(kOfAbc)},
                                                {"config.json", std::string(64, '0')}};
  write_sums(folder.path(), sums);
  EXPECT_EQ(read_sums(folder.path()), sums);
}

TEST(Sums, RefusesWhatIsNoList) {
  const std::string sum(kOfAbc);
  const auto problem = [](const std::string& text) { return error_of([&] { parse_sums(text, "SHA256SUMS"); }); };
  EXPECT_EQ(problem(sum + "  x\n\n" + sum + " *y"), "(no error)");
  EXPECT_THAT(problem(sum + "  x\n" + sum), HasSubstr("SHA256SUMS, line 2: expected 64 hexadecimal digits"));
  EXPECT_THAT(problem("z" + sum.substr(1) + "  x"), HasSubstr("line 1: expected 64"));
  EXPECT_THAT(problem(sum + "  ../x"), HasSubstr("\"../x\" is no plain file name"));
  EXPECT_THAT(problem(sum + "  x\n" + sum + "  x"), HasSubstr("\"x\" comes twice"));
}

}  // namespace
}  // namespace minimax::io
