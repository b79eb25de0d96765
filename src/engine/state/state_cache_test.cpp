#include "engine/state/state_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "core/rng.h"

namespace minimax::engine {
namespace {

using testing::HasSubstr;

ModelConfig small_config() {
  ModelConfig config;
  config.hidden = 32;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 16;
  config.layers = 3;
  config.layer_kind = {LayerKind::kLightning, LayerKind::kSoftmax, LayerKind::kLightning};
  return config;
}

template <typename Action>
std::string message(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(StateCache, BytesOfTheRealModel) {
  ModelConfig m1;
  m1.heads = 64;
  m1.kv_heads = 8;
  m1.head_dim = 128;
  for (int layer = 0; layer < 80; ++layer)
    m1.layer_kind.push_back(layer % 8 == 7 ? LayerKind::kSoftmax : LayerKind::kLightning);
  EXPECT_EQ(StateCache::kv_bytes_per_token(m1), 80 * 1024);
  // 280 MiB of states, and windows of 64 rows of k and v.
  EXPECT_EQ(StateCache::state_bytes_per_sequence(m1), 2 * 280 * 1024 * 1024);
}

TEST(StateCache, AccountsForEveryPageAndSlot) {
  StateCache cache(small_config(), 20 * kChunk, 4);
  const int64_t pages = cache.free_pages(), slots = cache.free_slots();
  EXPECT_EQ(slots, 4);
  EXPECT_GE(pages, 20);
  Rng rng(1);
  std::vector<Sequence> open;
  for (int step = 0; step < 2000; ++step) {
    if (open.size() < 4 && rng.below(2)) {
      open.push_back(cache.open());
    } else if (!open.empty()) {
      Sequence& sequence = open[rng.below(open.size())];
      if (rng.below(3)) {
        const int64_t length = sequence.length + static_cast<int64_t>(rng.below(200));
        const int64_t before = cache.free_pages();
        try {
          cache.reserve(sequence, length);
          sequence.length = length;
        } catch (const Error& error) {
          EXPECT_EQ(error.kind(), ErrorKind::kOutOfMemory);
          EXPECT_EQ(cache.free_pages(), before) << "a refused reservation takes nothing";
        }
      } else {
        cache.close(sequence);
        open.erase(open.begin() + (&sequence - open.data()));
      }
    }
    int64_t held = 0;
    for (const Sequence& sequence : open) held += static_cast<int64_t>(sequence.pages.size());
    ASSERT_EQ(cache.free_pages() + held, pages);
    ASSERT_EQ(cache.free_slots() + static_cast<int64_t>(open.size()), slots);
  }
  for (Sequence& sequence : open) cache.close(sequence);
  EXPECT_EQ(cache.free_pages(), pages);
  EXPECT_EQ(cache.free_slots(), slots);
}

TEST(StateCache, RewindGivesPagesBack) {
  StateCache cache(small_config(), 10 * kChunk, 1);
  Sequence sequence = cache.open();
  cache.reserve(sequence, 70);
  sequence.length = 70;
  const StateMark mark = cache.mark(sequence);
  const int64_t free_pages = cache.free_pages();
  cache.reserve(sequence, 500);
  sequence.length = 500;
  cache.rewind(sequence, mark);
  EXPECT_EQ(sequence.length, 70);
  EXPECT_EQ(cache.free_pages(), free_pages);
}

/// Bytes of this process in memory.
int64_t resident() {
  int64_t whole = 0, pages = 0;
  std::ifstream("/proc/self/statm") >> whole >> pages;
  return pages * ::sysconf(_SC_PAGESIZE);
}

TEST(StateCache, FreePagesAreGivenBackWhenTheBudgetIsNeededElsewhere) {
  ModelConfig config = small_config();
  config.kv_heads = 2;
  config.head_dim = 64;  // a page is 64 KiB
  constexpr int64_t kBytes = 64 << 20;
  StateCache cache(config, StateCache::Limits{kBytes, 1});
  const auto fill = [&] {
    Sequence sequence = cache.open();
    cache.reserve(sequence, (kBytes - cache.slot_bytes()) / cache.page_bytes() * kChunk);
    for (const int32_t page : sequence.pages)
      for (const Tensor& x : {cache.layers()[1].kv.k, cache.layers()[1].kv.v}) {
        const Tensor row = x.rows(page, page + 1);
        std::fill_n(row.data<float>(), row.elements(), 1.0f);
      }
    cache.close(sequence);
  };
  const int64_t before = resident();
  fill();
  cache.trim();
  EXPECT_GT(resident() - before, kBytes / 2) << "nobody else wants it";
  cache.budget().take(kBytes * 3 / 4);
  cache.trim();
  EXPECT_LT(resident() - before, kBytes / 2);
  cache.budget().give_back(kBytes * 3 / 4);
  fill();
  EXPECT_GT(resident() - before, kBytes / 2);
}

TEST(StateCache, ErrorsSayWhatThereIs) {
  StateCache cache(small_config(), 2 * kChunk, 1);
  Sequence sequence = cache.open();
  EXPECT_THAT(message([&] { cache.open(); }), HasSubstr("all sequence slots"));
  EXPECT_THAT(message([&] { cache.reserve(sequence, 300); }), HasSubstr("the cache has 128 tokens free"));
  StateMark mark = cache.mark(sequence);
  mark.length = 5;
  EXPECT_THAT(message([&] { cache.rewind(sequence, mark); }), HasSubstr("rewind to 5 tokens of a sequence of 0"));
  ModelConfig other = small_config();
  other.head_dim = 8;
  StateCache stranger(other, 64, 1);
  EXPECT_THAT(message([&] { stranger.restore(cache.save(sequence)); }), HasSubstr("snapshot holds"));
  EXPECT_EQ(stranger.free_slots(), 1) << "a refused restore gives its slot back";
  EXPECT_THAT(message([&] { BatchBuilder().build(); }), HasSubstr("at least one token"));
}

}  // namespace
}  // namespace minimax::engine
