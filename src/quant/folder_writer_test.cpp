#include "quant/folder_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/rng.h"
#include "io/file.h"
#include "io/sha256.h"
#include "io/shards.h"
#include "io/test_folder.h"

namespace minimax::quant {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using testing::HasSubstr;

struct Model {
  std::vector<std::vector<float>> values;
  std::vector<SourceTensor> tensors;

  void add(const std::string& name, Shape shape, std::optional<Format> format, DType dtype = DType::kBFloat16) {
    Rng rng(values.size());
    std::vector<float>& data = values.emplace_back(static_cast<size_t>(shape.elements()));
    for (float& x : data) x = to_float(to_bfloat16(static_cast<float>(rng.normal())));
    const size_t index = values.size() - 1;
    const int64_t columns = shape.dim(-1);
    tensors.push_back({name, shape, dtype, format, [this, index, columns](int64_t first, int64_t rows, float* out) {
                         std::memcpy(out, values[index].data() + first * columns,
                                     static_cast<size_t>(rows * columns) * 4);
                       }});
  }
};

struct FolderWriterTest : testing::Test {
  test::Folder temporary;
  ThreadPool threads{2};
  Model model;
  WriteOptions options;

  FolderWriterTest() {
    options.shard_bytes = 20'000;
    options.settings = "a model";
    for (int layer = 0; layer < 4; ++layer) {
      const std::string prefix = "layers." + std::to_string(layer) + ".";
      model.add(prefix + "norm", {70}, {});
      model.add(prefix + "q", {96, 64}, Format::kQ8);
      model.add(prefix + "w1", {33, 64}, Format::kQ4);
      model.add(prefix + "router", {4, 64}, {}, DType::kFloat32);
    }
  }

  std::string all_bytes(const fs::path& folder) const {
    std::string bytes;
    const io::Shards shards = io::Shards::open(folder);
    for (const io::SafetensorsFile& file : shards.files()) bytes += io::read_file(file.path());
    return bytes;
  }
};

TEST_F(FolderWriterTest, WritesShardsInOrderThatReadBack) {
  const WrittenFolder written = write_folder(temporary / "out", model.tensors, options, threads);
  const io::Shards shards = io::Shards::open(temporary / "out");
  EXPECT_GT(shards.files().size(), 1u);
  EXPECT_EQ(*shards.index()->total_size, written.bytes);
  for (const io::SafetensorsFile& file : shards.files())
    EXPECT_EQ(io::sha256_of_file(file.path()), written.sums.at(file.path().filename().string()));
  std::string last_file;
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const SourceTensor& source = model.tensors[i];
    const WrittenTensor& figures = written.tensors[i];
    const Tensor stored = shards.tensor(figures.name);
    const std::string file = shards.file_of(figures.name)->path().filename().string();
    EXPECT_GE(file, last_file);
    last_file = file;
    EXPECT_EQ(stored.bytes(), figures.bytes);
    if (!source.format) {
      EXPECT_EQ(figures.name, source.name);
      EXPECT_EQ(stored.dtype(), source.dtype);
      EXPECT_EQ(figures.relative_error, 0);  // bfloat16 values stay what they are
      const Tensor floats = to_float32(stored);
      EXPECT_EQ(std::memcmp(floats.raw(), model.values[i].data(), static_cast<size_t>(floats.bytes())), 0);
      continue;
    }
    EXPECT_EQ(figures.name, source.name + "." + std::string(name(*source.format)));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(stored.raw()) % 64, 0u) << figures.name;
    std::vector<float> back(model.values[i].size());
    dequantize_rows(*source.format, 64, static_cast<const std::byte*>(stored.raw()), 0, source.shape.dim(0),
                    back.data());
    double error = 0, square = 0;
    for (size_t k = 0; k < back.size(); ++k) {
      error += std::pow(static_cast<double>(back[k]) - model.values[i][k], 2);
      square += std::pow(static_cast<double>(model.values[i][k]), 2);
    }
    EXPECT_NEAR(figures.relative_error, std::sqrt(error / square), 1e-9);
    EXPECT_LT(figures.relative_error, source.format == Format::kQ8 ? 0.01 : 0.12);
  }
}

