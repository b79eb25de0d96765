#include "io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "io/atomic_file.h"
#include "io/file.h"
#include "io/test_folder.h"

namespace minimax::io {
namespace {

using test::error_of;
using testing::HasSubstr;

std::string file_text(std::string_view header, int64_t data_bytes, std::optional<uint64_t> claimed_length = {}) {
  const uint64_t length = claimed_length.value_or(header.size());
  std::string text(8, '\0');
  std::memcpy(text.data(), &length, 8);
  text += header;
  for (int64_t i = 0; i < data_bytes; ++i) text += static_cast<char>(i);
  return text;
}

std::string parse_error(std::string_view header, int64_t data_bytes, std::optional<uint64_t> claimed_length = {}) {
  const std::string text = file_text(header, data_bytes, claimed_length);
  return error_of([&] { parse_safetensors_header(std::as_bytes(std::span(text)), "x.safetensors"); });
}

TEST(Safetensors, WritesAndReadsEveryType) {
  test::Folder folder;
  std::vector<NamedTensor> written;
  for (const DType dtype : {DType::kUInt8, DType::kBFloat16, DType::kFloat16, DType::kFloat32, DType::kInt32,
                            DType::kFloat64, DType::kInt64}) {
    Tensor tensor = Tensor::empty({3, 1, 5}, dtype);
    for (int64_t i = 0; i < tensor.bytes(); ++i) static_cast<char*>(tensor.raw())[i] = static_cast<char>(i * 7);
    written.push_back({"é \"" + std::string(to_string(dtype)), tensor});
  }
  written.push_back({"scalar", Tensor::from<float>(std::vector<float>{2.5f}, Shape{})});
  written.push_back({"nothing", Tensor::zeros({0, 7}, DType::kFloat32)});
  write_safetensors(folder / "x.safetensors", written, {{"format", "pt"}});

  for (const bool mmap : {true, false}) {
    const auto file = SafetensorsFile::open(folder / "x.safetensors", {.mmap = mmap});
    EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
    EXPECT_EQ(file.tensors().size(), written.size());
    for (const NamedTensor& expected : written) {
      const Tensor found = file.tensor(expected.name);
      EXPECT_EQ(found.shape(), expected.tensor.shape());
      EXPECT_EQ(found.dtype(), expected.tensor.dtype());
      EXPECT_EQ(std::memcmp(found.raw(), expected.tensor.raw(), static_cast<size_t>(found.bytes())), 0);
    }
  }
}

TEST(Safetensors, TensorsAreViewsThatKeepTheFileAlive) {
  test::Folder folder;
  write_safetensors(folder / "x.safetensors", std::vector<NamedTensor>{{"a", Tensor::zeros({4}, DType::kFloat32)}});
  Tensor a;
  {
    const auto file = SafetensorsFile::open(folder / "x.safetensors");
    a = file.tensor("a");
    const std::span<const std::byte> bytes = file.file().bytes();
    EXPECT_GE(a.raw(), bytes.data());
    EXPECT_LT(a.raw(), bytes.data() + bytes.size());
  }
  EXPECT_EQ(a.data<float>()[3], 0);
}

TEST(SafetensorsWriter, TakesBytesInPiecesAndIsThereOnlyWhole) {
  test::Folder folder;
  const std::vector<TensorPlan> plan{{"a", DType::kUInt8, {2, 64}}, {"b", DType::kFloat32, {3}}};
  std::string seen;
  std::string data(128, 'x');
  const std::vector<float> b{1, 2, 3};
  {
    SafetensorsWriter writer(folder / "x.safetensors", plan, {{"k", "v"}}, [&](const void* bytes, int64_t count) {
      seen.append(static_cast<const char*>(bytes), static_cast<size_t>(count));
    });
    writer.write(data.data(), 100);
    writer.write(data.data(), 28);
    EXPECT_THAT(error_of([&] { writer.commit(); }), HasSubstr("12 bytes of the plan were never written"));
    EXPECT_THAT(error_of([&] { writer.write(data.data(), 13); }), HasSubstr("13 bytes more, where 12 were planned"));
    writer.write(b.data(), 12);
    EXPECT_FALSE(std::filesystem::exists(folder / "x.safetensors"));
    writer.commit();
    EXPECT_EQ(writer.bytes(), static_cast<int64_t>(seen.size()));
  }
  EXPECT_EQ(read_file(folder / "x.safetensors"), seen);
  const auto file = SafetensorsFile::open(folder / "x.safetensors");
  EXPECT_EQ(file.tensor("b").data<float>()[2], 3);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.tensor("a").raw()) % 64, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.tensor("b").raw()) % 64, 0u);
}

TEST(Safetensors, ReadsTheGoldenFiles) {
  const auto file = SafetensorsFile::open(MINIMAX_TESTDATA "/golden/m1-tiny/io.safetensors");
  EXPECT_EQ(file.tensor("input_ids").dtype(), DType::kInt32);
  EXPECT_EQ(file.tensor("input_ids").shape(), Shape({600}));
  EXPECT_EQ(file.tensor("logits").dim(-1), 160);
  EXPECT_EQ(SafetensorsFile::open(MINIMAX_TESTDATA "/golden/m1-tiny-grad/io.safetensors").tensor("ce_loss").dtype(),
            DType::kFloat64);
}

TEST(Safetensors, ATensorAtAnOddPlaceIsCopiedToAnAlignedOne) {
  test::Folder folder;
  std::string header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  for (int padding = 0; padding < 4; ++padding, header += ' ') {
    write_file(folder / "x.safetensors", file_text(header, 8));
    const Tensor a = SafetensorsFile::open(folder / "x.safetensors").tensor("a");
    EXPECT_EQ(reinterpret_cast<uintptr_t>(a.raw()) % 4, 0u);
    EXPECT_EQ(static_cast<unsigned char*>(a.raw())[7], 7);
  }
}

