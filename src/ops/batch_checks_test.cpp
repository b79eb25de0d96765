#include "ops/batch_checks.h"

#include "ops/test_batches.h"

namespace minimax::ops {
namespace {

using test::int32s;

TEST(BatchChecks, Sequences) {
  const Batch good = test::batch_of({{0, 5, 2}, {1, 0, 3}});
  auto error = [&](bool has_cache, auto&& change) {
    Batch batch = good;
    change(batch);
    return test::error_of([&] { check_sequences(batch, has_cache); });
  };
  EXPECT_EQ(error(true, [](Batch&) {}), "no error");
  EXPECT_EQ(error(false, [](Batch&) {}), "batch: sequence 0 starts at position 5 without a cache, expected 0");
  EXPECT_EQ(error(true, [](Batch& batch) { batch.positions = int32s({-1, 0, 0, 1, 2}); }),
            "batch: sequence 0 starts at position -1, expected at least 0");
  EXPECT_EQ(error(true, [](Batch& batch) { batch.positions = int32s({5, 6, 0, 1, 3}); }),
            "batch: token 4 is at position 3, expected 2");
  EXPECT_EQ(error(true, [](Batch& batch) { batch.positions = int32s({5, 6, 0, 1}); }),
            "batch.positions is [4], expected [5] = [tokens]");
  EXPECT_EQ(error(true, [](Batch& batch) { batch.positions = Tensor::zeros({5}, DType::kInt64); }),
            "batch.positions is I64, expected I32");
  EXPECT_EQ(error(true, [](Batch& batch) { batch.cu_seqlens = Tensor::zeros({3}, DType::kInt64); }),
            "batch.cu_seqlens is I64, expected I32");
  EXPECT_EQ(error(true, [](Batch& batch) { batch.cu_seqlens = int32s({0, 2, 4}); }),
            "batch: cu_seqlens runs from 0 to 4, expected 0 to 5");
  EXPECT_EQ(error(true, [](Batch& batch) { batch.cu_seqlens = int32s({1, 2, 5}); }),
            "batch: cu_seqlens runs from 1 to 5, expected 0 to 5");
  EXPECT_EQ(error(true, [](Batch& batch) { batch.cu_seqlens = int32s({0, 2, 2, 5}); }),
            "batch: sequence 1 has 0 tokens");
  EXPECT_EQ(error(true, [](Batch& batch) { batch.cu_seqlens = int32s({0, 9, 5}); }), "batch: sequence 1 has -4 tokens");
  for (const Tensor& starts : {int32s({}), int32s({0}), int32s({0, 5}).view({1, 2})})
    EXPECT_EQ(error(true, [&](Batch& batch) { batch.cu_seqlens = starts; }),
              cat("batch: cu_seqlens is ", starts.shape(), ", expected [seqs + 1] with at least one sequence"));
}

TEST(BatchChecks, Slots) {
  auto error = [](const std::vector<int32_t>& slots) {
    Batch batch = test::batch_of({{0, 0, 2}, {1, 0, 3}});
    batch.slots = int32s(slots);
    return test::error_of([&] { check_slots(batch, 4); });
  };
  EXPECT_EQ(error({3, 0}), "no error");
  EXPECT_EQ(error({3}), "batch.slots is [1], expected [2] = [batch.seqs()]");
  EXPECT_EQ(error({3, 4}), "batch: sequence 1 has slot 4, expected one of its own below 4");
  EXPECT_EQ(error({-1, 0}), "batch: sequence 0 has slot -1, expected one of its own below 4");
  EXPECT_EQ(error({2, 2}), "batch: sequence 1 has slot 2, expected one of its own below 4");
}

TEST(BatchChecks, Pages) {
  auto error = [](Tensor table) {
    Batch batch = test::batch_of({{0, 60, 10}, {1, 0, 64}});
    batch.page_table = std::move(table);
    return test::error_of([&] { check_pages(batch, 4); });
  };
  EXPECT_EQ(error(int32s({3, 0, 1, -1}).view({2, 2})), "no error");  // the second sequence needs one page only
  EXPECT_EQ(error(int32s({3, 0, 1, -1})), "batch: page_table is [4] for 2 sequences");
  EXPECT_EQ(error(int32s({3, 0}).view({1, 2})), "batch: page_table is [1, 2] for 2 sequences");
  EXPECT_EQ(error(int32s({3, 0}).view({2, 1})), "batch: sequence 0 reaches position 69 but has 1 pages of 64");
  EXPECT_EQ(error(int32s({3, 4, 1, -1}).view({2, 2})), "batch: page 1 of sequence 0 is 4, expected 0 to 3");
  EXPECT_EQ(error(int32s({3, 0, -1, 1}).view({2, 2})), "batch: page 0 of sequence 1 is -1, expected 0 to 3");
}

}  // namespace
}  // namespace minimax::ops