TEST_F(FolderWriterTest, OneShardNeedsNoIndex) {
  options.shard_bytes = 1 << 30;
  write_folder(temporary / "out", model.tensors, options, threads);
  EXPECT_TRUE(fs::exists(temporary / "out" / "model.safetensors"));
  EXPECT_FALSE(fs::exists(temporary / "out" / "model.safetensors.index.json"));
  finish_folder(temporary / "out");
  EXPECT_FALSE(fs::exists(temporary / "out" / kUnfinishedName));
}

TEST_F(FolderWriterTest, ThreadsDoNotMatter) {
  ThreadPool one(1);
  write_folder(temporary / "a", model.tensors, options, threads);
  write_folder(temporary / "b", model.tensors, options, one);
  EXPECT_EQ(all_bytes(temporary / "a"), all_bytes(temporary / "b"));
}

TEST_F(FolderWriterTest, GoesOnWhereItWasInterrupted) {
  write_folder(temporary / "whole", model.tensors, options, threads);
  struct Interrupted {};
  WriteOptions stopping = options;
  stopping.progress = [](const WriteProgress& progress) {
    if (progress.done_bytes > progress.total_bytes / 2) throw Interrupted{};
  };
  EXPECT_THROW(write_folder(temporary / "out", model.tensors, stopping, threads), Interrupted);
  EXPECT_TRUE(fs::exists(temporary / "out" / kUnfinishedName));
  EXPECT_FALSE(fs::exists(temporary / "out" / "model.safetensors.index.json"));

  int64_t fresh = 0;
  options.progress = [&](const WriteProgress& progress) { fresh = progress.fresh_bytes; };
  const WrittenFolder written = write_folder(temporary / "out", model.tensors, options, threads);
  EXPECT_GT(written.resumed_shards, 0);
  EXPECT_LT(fresh, written.bytes);
  EXPECT_EQ(all_bytes(temporary / "out"), all_bytes(temporary / "whole"));
  for (const WrittenTensor& tensor : written.tensors) {
    if (tensor.format == "q4") {
      EXPECT_GT(tensor.relative_error, 0) << tensor.name;
    }
  }
}

TEST_F(FolderWriterTest, AShardThatIsDamagedIsWrittenAgain) {
  write_folder(temporary / "out", model.tensors, options, threads);
  const std::string whole = all_bytes(temporary / "out");
  const fs::path shard = io::Shards::open(temporary / "out").files()[1].path();
  fs::resize_file(shard, fs::file_size(shard) - 1);
  const WrittenFolder written = write_folder(temporary / "out", model.tensors, options, threads);
  EXPECT_EQ(written.resumed_shards,
            static_cast<int64_t>(written.sums.size()) - 2);  // all but one; one sum is the index's
  EXPECT_EQ(all_bytes(temporary / "out"), whole);
}

TEST_F(FolderWriterTest, RefusesFoldersThatAreNotItsOwn) {
  fs::create_directories(temporary / "full");
  io::write_file(temporary / "full" / "notes.txt", "mine");
  EXPECT_THAT(error_of([&] { write_folder(temporary / "full", model.tensors, options, threads); }),
              HasSubstr("full: there is something already"));
  write_folder(temporary / "out", model.tensors, options, threads);
  options.settings = "another model";
  EXPECT_THAT(error_of([&] { write_folder(temporary / "out", model.tensors, options, threads); }),
              HasSubstr("out: was begun with other settings"));
  io::write_file(temporary / "out" / kUnfinishedName, "{\"settings\": 7}");
  EXPECT_THAT(error_of([&] { write_folder(temporary / "out", model.tensors, options, threads); }),
              HasSubstr("\"settings\" is 7 (number), expected a string"));
}

TEST_F(FolderWriterTest, NamesATensorThatCannotBeQuantized) {
  model.values[5][40 * 64 + 3] = INFINITY;
  EXPECT_THAT(error_of([&] { write_folder(temporary / "out", model.tensors, options, threads); }),
              HasSubstr("tensor \"layers.1.q\": weight 3 of a row is inf, expected a finite number"));
}

TEST_F(FolderWriterTest, ReleasesEachTensorOnce) {
  int released = 0;
  for (SourceTensor& tensor : model.tensors) tensor.release = [&] { ++released; };
  write_folder(temporary / "out", model.tensors, options, threads);
  EXPECT_EQ(released, static_cast<int>(model.tensors.size()));
}

}  // namespace
}  // namespace minimax::quant
