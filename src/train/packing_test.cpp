#include "train/packing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "core/error.h"

namespace minimax::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::string message(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing thrown";
}

TEST(Packing, LaysSequencesSideBySide) {
  const TrainSequence sequences[] = {
      {.tokens = {5, 6, 7}, .weights = {0, 0.25, 0.5}},
      {.tokens = {8}, .weights = {0}},
      {.tokens = {}, .weights = {}},
      {.tokens = {9, 10, 11, 12}, .weights = {0, 0, 0, 0.25}},
  };
  const std::vector<TrainBatch> batches = pack(sequences, 6);
  ASSERT_THAT(batches, SizeIs(1));
  EXPECT_THAT(batches[0].tokens, ElementsAre(5, 6, 8, 9, 10, 11));
  EXPECT_THAT(batches[0].cu_seqlens, ElementsAre(0, 2, 3, 6));
  EXPECT_THAT(batches[0].rows, ElementsAre(0, 1, 5));
  EXPECT_THAT(batches[0].targets, ElementsAre(6, 7, 12));
  EXPECT_THAT(batches[0].weights, ElementsAre(0.25, 0.5, 0.25));
  EXPECT_THAT(batches[0].advantages, IsEmpty());
  const Batch batch = batches[0].batch();
  const auto positions = batch.positions.span<int32_t>();
  EXPECT_THAT(std::vector<int32_t>(positions.begin(), positions.end()), ElementsAre(0, 1, 0, 0, 1, 2));
}

TEST(Packing, KeepsBatchesWithinTheirTokens) {
  std::vector<TrainSequence> sequences(3, {.tokens = {1, 2, 3}, .weights = {0, 1, 1}});
  sequences.push_back({.tokens = std::vector<int32_t>(9, 4), .weights = std::vector<double>(9, 0.0)});
  const std::vector<TrainBatch> batches = pack(sequences, 5);
  ASSERT_THAT(batches, SizeIs(3));
  EXPECT_EQ(batches[0].token_count(), 4);
  EXPECT_EQ(batches[1].token_count(), 2);
  EXPECT_EQ(batches[2].token_count(), 8);  // longer than a batch: one of its own
}

TEST(Packing, CarriesWhatAPolicyLossNeeds) {
  const TrainSequence sequence{
      .tokens = {1, 2, 3}, .weights = {0, 0, 1}, .advantages = {0, 7, 8}, .old_log_probs = {0, -1, -2}};
  const TrainBatch batch = pack({&sequence, 1}, 10).at(0);
  EXPECT_THAT(batch.rows, ElementsAre(1));
  EXPECT_THAT(batch.advantages, ElementsAre(8));
  EXPECT_THAT(batch.old_log_probs, ElementsAre(-2));
}

TEST(Packing, NamesWhatDoesNotFit) {
  const auto error_of = [](std::vector<TrainSequence> sequences) { return message([&] { pack(sequences, 100); }); };
  EXPECT_THAT(error_of({{.tokens = {1, 2}, .weights = {0}}}), HasSubstr("sequence 0: 2 tokens, 1 weights"));
  EXPECT_THAT(error_of({{.tokens = {1, 2}, .weights = {1, 1}}}), HasSubstr("first token has weight 1"));
  EXPECT_THAT(error_of({{.tokens = {1}, .weights = {0}},
                        {.tokens = {1}, .weights = {0}, .advantages = {0}, .old_log_probs = {0}}}),
              HasSubstr("sequence 1: 1 advantages"));
}

}  // namespace
}  // namespace minimax::train
