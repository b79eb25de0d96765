// Whole models with packed weights: the same bits however a prompt is cut, and numbers near those of dense weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "model/quantize_weights.h"
#include "model/random.h"
#include "model/shapes.h"
#include "quant/recipe.h"

namespace minimax {
namespace {

constexpr int64_t kVocab = 300;

struct Runner {
  explicit Runner(const MiniMaxM1& of, int thread_count, KvPrecision kv = KvPrecision::kFloat32)
      : model(of), threads(thread_count), ctx{.arena = &arena, .threads = &threads, .kv_precision = kv} {
    arena.poison();
    for (const LayerKind kind : model.config.layer_kind) {
      LayerCache& layer = caches.emplace_back();
      if (kind == LayerKind::kSoftmax)
        layer.kv = make_pages(ctx, 4, model.config.kv_heads, model.config.head_dim);
      else
        layer.lightning = make_slots(ctx, 1, model.config.heads, model.config.head_dim);
    }
  }

  /// Logits of all new positions: [ids, vocab].
  std::vector<float> forward(std::span<const int32_t> ids) {
    const auto count = static_cast<int64_t>(ids.size());
    std::vector<int32_t> positions(ids.size()), rows(ids.size());
    std::iota(positions.begin(), positions.end(), length);
    std::iota(rows.begin(), rows.end(), 0);
    const std::vector<int32_t> starts{0, static_cast<int32_t>(count)}, table{0, 1, 2, 3}, slot{0};
    const auto tensor = [](const std::vector<int32_t>& values, Shape shape) {
      return Tensor::from<int32_t>(values, shape);
    };
    const Batch batch{.tokens = Tensor::from<int32_t>(ids, {count}),
                      .positions = tensor(positions, {count}),
                      .cu_seqlens = tensor(starts, {2}),
                      .rows = tensor(rows, {count}),
                      .page_table = tensor(table, {1, 4}),
                      .slots = tensor(slot, {1}),
                      .on_device = nullptr};
    length += static_cast<int32_t>(count);
    const Tensor logits = model.forward(ctx, batch, caches);
    return {logits.span<float>().begin(), logits.span<float>().end()};
  }

  const MiniMaxM1& model;
  Arena arena;
  ThreadPool threads;
  Context ctx;
  std::vector<LayerCache> caches;
  int32_t length = 0;
};

std::vector<int32_t> prompt() {
  std::vector<int32_t> ids(150);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>((i * 7919 + 13) % kVocab);
  return ids;
}

double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0, square = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    square += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(error / square);
}

TEST(PackedModel, LogitsAreNearThoseOfDenseWeights) {
  ThreadPool threads(2);
  const MiniMaxM1 dense = random_model(small_shape("pico", kVocab), DType::kFloat32, 1, threads);
  const std::vector<int32_t> ids = prompt();
  const std::vector<float> expected = Runner(dense, 2).forward(ids);
  for (const auto& [format, most] : {std::pair{quant::Format::kQ8, 0.05},
                                     {quant::Format::kQ6, 0.1},
                                     {quant::Format::kQ5, 0.2},
                                     {quant::Format::kQ4, 0.4}}) {
    MiniMaxM1 packed = dense;
    quantize_weights(packed, [&](const std::string&) { return format; }, threads);
    EXPECT_EQ(packed.lm_head.format, format);
    EXPECT_EQ(packed.layers[1].moe.experts[3].up.format, format);
    const double error = relative_error(Runner(packed, 2).forward(ids), expected);
    EXPECT_LT(error, most) << quant::name(format);
    EXPECT_GT(error, 1e-4) << quant::name(format) << ": was it quantized at all?";
  }
}

TEST(PackedModel, BitsDoNotDependOnHowThePromptIsCut) {
  ThreadPool threads(2);
  for (const char* recipe : {"q4", "experts=mxfp4,attention=q5,embedding=q8,head=q6", "experts-int8"}) {
    const MiniMaxM1 model =
        random_packed_model(small_shape("pico", kVocab), quant::Recipe::parse(recipe, "test"), 1, threads);
    const std::vector<int32_t> ids = prompt();
    const KvPrecision kv = recipe[0] == 'q' ? KvPrecision::kInt8 : KvPrecision::kFloat32;
    const std::vector<float> whole = Runner(model, 1, kv).forward(ids);
    for (const std::vector<size_t>& cuts : {std::vector<size_t>{1, 2, 3, 144}, {63, 1, 1, 85}, {147, 1, 1, 1}}) {
      Runner runner(model, 3, kv);
      std::vector<float> pieces;
      size_t begin = 0;
      for (const size_t count : cuts) {
        const std::vector<float> logits = runner.forward(std::span(ids).subspan(begin, count));
        pieces.insert(pieces.end(), logits.begin(), logits.end());
        begin += count;
      }
      ASSERT_EQ(pieces.size(), whole.size());
      EXPECT_EQ(std::memcmp(pieces.data(), whole.data(), whole.size() * sizeof(float)), 0) << recipe;
    }
  }
}

TEST(PackedModel, DeadIdsAreFoundInPackedRows) {
  ThreadPool threads(1);
  MiniMaxM1 model = random_model(small_shape("pico", kVocab), DType::kFloat32, 2, threads);
  for (const int64_t id : {7, 299}) std::ranges::fill(model.lm_head.data.rows(id, id + 1).span<float>(), 0.0f);
  quantize_weights(model, [](const std::string&) { return quant::Format::kQ8; }, threads);
  EXPECT_EQ(model.dead_ids(), (std::vector<int32_t>{7, 299}));
}

}  // namespace
}  // namespace minimax
