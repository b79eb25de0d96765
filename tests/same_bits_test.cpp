// A token's logits are the same bits whatever company it is computed in (docs/design.md, P2).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "core/rng.h"
#include "model/random.h"
#include "test_model.h"

namespace minimax {
namespace {

using test::Runner;

/// Rows [first, first + count) of a and [0, count) of b.
void expect_same_bits(const std::vector<float>& a, const std::vector<float>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  size_t differing = 0;
  for (size_t i = 0; i < a.size(); ++i) differing += std::memcmp(&a[i], &b[i], sizeof(float)) != 0;
  EXPECT_EQ(differing, 0u) << what << ": of " << a.size() << " logits";
}

class SameBits : public testing::TestWithParam<const char*> {
 protected:
  SameBits() : model(load_model(test::golden_folder(GetParam()))) {
    const auto file = io::SafetensorsFile::open(test::golden_folder(GetParam()) / "io.safetensors");
    ids = test::ints(file.tensor("input_ids"));
    if (ids.size() > 333) ids.resize(333);  // five chunks and a bit
    Runner runner(model);
    whole = runner.run(ids, 1000000);
  }

  MiniMaxM1 model;
  std::vector<int32_t> ids;
  std::vector<float> whole;
};

TEST_P(SameBits, AnyChunkingOfThePrompt) {
  Runner runner(model);
  for (const int64_t piece : {1, 2, 7, 63, 64, 65, 100, 128, 200})
    expect_same_bits(runner.run(ids, piece), whole, "pieces of " + std::to_string(piece));
}

TEST_P(SameBits, AnyNumberOfThreads) {
  for (const int threads : {1, 2, 5}) {
    Runner runner(model, threads);
    expect_same_bits(runner.run(ids, 1000000), whole, std::to_string(threads) + " threads");
    expect_same_bits(runner.run(ids, 50), whole, std::to_string(threads) + " threads, pieces of 50");
  }
}

TEST_P(SameBits, MixedBatchOfEightSequences) {
  Runner runner(model);
  Rng rng(11);
  // Seven others of random ids and lengths, decoding or prefilling beside ours, which goes in random pieces.
  std::vector<engine::Sequence> others(7);
  for (engine::Sequence& other : others) other = runner.cache.open();
  engine::Sequence ours = runner.cache.open();
  std::vector<float> got;
  for (size_t begin = 0; begin < ids.size();) {
    const size_t end = std::min(ids.size(), begin + 1 + rng.below(90));
    std::vector<std::pair<engine::Sequence*, std::vector<int32_t>>> runs;
    const size_t place = rng.below(8);
    size_t row = 0, our_row = 0;
    for (size_t i = 0; i < 8; ++i) {
      std::vector<int32_t> run;
      if (i == place) {
        run.assign(ids.begin() + begin, ids.begin() + end);
        our_row = row;
      } else {
        run.resize(rng.below(2) ? 1 : 1 + rng.below(40));
        for (int32_t& id : run) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(model.config.vocab)));
      }
      row += run.size();
      runs.emplace_back(i == place ? &ours : &others[i - (i > place)], run);
    }
    const Tensor logits = runner.forward(runs);
    const float* first = logits.data<float>() + our_row * model.config.vocab;
    got.insert(got.end(), first, first + (end - begin) * model.config.vocab);
    begin = end;
  }
  expect_same_bits(got, whole, "mixed batch");
}

TEST_P(SameBits, SnapshotAndRestoreAtAnyPlace) {
  for (const size_t cut : {1u, 30u, 64u, 100u, 128u, 200u}) {
    Runner runner(model);
    engine::Sequence sequence = runner.cache.open();
    runner.forward({{&sequence, {ids.begin(), ids.begin() + cut}}});
    const engine::Snapshot snapshot = runner.cache.save(sequence);
    runner.forward({{&sequence, {5, 6, 7}}});  // goes another way, then its place is taken by others
    runner.cache.close(sequence);
    engine::Sequence stranger = runner.cache.open();
    runner.forward({{&stranger, std::vector<int32_t>(150, 3)}});
    engine::Sequence again = runner.cache.restore(snapshot);
    const Tensor logits = runner.forward({{&again, {ids.begin() + cut, ids.end()}}});
    expect_same_bits({logits.span<float>().begin(), logits.span<float>().end()},
                     {whole.begin() + cut * model.config.vocab, whole.end()}, "cut at " + std::to_string(cut));
  }
}

