#include "model/quantize_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "io/atomic_file.h"
#include "io/file.h"
#include "io/json.h"
#include "io/sha256.h"
#include "io/test_folder.h"
#include "model/load.h"
#include "model/parameters.h"

namespace minimax {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using testing::HasSubstr;

const fs::path kGolden = MINIMAX_TESTDATA "/golden/m1-tiny";

ModelConfig m1_config() {
  return read_config(MINIMAX_TESTDATA "/m1");
}

quant::Recipe recipe(std::string_view text) {
  return quant::Recipe::parse(text, "--type");
}

TEST(QuantizedBytes, OfTheFullModel) {
  const ModelConfig config = m1_config();
  const int64_t parameters = parameter_count(config);
  EXPECT_EQ(quantized_bytes(config, recipe("keep")), weight_bytes(config));
  const auto bits = [&](std::string_view text) {
    return static_cast<double>(quantized_bytes(config, recipe(text))) * 8 / static_cast<double>(parameters);
  };
  EXPECT_NEAR(bits("q4"), 4.25 + 2 * 200064 * 6144.0 / static_cast<double>(parameters) * 4.25, 0.01);
  EXPECT_NEAR(bits("q8"), 8.5, 0.01);
  EXPECT_LT(bits("experts=q4,attention=q8,head=bf16"), 5.5);
}

TEST(QuantizedBytes, TheBestRecipeThatFits) {
  const ModelConfig config = m1_config();
  EXPECT_EQ(recipe_that_fits(config, int64_t{1000} << 30).text(), "keep");
  EXPECT_EQ(recipe_that_fits(config, int64_t{300'000'000'000}).text(), "q6,experts=q5");
  EXPECT_EQ(recipe_that_fits(config, int64_t{250'000'000'000}).text(), "q6,experts=q4");
  EXPECT_THAT(error_of([&] { recipe_that_fits(config, int64_t{24} << 30); }), HasSubstr("more than the 25769803776"));
}

TEST(QuantizeCheckpoint, RoutersAndNormsHaveNoRole) {
  int64_t with_role = 0;
  for (const ExpectedTensor& tensor : expected_tensors(m1_config())) {
    const bool matrix = role_of(tensor).has_value();
    with_role += matrix;
    EXPECT_EQ(matrix, tensor.shape.rank() == 2 && tensor.name.find("moe.gate.weight") == std::string::npos)
        << tensor.name;
  }
  EXPECT_EQ(with_role, 2 + 70 * 3 + 10 * 4 + 80 * 32 * 3);
}

struct QuantizeTest : testing::Test {
  test::Folder temporary;
  ThreadPool threads{2};
  Checkpoint checkpoint = Checkpoint::open(kGolden);
};

TEST_F(QuantizeTest, WritesAWholeModelFolder) {
  const quant::WrittenFolder written = quantize_checkpoint(checkpoint, kGolden, temporary / "out",
                                                           recipe("q4,attention=q8,embedding=keep"), {}, {}, threads);
  const fs::path out = temporary / "out";
  EXPECT_FALSE(fs::exists(out / quant::kUnfinishedName));
  EXPECT_EQ(io::read_sums(out), written.sums);
  for (const auto& [name, sum] : written.sums) EXPECT_EQ(io::sha256_of_file(out / name), sum) << name;

  const auto config = io::read_json_file(out / "config.json");
  const io::JsonField quantization = io::JsonField(config, "config.json")["quantization_config"];
  EXPECT_EQ(quantization["quant_method"].string(), "minimax");
  EXPECT_EQ(quantization["version"].integer(), 1);
  EXPECT_EQ(quantization["recipe"].string(), "q4,attention=q8,embedding=keep");
  const int64_t experts = 3 * checkpoint.config().experts * checkpoint.config().layers;
  EXPECT_EQ(quantization["formats"]["q4"]["tensors"].integer(), experts);

  const io::Shards shards = io::Shards::open(out);
  for (const ExpectedTensor& expected : expected_tensors(checkpoint.config())) {
    const Tensor original = checkpoint.tensor(expected.name);
    const auto role = role_of(expected);
    if (!role || *role == quant::Role::kEmbedding) {
      const Tensor stored = shards.tensor(expected.name);
      EXPECT_EQ(stored.dtype(), original.dtype());
      EXPECT_EQ(std::memcmp(stored.raw(), original.raw(), static_cast<size_t>(stored.bytes())), 0) << expected.name;
      continue;
    }
    const bool four_bits = *role == quant::Role::kExpert;
    const quant::Format format = four_bits ? quant::Format::kQ4 : quant::Format::kQ8;
    const Tensor stored = shards.tensor(expected.name + "." + std::string(name(format)));
    const Tensor floats = to_float32(original);
    std::vector<float> back(static_cast<size_t>(floats.elements()));
    quant::dequantize_rows(format, expected.shape.dim(1), static_cast<const std::byte*>(stored.raw()), 0,
                           expected.shape.dim(0), back.data());
    double error = 0, square = 0;
    for (int64_t i = 0; i < floats.elements(); ++i) {
      const float x = floats.data<float>()[i];
      error += (x - back[static_cast<size_t>(i)]) * (x - back[static_cast<size_t>(i)]);
      square += x * x;
    }
    EXPECT_LT(error, (four_bits ? 0.01 : 0.0001) * square) << expected.name;
  }
}

TEST_F(QuantizeTest, FactorsMultiplyRowsAndColumns) {
  const std::string up = expert_name(0, 1, "w3"), down = expert_name(0, 1, "w2");
  QuantizeHints hints;
  std::vector<float> rows(static_cast<size_t>(checkpoint.config().ffn), 1.0f);
  rows[3] = 4;
  std::vector<float> columns(rows.size(), 1.0f);
  columns[3] = 0.25f;
  hints.row_factors[up] = std::make_shared<const std::vector<float>>(rows);
  hints.column_factors[down] = std::make_shared<const std::vector<float>>(columns);
  quantize_checkpoint(checkpoint, kGolden, temporary / "out", recipe("keep"), hints, {}, threads);
  const io::Shards shards = io::Shards::open(temporary / "out");
  const Tensor up_then = to_float32(checkpoint.tensor(up)), up_now = to_float32(shards.tensor(up));
  const Tensor down_then = to_float32(checkpoint.tensor(down)), down_now = to_float32(shards.tensor(down));
  EXPECT_EQ(up_now.rows(3, 4).data<float>()[5], 4 * up_then.rows(3, 4).data<float>()[5]);
  EXPECT_EQ(up_now.rows(4, 5).data<float>()[5], up_then.rows(4, 5).data<float>()[5]);
  EXPECT_EQ(down_now.rows(7, 8).data<float>()[3], 0.25f * down_then.rows(7, 8).data<float>()[3]);
  EXPECT_EQ(down_now.rows(7, 8).data<float>()[4], down_then.rows(7, 8).data<float>()[4]);
}

TEST_F(QuantizeTest, AModelInMemoryGetsTheSameBytes) {
  const quant::Recipe mixed = recipe("q4,attention=q6,head=q8,layers\\.1\\..*experts\\.0=mxfp4");
  quantize_checkpoint(checkpoint, kGolden, temporary / "out", mixed, {}, {}, threads);
  MiniMaxM1 stored = load_model(temporary / "out");
  MiniMaxM1 model = load_model(kGolden);
  quantize_weights(model, mixed, threads);
  const std::vector<Parameter> expected = parameters(stored), found = parameters(model);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].value.shape(), expected[i].value.shape()) << found[i].name;
    EXPECT_EQ(std::memcmp(found[i].value.raw(), expected[i].value.raw(), static_cast<size_t>(found[i].value.bytes())),
              0)
        << found[i].name;
  }
  EXPECT_THAT(error_of([&] { quantize_weights(model, recipe("q4,nothing=q8"), threads); }),
              HasSubstr("the rule \"nothing=q8\" fits no matrix"));
}

TEST_F(QuantizeTest, WhatIsPackedIsNotPackedAgain) {
  quantize_checkpoint(checkpoint, kGolden, temporary / "out", recipe("q8"), {}, {}, threads);
  EXPECT_THAT(error_of([&] {
                quantize_checkpoint(Checkpoint::open(temporary / "out"), temporary / "out", temporary / "again",
                                    recipe("q4"), {}, {}, threads);
              }),
              HasSubstr("is quantized already; expected the original weights"));
}

TEST_F(QuantizeTest, HostilePackedFilesAreRefusedByName) {
  quantize_checkpoint(checkpoint, kGolden, temporary / "out", recipe("q4"), {}, {}, threads);
  const fs::path file = temporary / "out" / "model.safetensors";
  const std::string whole = io::read_file(file);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = whole;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    io::write_file(file, text);
    return error_of([&] { load_model(temporary / "out"); });
  };
  // Names of equal length, so that the header keeps its own.
  EXPECT_THAT(with("experts.0.w1.weight.q4", "experts.0.w1.weight.q5"), HasSubstr("expected ["));
  EXPECT_THAT(with("experts.0.w1.weight.q4", "experts.0.w1.weight.q9"), HasSubstr("1 weights of"));
  EXPECT_THAT(with("block_sparse_moe.gate.weight\"", "block_sparse_moe.gate.wei.q4\"  "), testing::Not("(no error)"));
  io::write_file(file, whole.substr(0, whole.size() - 1));
  EXPECT_THAT(error_of([&] { load_model(temporary / "out"); }), HasSubstr("model.safetensors"));
}

TEST_F(QuantizeTest, CopiesWhatIsNoWeight) {
  const fs::path from = temporary / "from";
  fs::create_directories(from);
  for (const char* name : {"config.json", "model.safetensors"})
    if (fs::exists(kGolden / name)) fs::copy_file(kGolden / name, from / name);
  for (const auto& entry : fs::directory_iterator(kGolden)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("model") && !fs::exists(from / name)) fs::copy_file(entry.path(), from / name);
  }
  io::write_file(from / "tokenizer.json", "{}");
  io::write_file(from / "chat_template.jinja", "{{ messages }}");
  io::write_file(from / "pytorch_model.bin", "old weights");
  fs::create_directories(from / "figures");
  quantize_checkpoint(Checkpoint::open(from), from, temporary / "out", recipe("q8"), {}, {}, threads);
  EXPECT_EQ(io::read_file(temporary / "out" / "tokenizer.json"), "{}");
  EXPECT_EQ(io::read_file(temporary / "out" / "chat_template.jinja"), "{{ messages }}");
  EXPECT_FALSE(fs::exists(temporary / "out" / "pytorch_model.bin"));
  EXPECT_FALSE(fs::exists(temporary / "out" / "figures"));
}

TEST_F(QuantizeTest, SaysWhatCannotBe) {
  const auto problem = [&](std::string_view text) {
    return error_of(
        [&] { quantize_checkpoint(checkpoint, kGolden, temporary / "new", recipe(text), {}, {}, threads); });
  };
  EXPECT_THAT(problem("q4,layers\\.77\\.=q8"), HasSubstr("the rule \"layers\\.77\\.=q8\" fits no matrix"));
  EXPECT_THAT(problem("moe\\.gate\\.weight=q8"), HasSubstr("fits no matrix of this model that can be quantized"));
  EXPECT_THAT(problem("head=experts-int8"), HasSubstr("which is for experts"));
  fs::create_directories(temporary / "model");
  io::write_file(temporary / "model" / "config.json", "{}");
  EXPECT_THAT(
      error_of([&] { quantize_checkpoint(checkpoint, kGolden, temporary / "model", recipe("q8"), {}, {}, threads); }),
      HasSubstr("there is a model already"));
}

}  // namespace
}  // namespace minimax
