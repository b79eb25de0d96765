#include "io/shards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/atomic_file.h"
#include "io/test_folder.h"

namespace minimax::io {
namespace {

using test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kIndex = "model.safetensors.index.json";

void write_shard(const std::filesystem::path& path, const std::vector<std::string>& names) {
  std::vector<NamedTensor> tensors;
  for (const std::string& name : names)
    tensors.push_back({name, Tensor::from<float>(std::vector<float>{static_cast<float>(name[0])}, {1})});
  write_safetensors(path, tensors);
}

float value(const Shards& shards, std::string_view name) {
  return *shards.tensor(name).data<float>();
}

TEST(Shards, AnIndexAndItsShards) {
  test::Folder folder;
  write_shard(folder / "m-1.safetensors", {"a", "c"});
  write_shard(folder / "m-2.safetensors", {"b"});
  write_shard(folder / "unrelated.safetensors", {"x"});
  write_file(
      folder / kIndex,
      R"({"metadata":{"total_size":12},"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-1.safetensors"}})");
  const Shards shards = Shards::open(folder.path());
  EXPECT_THAT(shards.names(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(shards.files().size(), 2u);
  EXPECT_EQ(shards.index()->total_size, 12);
  EXPECT_EQ(value(shards, "b"), 'b');
  EXPECT_EQ(shards.find("x"), nullptr);
  EXPECT_THAT(error_of([&] { shards.tensor("x"); }), HasSubstr("no file holds the tensor \"x\""));
}

TEST(Shards, WithoutAnIndexASingleFileOrAllFiles) {
  test::Folder folder;
  EXPECT_THAT(error_of([&] { Shards::open(folder.path()); }),
              HasSubstr("holds no weights, expected model.safetensors.index.json"));
  write_shard(folder / "one.safetensors", {"a"});
  write_shard(folder / "two.safetensors", {"b"});
  EXPECT_THAT(Shards::open(folder.path()).names(), ElementsAre("a", "b"));
  write_shard(folder / "model.safetensors", {"c"});
  EXPECT_THAT(Shards::open(folder.path()).names(), ElementsAre("c"));
  EXPECT_THAT(error_of([&] { Shards::open(folder / "none"); }), HasSubstr("none: no such folder"));
}

TEST(Shards, AllMissingShardsAreListed) {
  test::Folder folder;
  write_shard(folder / "m-1.safetensors", {"a"});
  write_file(folder / kIndex, R"({"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-3.safetensors"}})");
  EXPECT_THAT(error_of([&] { Shards::open(folder.path()); }),
              HasSubstr("2 of 3 shards are missing: m-2.safetensors, m-3.safetensors"));
  const Shards shards = Shards::inspect(folder.path());
  EXPECT_THAT(shards.problems(), ElementsAre(HasSubstr("2 of 3 shards are missing")));
  EXPECT_THAT(shards.names(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(value(shards, "a"), 'a');
  EXPECT_EQ(shards.find("b"), nullptr);
}

TEST(Shards, ATensorMustLieWhereTheIndexSays) {
  test::Folder folder;
  write_shard(folder / "m-1.safetensors", {"a"});
  write_shard(folder / "m-2.safetensors", {"b"});
  write_file(folder / kIndex, R"({"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-1.safetensors"}})");
  EXPECT_THAT(error_of([&] { Shards::open(folder.path()); }), HasSubstr("m-1.safetensors: has no tensor \"c\", which"));
  write_file(folder / kIndex, R"({"weight_map":{"a":"m-1.safetensors","b":"m-1.safetensors","c":"m-2.safetensors"}})");
  EXPECT_THAT(error_of([&] { Shards::open(folder.path()); }), HasSubstr("(it lies in m-2.safetensors)"));
  EXPECT_EQ(Shards::inspect(folder.path()).problems().size(), 2u);
}

TEST(Shards, ATensorMustNotLieInTwoFiles) {
  test::Folder folder;
  write_shard(folder / "m-1.safetensors", {"a", "b"});
  write_shard(folder / "m-2.safetensors", {"b", "c"});
  EXPECT_THAT(error_of([&] { Shards::open(folder.path()); }),
              HasSubstr("tensor \"b\" lies in two files, m-1.safetensors and m-2.safetensors"));
}

TEST(Shards, AMalformedShardIsAProblemOfItsOwn) {
  test::Folder folder;
  write_shard(folder / "m-1.safetensors", {"a"});
  write_file(folder / "m-2.safetensors", "garbage garbage");
  write_file(folder / kIndex, R"({"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}})");
  EXPECT_THAT(error_of([&] { Shards::open(folder.path()); }), HasSubstr("m-2.safetensors: says its header has"));
  const Shards shards = Shards::inspect(folder.path());
  EXPECT_THAT(shards.problems(), ElementsAre(HasSubstr("m-2.safetensors")));
  EXPECT_EQ(value(shards, "a"), 'a');
}

TEST(ShardIndex, RefusesNamesThatLeaveTheFolder) {
  for (const char* name : {"../m.safetensors", "/etc/m.safetensors", "sub/m.safetensors", "..", "", ".safetensors",
                           "m.bin", "a\\\\b.safetensors", "m\\u0000.safetensors"}) {
    const std::string text = std::string(R"({"weight_map":{"a":")") + name + "\"}}";
    EXPECT_THAT(error_of([&] { parse_shard_index(text, "index"); }), HasSubstr("index: \"weight_map.a\" is \""))
        << name;
  }
}

TEST(ShardIndex, RefusesWhatIsNoIndex) {
  EXPECT_THAT(error_of([] { parse_shard_index("{}", "index"); }), HasSubstr("\"weight_map\" is absent"));
  EXPECT_THAT(error_of([] { parse_shard_index("[]", "index"); }), HasSubstr("expected an object"));
  EXPECT_THAT(error_of([] { parse_shard_index(R"({"weight_map":{"a":1}})", "index"); }),
              HasSubstr("expected a string"));
  EXPECT_THAT(
      error_of([] { parse_shard_index(R"({"weight_map":{"a":"m.safetensors","a":"n.safetensors"}})", "index"); }),
      HasSubstr("comes twice"));
  EXPECT_THAT(error_of([] { parse_shard_index(R"({"metadata":{"total_size":-1},"weight_map":{}})", "index"); }),
              HasSubstr("metadata.total_size"));
}

}  // namespace
}  // namespace minimax::io
