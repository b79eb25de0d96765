#include "model/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "io/atomic_file.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "io/test_folder.h"

namespace minimax {
namespace {

namespace fs = std::filesystem;
using io::NamedTensor;
using test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<std::string> kGolden = {"m1-tiny", "m1-tiny-f32", "m1-tiny-plain", "m1-tiny-long", "m1-tiny-grad"};

fs::path golden(const std::string& name) {
  return fs::path(MINIMAX_TESTDATA) / "golden" / name;
}

std::string unzipped(const fs::path& path) {
  const gzFile file = gzopen(path.c_str(), "rb");
  std::string text(4 << 20, '\0');
  text.resize(static_cast<size_t>(gzread(file, text.data(), static_cast<unsigned>(text.size()))));
  gzclose(file);
  return text;
}

bool same(const Tensor& a, const Tensor& b) {
  return a.defined() && a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0;
}

// A small model without files, and its weights filled with different numbers.
ModelConfig small_config() {
  ModelConfig config;
  config.vocab = 10;
  config.hidden = 6;
  config.ffn = 4;
  config.layers = 2;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 4;
  config.rotary_dim = 2;
  config.layer_kind = {LayerKind::kLightning, LayerKind::kSoftmax};
  config.experts = 2;
  config.top_k = 1;
  return config;
}
std::vector<NamedTensor> random_weights(const ModelConfig& config) {
  std::vector<NamedTensor> weights;
  float next = 0;
  for (const ExpectedTensor& expected : expected_tensors(config)) {
    Tensor tensor = Tensor::empty(expected.shape, DType::kFloat32);
    for (float& value : tensor.span<float>()) value = next += 1;
    weights.push_back({expected.name, tensor});
  }
  return weights;
}
void save(const fs::path& folder, const ModelConfig& config, const std::vector<NamedTensor>& weights) {
  io::write_file(folder / "config.json", write_config(config));
  io::write_safetensors(folder / "model.safetensors", weights);
}
NamedTensor& named(std::vector<NamedTensor>& weights, std::string_view name) {
  return *std::find_if(weights.begin(), weights.end(), [&](const NamedTensor& w) { return w.name == name; });
}

// Stacks the experts of m1-tiny as the native class does, under its names.
std::vector<NamedTensor> to_native(const Checkpoint& published) {
  const ModelConfig& config = published.config();
  std::vector<NamedTensor> native;
  for (const ExpectedTensor& expected : expected_tensors(config)) {
    if (expected.expert >= 0) continue;
    const Tensor tensor = published.tensor(expected.name);
    native.push_back({expected.router ? layer_name(expected.layer, "mlp.gate.weight") : expected.name, tensor});
  }
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const DType dtype = published.tensor(expert_name(layer, 0, "w1")).dtype();
    const Tensor gate_up = Tensor::empty({config.experts, 2 * config.ffn, config.hidden}, dtype);
    const Tensor down = Tensor::empty({config.experts, config.hidden, config.ffn}, dtype);
    const auto put = [](const Tensor& from, void*& to) {
      std::memcpy(to, from.raw(), static_cast<size_t>(from.bytes()));
      to = static_cast<char*>(to) + from.bytes();
    };
    void* next_gate_up = gate_up.raw();
    void* next_down = down.raw();
    for (int64_t expert = 0; expert < config.experts; ++expert) {
      put(published.tensor(expert_name(layer, expert, "w1")), next_gate_up);
      put(published.tensor(expert_name(layer, expert, "w3")), next_gate_up);
      put(published.tensor(expert_name(layer, expert, "w2")), next_down);
    }
    native.push_back({layer_name(layer, "mlp.experts.gate_up_proj"), gate_up});
    native.push_back({layer_name(layer, "mlp.experts.down_proj"), down});
    if (config.layer_kind[static_cast<size_t>(layer)] != LayerKind::kLightning) continue;
    native.push_back({layer_name(layer, "self_attn.slope_rate"), Tensor::zeros({config.heads, 1, 1}, dtype)});
    native.push_back({layer_name(layer, "self_attn.query_decay"), Tensor::zeros({config.heads, 8, 1}, dtype)});
    native.push_back({layer_name(layer, "self_attn.key_decay"), Tensor::zeros({config.heads, 8, 1}, dtype)});
    native.push_back({layer_name(layer, "self_attn.diagonal_decay"), Tensor::zeros({1, config.heads, 8, 8}, dtype)});
  }
  return native;
}

TEST(TensorNames, ThePublishedModelHas8243) {
  const ModelConfig config = read_config(MINIMAX_TESTDATA "/m1");
  const std::vector<ExpectedTensor> tensors = expected_tensors(config);
  EXPECT_EQ(tensors.size(), 8243u);
  EXPECT_EQ(parameter_count(config), 456'089'655'296);
  EXPECT_EQ(weight_bytes(config), 912'210'767'872);
  std::map<std::string, Shape> shapes;
  for (const ExpectedTensor& tensor : tensors) shapes.emplace(tensor.name, tensor.shape);
  for (const auto& [name, shape] :
       std::map<std::string, Shape>{{"model.embed_tokens.weight", {200064, 6144}},
                                    {"model.layers.0.input_layernorm.weight", {6144}},
                                    {"model.layers.79.post_attention_layernorm.weight", {6144}},
                                    {"model.layers.78.self_attn.qkv_proj.weight", {24576, 6144}},
                                    {"model.layers.78.self_attn.output_gate.weight", {8192, 6144}},
                                    {"model.layers.78.self_attn.norm.weight", {8192}},
                                    {"model.layers.78.self_attn.out_proj.weight", {6144, 8192}},
                                    {"model.layers.79.self_attn.q_proj.weight", {8192, 6144}},
                                    {"model.layers.79.self_attn.k_proj.weight", {1024, 6144}},
                                    {"model.layers.7.self_attn.v_proj.weight", {1024, 6144}},
                                    {"model.layers.7.self_attn.o_proj.weight", {6144, 8192}},
                                    {"model.layers.7.block_sparse_moe.gate.weight", {32, 6144}},
                                    {"model.layers.7.block_sparse_moe.experts.31.w1.weight", {9216, 6144}},
                                    {"model.layers.7.block_sparse_moe.experts.31.w3.weight", {9216, 6144}},
                                    {"model.layers.7.block_sparse_moe.experts.31.w2.weight", {6144, 9216}},
                                    {"model.norm.weight", {6144}},
                                    {"lm_head.weight", {200064, 6144}}})
    EXPECT_EQ(shapes.at(name), shape) << name;
}

TEST(Inspect, ThePublishedConfigAndIndexWithoutShards) {
  test::Folder folder;
  fs::copy(fs::path(MINIMAX_TESTDATA) / "m1/config.json", folder.path());
  io::write_file(folder / "model.safetensors.index.json",
                 unzipped(MINIMAX_TESTDATA "/m1/model.safetensors.index.json.gz"));
  const CheckpointReport report = inspect_checkpoint(folder.path());
  EXPECT_EQ(report.expected_tensors, 8243);
  EXPECT_EQ(report.parameters, 456'089'655'296);
  EXPECT_EQ(report.index_bytes, 912'210'767'872);
  EXPECT_EQ(report.files, 413);
  EXPECT_EQ(report.opened_files, 0);
  EXPECT_THAT(report.missing, IsEmpty());
  EXPECT_THAT(report.unexpected, IsEmpty());
  EXPECT_THAT(report.ignored, IsEmpty());
  EXPECT_THAT(report.problems, ElementsAre(HasSubstr("413 of 413 shards are missing: model-00000-of-00413")));
  EXPECT_THAT(error_of([&] { Checkpoint::open(folder.path()); }), HasSubstr("413 of 413 shards are missing"));
}

TEST(Checkpoint, OpensEveryGoldenModelUnderBothConfigs) {
  for (const std::string& name : kGolden)
    for (const char* config_name : {"config.json", "config_native.json"}) {
      test::Folder folder;
      for (const auto& entry : fs::directory_iterator(golden(name)))
        if (!entry.path().filename().string().starts_with("config"))
          fs::create_symlink(entry.path(), folder.path() / entry.path().filename());
      fs::copy(golden(name) / config_name, folder / "config.json");
      const CheckpointReport report = inspect_checkpoint(folder.path());
      EXPECT_THAT(report.problems, IsEmpty()) << name;
      EXPECT_THAT(report.unexpected, IsEmpty()) << name;
      EXPECT_EQ(report.config->layers, Checkpoint::open(folder.path()).config().layers);
      int64_t elements = 0;
      for (const auto& [dtype, amount] : report.by_dtype) elements += amount.elements;
      EXPECT_EQ(report.parameters, elements) << name;
      const Checkpoint checkpoint = Checkpoint::open(folder.path());
      const io::Shards shards = io::Shards::open(golden(name));
      for (const ExpectedTensor& tensor : expected_tensors(checkpoint.config()))
        EXPECT_TRUE(same(checkpoint.tensor(tensor.name), shards.tensor(tensor.name))) << name << " " << tensor.name;
    }
}

TEST(Checkpoint, WeightsAreViewsOfTheFilesAndOutliveTheCheckpoint) {
  Tensor w2;
  {
    const Checkpoint checkpoint = Checkpoint::open(golden("m1-tiny"));
    w2 = checkpoint.layer(3).experts[5].down.data;
    const std::string name = expert_name(3, 5, "w2");
    const std::span<const std::byte> bytes = checkpoint.shards().file_of(name)->file().bytes();
    EXPECT_TRUE(w2.raw() > bytes.data() && w2.raw() < bytes.data() + bytes.size());
  }
  EXPECT_TRUE(same(w2, Checkpoint::open(golden("m1-tiny")).tensor(expert_name(3, 5, "w2"))));
}

TEST(Checkpoint, OpeningTenGigabytesTouchesNoMemory) {
  ModelConfig config = small_config();
  config.vocab = 215'000'000;
  std::string header = "{";
  int64_t filled = 0;
  for (const ExpectedTensor& tensor : expected_tensors(config)) {
    const int64_t end = filled + 4 * tensor.shape.elements();
    header += cat(header.size() > 1 ? "," : "", "\"", tensor.name, "\":{\"dtype\":\"F32\",\"shape\":", tensor.shape,
                  ",\"data_offsets\":[", filled, ",", end, "]}");
    filled = end;
  }
  header += "}";
  ASSERT_GT(filled, 10'000'000'000);
  test::Folder folder;
  const uint64_t length = header.size();
  io::write_file(folder / "model.safetensors", std::string(reinterpret_cast<const char*>(&length), 8) + header);
  fs::resize_file(folder / "model.safetensors", 8 + length + static_cast<uint64_t>(filled));  // sparse
  io::write_file(folder / "config.json", write_config(config));

  const auto resident_bytes = [] {
    std::ifstream statm("/proc/self/statm");
    int64_t total_pages = 0, resident_pages = 0;
    statm >> total_pages >> resident_pages;
    return resident_pages * ::sysconf(_SC_PAGESIZE);
  };
  const int64_t before = resident_bytes();
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint.head().outputs(), config.vocab);
  EXPECT_EQ(checkpoint.layer(1).experts[1].up.inputs(), 6);
  EXPECT_LT(resident_bytes() - before, 8 << 20);
}

TEST(Checkpoint, LayersHoldTheWeightsOfTheirKind) {
  const Checkpoint checkpoint = Checkpoint::open(golden("m1-tiny"), {.mmap = false});
  const ModelConfig& config = checkpoint.config();
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const LayerWeights weights = checkpoint.layer(layer);
    EXPECT_EQ(weights.kind, config.layer_kind[static_cast<size_t>(layer)]);
    const bool lightning = weights.kind == LayerKind::kLightning;
    EXPECT_EQ(weights.attention_norm.shape(), Shape({config.hidden}));
    EXPECT_TRUE(same(weights.moe_norm, checkpoint.tensor(layer_name(layer, "post_attention_layernorm.weight"))));
    EXPECT_EQ(weights.qkv.data.defined(), lightning);
    EXPECT_EQ(weights.output_gate.data.defined(), lightning);
    EXPECT_EQ(weights.lightning_norm.defined(), lightning);
    EXPECT_EQ(weights.q.data.defined(), !lightning);
    EXPECT_EQ(weights.k.data.defined(), !lightning);
    EXPECT_EQ(weights.v.data.defined(), !lightning);
    EXPECT_EQ(weights.out.shape(), Shape({config.hidden, config.attention_dim()}));
    EXPECT_EQ(weights.router.data.dtype(), DType::kFloat32);
    ASSERT_EQ(weights.experts.size(), 8u);
    EXPECT_TRUE(same(weights.experts[7].gate.data, checkpoint.tensor(expert_name(layer, 7, "w1"))));
    EXPECT_TRUE(same(weights.experts[7].up.data, checkpoint.tensor(expert_name(layer, 7, "w3"))));
    EXPECT_TRUE(same(weights.experts[7].down.data, checkpoint.tensor(expert_name(layer, 7, "w2"))));
    EXPECT_FALSE(weights.shared.gate.data.defined());
  }
  EXPECT_EQ(checkpoint.embedding().shape(), Shape({config.vocab, config.hidden}));
  EXPECT_EQ(checkpoint.final_norm().shape(), Shape({config.hidden}));
  EXPECT_FALSE(same(checkpoint.head().data, checkpoint.embedding().data));
  EXPECT_THAT(error_of([&] { checkpoint.layer(8); }), HasSubstr("layer 8 of a model with 8"));
  EXPECT_THAT(error_of([&] { checkpoint.tensor("x"); }), HasSubstr("this model has no weight \"x\""));
}

TEST(Checkpoint, FusedNativeFilesGiveTheSameTensors) {
  const Checkpoint published = Checkpoint::open(golden("m1-tiny"));
  test::Folder folder;
  fs::copy(golden("m1-tiny") / "config_native.json", folder / "config.json");
  io::write_safetensors(folder / "model.safetensors", to_native(published));
  const Checkpoint native = Checkpoint::open(folder.path());
  for (const ExpectedTensor& tensor : expected_tensors(published.config()))
    EXPECT_TRUE(same(native.tensor(tensor.name), published.tensor(tensor.name))) << tensor.name;
  // Slices of the fused tensor, not copies.
  const auto* gate = static_cast<char*>(native.tensor(expert_name(0, 1, "w1")).raw());
  const auto* up = static_cast<char*>(native.tensor(expert_name(0, 1, "w3")).raw());
  EXPECT_EQ(up - gate, native.tensor(expert_name(0, 1, "w1")).bytes());

  const CheckpointReport report = inspect_checkpoint(folder.path());
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_THAT(report.unexpected, IsEmpty());
  EXPECT_EQ(report.ignored.size(), 7u * 4);
}

TEST(Checkpoint, EverySpellingOfAnExpertIsRead) {
  const ModelConfig config = small_config();
  const std::vector<NamedTensor> weights = random_weights(config);
  const std::string published = "block_sparse_moe.";
  for (const std::map<std::string, std::string>& names : std::vector<std::map<std::string, std::string>>{
           {{published, "mlp."}},
           {{published, "mlp."}, {"w1", "gate_proj"}, {"w3", "up_proj"}, {"w2", "down_proj"}},
           {{"w1", "gate_proj"}, {"w3", "up_proj"}, {"w2", "down_proj"}}}) {
    std::vector<NamedTensor> renamed = weights;
    for (NamedTensor& weight : renamed)
      for (const auto& [from, to] : names)
        if (const size_t at = weight.name.find(from); at != std::string::npos) weight.name.replace(at, from.size(), to);
    test::Folder folder;
    save(folder.path(), config, renamed);
    const Checkpoint checkpoint = Checkpoint::open(folder.path());
    for (const NamedTensor& weight : weights) EXPECT_TRUE(same(checkpoint.tensor(weight.name), weight.tensor));
  }
}

TEST(Checkpoint, TiedEmbeddingsNeedNoHeadAndIgnoreOne) {
  ModelConfig config = small_config();
  std::vector<NamedTensor> weights = random_weights(config);
  config.tied_embeddings = true;
  test::Folder folder;
  save(folder.path(), config, weights);
  EXPECT_THAT(inspect_checkpoint(folder.path()).ignored, ElementsAre("lm_head.weight"));
  weights.pop_back();
  save(folder.path(), config, weights);
  EXPECT_EQ(inspect_checkpoint(folder.path()).parameters, parameter_count(small_config()) - 60);
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_TRUE(same(checkpoint.head().data, checkpoint.embedding().data));
}

TEST(Checkpoint, PackedMatricesAreFoundUnderTheirFormat) {
  const ModelConfig config = small_config();
  test::Folder folder;
  std::vector<NamedTensor> weights = random_weights(config);
  const std::string name = expert_name(1, 1, "w3");
  NamedTensor& stored = named(weights, name);
  stored.name = name + ".q4";
  const auto packed_as = [&](int64_t outputs) {
    const Tensor panels =
        Tensor::zeros({quant::panel_count(outputs), quant::panel_bytes(quant::Format::kQ4, 6)}, DType::kUInt8);
    panels.data<uint8_t>()[0] = 5;
    stored.tensor = panels;
    save(folder.path(), config, weights);
  };
  packed_as(4);
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  const Weight weight = checkpoint.layer(1).experts[1].up;
  EXPECT_EQ(weight.format, quant::Format::kQ4);
  EXPECT_EQ(weight.shape(), Shape({4, 6}));
  EXPECT_TRUE(same(weight.data, stored.tensor));
  EXPECT_FALSE(checkpoint.layer(1).experts[0].up.format);
  EXPECT_THAT(error_of([&] { checkpoint.tensor(name); }), HasSubstr("is packed as q4, expected a dense tensor"));
  EXPECT_THAT(inspect_checkpoint(folder.path()).problems, IsEmpty());
  packed_as(40);
  EXPECT_THAT(error_of([&] { Checkpoint::open(folder.path()); }),
              HasSubstr(name + ".q4\" is [2, 768], expected [1, 768]"));
}

TEST(Checkpoint, SharedExpertMustFitItsSize) {
  ModelConfig config = small_config();
  config.shared_ffn = 3;
  test::Folder folder;
  std::vector<NamedTensor> weights = random_weights(config);
  save(folder.path(), config, weights);
  const LayerWeights layer = Checkpoint::open(folder.path()).layer(1);
  EXPECT_EQ(layer.shared.gate.shape(), Shape({3, 6}));
  EXPECT_EQ(layer.shared.up.shape(), Shape({3, 6}));
  EXPECT_EQ(layer.shared.down.shape(), Shape({6, 3}));
  EXPECT_EQ(layer.shared_coefficient.shape(), Shape({1, 6}));
  config.shared_ffn = 5;  // as when files were made with the width of the routed experts
  save(folder.path(), config, weights);
  EXPECT_THAT(error_of([&] { Checkpoint::open(folder.path()); }),
              HasSubstr("tensor \"model.layers.0.shared_mlp.gate_proj.weight\" is [3, 6], expected [5, 6]"));
}

TEST(Checkpoint, MissingWeightsAreListedAndCounted) {
  const ModelConfig config = small_config();
  std::vector<NamedTensor> weights = random_weights(config);
  test::Folder folder;
  std::erase_if(weights, [](const NamedTensor& w) { return w.name.find("experts.1.w") != std::string::npos; });
  save(folder.path(), config, weights);
  EXPECT_THAT(error_of([&] { Checkpoint::open(folder.path()); }),
              HasSubstr("6 weights of 29 are missing: model.layers.0.block_sparse_moe.experts.1.w1.weight, model."));
  weights.resize(4);
  save(folder.path(), config, weights);
  EXPECT_THAT(error_of([&] { Checkpoint::open(folder.path()); }), HasSubstr(", ... (25 in all)"));
  EXPECT_EQ(inspect_checkpoint(folder.path()).missing.size(), 25u);
}

TEST(Checkpoint, WrongShapesAndTypesAreNamed) {
  const ModelConfig config = small_config();
  std::vector<NamedTensor> weights = random_weights(config);
  test::Folder folder;
  named(weights, "model.norm.weight").tensor = Tensor::zeros({7}, DType::kFloat32);
  save(folder.path(), config, weights);
  EXPECT_THAT(error_of([&] { Checkpoint::open(folder.path()); }),
              HasSubstr("model.safetensors: tensor \"model.norm.weight\" is [7], expected [6] by config.json"));
  named(weights, "model.norm.weight").tensor = Tensor::zeros({6}, DType::kInt32);
  named(weights, "lm_head.weight").tensor = Tensor::zeros({10, 7}, DType::kFloat32);
  save(folder.path(), config, weights);
  EXPECT_THAT(error_of([&] { Checkpoint::open(folder.path()); }),
              HasSubstr("\"model.norm.weight\" is I32, expected BF16, F16 or F32 (and 1 more problems)"));
  EXPECT_EQ(inspect_checkpoint(folder.path()).problems.size(), 2u);
}

TEST(Checkpoint, UnknownTensorsAreReportedAndQuantizedOnesRefused) {
  const ModelConfig config = small_config();
  std::vector<NamedTensor> weights = random_weights(config);
  test::Folder folder;
  weights.push_back({"model.extra", Tensor::zeros({1}, DType::kFloat32)});
  weights.push_back({"model.layers.1.self_attn.rotary_emb.inv_freq", Tensor::zeros({1}, DType::kFloat32)});
  save(folder.path(), config, weights);
  EXPECT_EQ(Checkpoint::open(folder.path()).config().layers, 2);
  EXPECT_THAT(inspect_checkpoint(folder.path()).unexpected, ElementsAre("model.extra"));
  const std::string scale = expert_name(0, 0, "w1") + "_scale";
  weights.push_back({scale, Tensor::zeros({4}, DType::kFloat32)});
  save(folder.path(), config, weights);
  EXPECT_THAT(error_of([&] { Checkpoint::open(folder.path()); }),
              HasSubstr("quantized in a format that cannot be read yet: " + scale));
  EXPECT_THAT(inspect_checkpoint(folder.path()).unsupported, ElementsAre(scale));
}

TEST(Inspect, ToleratesAFolderOfAnyState) {
  test::Folder folder;
  EXPECT_EQ(inspect_checkpoint(folder.path()).problems.size(), 2u);  // no config, no weights
  EXPECT_EQ(inspect_checkpoint(folder / "none").problems.size(), 2u);
  io::write_file(folder / "config.json", R"({"model_type": "llama"})");
  const std::vector<NamedTensor> weights = random_weights(small_config());
  io::write_safetensors(folder / "model.safetensors", weights);
  const CheckpointReport report = inspect_checkpoint(folder.path());
  EXPECT_THAT(report.problems, ElementsAre(HasSubstr("\"model_type\" is \"llama\"")));
  EXPECT_EQ(report.by_dtype.at("F32").tensors, static_cast<int64_t>(weights.size()));
  EXPECT_EQ(report.by_dtype.at("F32").bytes, 4 * report.by_dtype.at("F32").elements);
  save(folder.path(), small_config(), weights);
  fs::resize_file(folder / "model.safetensors", 3000);
  EXPECT_THAT(inspect_checkpoint(folder.path()).problems[0], HasSubstr("(is it truncated?)"));
}

TEST(WriteConfig, AModelWrittenAndOpenedIsTheSame) {
  const ModelConfig config = small_config();
  test::Folder folder;
  const std::vector<NamedTensor> weights = random_weights(config);
  save(folder.path(), config, weights);
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint.config(), config);
  for (const NamedTensor& weight : weights) EXPECT_TRUE(same(checkpoint.tensor(weight.name), weight.tensor));
}

}  // namespace
}  // namespace minimax