TEST_P(SameBits, RewindToAMark) {
  Runner runner(model);
  engine::Sequence sequence = runner.cache.open();
  runner.forward({{&sequence, {ids.begin(), ids.begin() + 90}}});
  const engine::StateMark mark = runner.cache.mark(sequence);
  runner.forward({{&sequence, std::vector<int32_t>(100, 9)}});
  runner.cache.rewind(sequence, mark);
  const Tensor logits = runner.forward({{&sequence, {ids.begin() + 90, ids.end()}}});
  expect_same_bits({logits.span<float>().begin(), logits.span<float>().end()},
                   {whole.begin() + 90 * model.config.vocab, whole.end()}, "after rewinding");
}

TEST_P(SameBits, WithoutACache) {
  // Two sequences packed as a trainer packs them, nothing kept.
  Runner runner(model);
  std::vector<int32_t> packed(20, 7), positions;
  packed.insert(packed.end(), ids.begin(), ids.end());
  for (int32_t i = 0; i < 20; ++i) positions.push_back(i);
  for (size_t i = 0; i < ids.size(); ++i) positions.push_back(static_cast<int32_t>(i));
  std::vector<int32_t> starts = {0, 20, static_cast<int32_t>(packed.size())}, rows;
  for (size_t i = 0; i < ids.size(); ++i) rows.push_back(20 + static_cast<int32_t>(i));
  auto tensor = [](const std::vector<int32_t>& x) {
    return Tensor::from(std::span<const int32_t>(x), {static_cast<int64_t>(x.size())});
  };
  const Batch batch{.tokens = tensor(packed),
                    .positions = tensor(positions),
                    .cu_seqlens = tensor(starts),
                    .rows = tensor(rows),
                    .page_table = {},
                    .slots = {}};
  const Tensor logits = model.forward(runner.ctx, batch, {});
  expect_same_bits({logits.span<float>().begin(), logits.span<float>().end()}, whole, "without a cache");
}

INSTANTIATE_TEST_SUITE_P(Golden, SameBits, testing::Values("m1-tiny", "m1-tiny-f32", "m1-tiny-plain", "m1-tiny-long"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Widths that fill and overflow vector registers and register tiles, in every weight type and precision.
class SameBitsWide : public testing::Test {
 protected:
  SameBitsWide() {
    config.vocab = 301;
    config.hidden = 136;
    config.ffn = 72;
    config.layers = 2;
    config.heads = 4;
    config.kv_heads = 2;
    config.head_dim = 40;
    config.rotary_dim = 20;
    config.experts = 4;
    config.layer_kind = {LayerKind::kLightning, LayerKind::kSoftmax};
    config.postnorm = true;
    config.initializer_range = 0.2;
  }

  /// The last 20 of `length` tokens at once and one by one, after prefixes cut in different ways.
  void expect_decode_equals_prefill(DType dtype, MatmulPrecision precision, int64_t length) {
    const MiniMaxM1 model = random_model(config, dtype, 5, threads);
    Rng rng(3);
    std::vector<int32_t> ids(static_cast<size_t>(length));
    for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(301));
    const auto tail = ids.end() - 20;
    Runner runner(model, 2, 2 * length + 2 * kChunk);
    runner.ctx.matmul_precision = precision;
    engine::Sequence one = runner.cache.open(), other = runner.cache.open();
    runner.forward({{&one, {ids.begin(), tail}}});
    for (auto begin = ids.begin(); begin < tail;) {
      const auto end = tail - begin > 1000 ? begin + 1000 : tail;
      runner.forward({{&other, {begin, end}}});
      begin = end;
    }
    const Tensor together = runner.forward({{&one, {tail, ids.end()}}});
    std::vector<float> single;
    for (auto id = tail; id != ids.end(); ++id) {
      const Tensor logits = runner.forward({{&other, {*id}}});
      single.insert(single.end(), logits.span<float>().begin(), logits.span<float>().end());
    }
    expect_same_bits(single, {together.span<float>().begin(), together.span<float>().end()},
                     cat(dtype, precision == MatmulPrecision::kBFloat16 ? ", bf16 products" : ""));
  }

  ModelConfig config;
  ThreadPool threads{2};
};

TEST_F(SameBitsWide, EveryWeightTypeAndPrecision) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kFloat16})
    for (const MatmulPrecision precision : {MatmulPrecision::kFloat32, MatmulPrecision::kBFloat16})
      expect_decode_equals_prefill(dtype, precision, 130);
}

// Past 4096 keys the softmax is computed in splits.
TEST_F(SameBitsWide, LongContext) {
  expect_decode_equals_prefill(DType::kBFloat16, MatmulPrecision::kFloat32, 4200);
}

}  // namespace
}  // namespace minimax