TEST(Safetensors, OtherTypesAreRefusedOnlyWhenUsed) {
  test::Folder folder;
  write_file(folder / "x.safetensors", file_text(R"({"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},)"
                                                 R"("b":{"dtype":"Q7","shape":[9],"data_offsets":[2,4]},)"
                                                 R"("c":{"dtype":"U8","shape":[1,1,1,1,2],"data_offsets":[4,6]}})",
                                                 6));
  const auto file = SafetensorsFile::open(folder / "x.safetensors");
  EXPECT_THAT(error_of([&] { file.tensor("a"); }), HasSubstr("x.safetensors: tensor \"a\" is F8_E4M3, expected F32"));
  EXPECT_THAT(error_of([&] { file.tensor("b"); }), HasSubstr("tensor \"b\" is Q7"));
  EXPECT_THAT(error_of([&] { file.tensor("c"); }), HasSubstr("has 5 dimensions, expected at most 4"));
  EXPECT_THAT(error_of([&] { file.tensor("d"); }), HasSubstr("x.safetensors: has no tensor \"d\""));
}

TEST(SafetensorsHeader, RefusesLengthsThatLie) {
  EXPECT_THAT(error_of([] { parse_safetensors_header({}, "x.safetensors"); }),
              HasSubstr("x.safetensors: 0 bytes, expected a safetensors file of at least 8"));
  EXPECT_THAT(parse_error("{}", 0, 3), HasSubstr("says its header has 3 bytes, but only 2 follow"));
  EXPECT_THAT(parse_error("{}", 0, 100'000'000), HasSubstr("but only 2 follow"));
  EXPECT_THAT(parse_error("{}", 0, 100'000'001), HasSubstr("expected at most 100000000"));
  EXPECT_THAT(parse_error("{}", 0, ~uint64_t{0}), HasSubstr("has 18446744073709551615 bytes"));
  EXPECT_THAT(parse_error("{}", 0, 0), HasSubstr("does not start with '{'"));
  EXPECT_THAT(parse_error(" {}", 0), HasSubstr("does not start with '{'"));
  EXPECT_EQ(parse_error("{}  ", 0), "(no error)");
}

TEST(SafetensorsHeader, RefusesBadEntries) {
  EXPECT_THAT(parse_error(R"({"a":7})", 0), HasSubstr("x.safetensors, header: \"a\": the document is 7 (number)"));
  EXPECT_THAT(parse_error(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1), HasSubstr("\"dtype\" is absent"));
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1),
              HasSubstr("\"shape[0]\" is -1 (number), expected an integer of 0 or more"));
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})", 1), HasSubstr("shape[0]"));
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1), HasSubstr("expected 2"));
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1),
              HasSubstr("tensor \"a\" ends at byte 0, before it begins at 1"));
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551615]}})", 1),
              HasSubstr("data_offsets[1]"));
  EXPECT_THAT(parse_error(R"({"__metadata__":{"a":1}})", 0), HasSubstr("\"a\" is 1 (number), expected a string"));
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                          R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                          2),
              HasSubstr("the key \"a\" comes twice"));
}

TEST(SafetensorsHeader, RefusesSizesThatDoNotFit) {
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,13]}})", 13),
              HasSubstr("tensor \"a\" is BF16 [2, 3] = 12 bytes, but its data_offsets hold 13"));
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"F8_E5M2","shape":[3],"data_offsets":[0,4]}})", 4), HasSubstr("= 3 bytes"));
  // 2^62 * 4 wraps to 0 in 64 bits.
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0),
              HasSubstr("more than 2^63 bytes"));
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0),
              HasSubstr("more than 2^63 bytes"));
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"?","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0),
              HasSubstr("more than 2^63 bytes"));
}

TEST(SafetensorsHeader, RefusesOverlapsGapsAndTruncation) {
  const auto two = [](int begin, int end) {
    return R"({"a":{"dtype":"?","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"?","shape":[4],"data_offsets":[)" +
           std::to_string(begin) + "," + std::to_string(end) + "]}}";
  };
  EXPECT_EQ(parse_error(two(4, 8), 8), "(no error)");
  EXPECT_THAT(parse_error(two(3, 8), 8), HasSubstr("tensor \"b\" begins at byte 3 of the data, inside the tensor"));
  EXPECT_THAT(parse_error(two(0, 4), 4), HasSubstr("inside the tensor before it, which ends at 4"));
  EXPECT_THAT(parse_error(two(5, 8), 8), HasSubstr("the bytes from 4 on belong to no tensor"));
  EXPECT_THAT(parse_error(two(4, 8), 7),
              HasSubstr("tensor \"b\" ends at byte 8 of the data, but the file holds only 7"));
  EXPECT_THAT(parse_error(two(4, 8), 9), HasSubstr("1 bytes after the last tensor, expected none"));
}

TEST(SafetensorsHeader, RefusesJsonBombs) {
  EXPECT_THAT(parse_error(R"({"a":)" + std::string(1000000, '['), 0), HasSubstr("nested deeper than 4 levels"));
  std::string zeros = "[0";
  for (int i = 0; i < 1000000; ++i) zeros += ",0";
  EXPECT_THAT(parse_error(R"({"a":{"shape":)" + zeros + "]}}", 0), HasSubstr("values"));
}

TEST(Safetensors, RefusesToWriteANameTwice) {
  test::Folder folder;
  const Tensor a = Tensor::zeros({1}, DType::kFloat32);
  EXPECT_THAT(
      error_of([&] { write_safetensors(folder / "x.safetensors", std::vector<NamedTensor>{{"a", a}, {"a", a}}); }),
      HasSubstr("\"a\" is repeated"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace minimax::io
