#include "model/cost.h"

#include <gtest/gtest.h>

#include "model/tensor_names.h"

namespace minimax {
namespace {

ModelConfig m1() {
  return read_config(MINIMAX_TESTDATA "/m1");
}

TEST(Cost, ActiveParametersOfMiniMaxM1) {
  EXPECT_EQ(active_parameter_count(m1()), 47'172'550'656);
}

TEST(Cost, DecodeOfMiniMaxM1) {
  const Cost cost = decode_cost(m1(), DType::kBFloat16, 0);
  // Two bytes for each active parameter, two more for the routers', norms, one row of the embedding.
  EXPECT_EQ(cost.weight_bytes, 2 * 47'172'550'656 + 2 * 15'728'640 + 2 * (989'184 + 573'440) + 2 * 6144);
  EXPECT_EQ(cost.state_bytes, 73'400'320 * 4);
  const Cost far = decode_cost(m1(), DType::kBFloat16, 100'000);
  EXPECT_EQ(far.state_bytes - cost.state_bytes, 100'000LL * 20'480 * 4);
  EXPECT_EQ(far.flops - cost.flops, 327'680.0 * 100'000);
  EXPECT_NEAR(cost.flops, 2 * 47'172'550'656.0, 3e8);
}

TEST(Cost, PrefillOfMiniMaxM1) {
  const double one_token =
      2.0 * (47'172'550'656.0 - 200064.0 * 6144) + 70 * 64 * (2.0 * 2 * 128 * 128 + 2.0 * 2 * 128 * 32);
  EXPECT_NEAR(prefill_cost(m1(), DType::kBFloat16, 1000).flops,
              1000 * one_token + 2.0 * 200064 * 6144 + 327'680.0 * 1000 * 1001 / 2, 1e3);
  // Enough tokens reach every expert; more change only the rows of the embedding.
  const int64_t all = prefill_cost(m1(), DType::kBFloat16, 16).weight_bytes;
  EXPECT_EQ(all, 2 * (parameter_count(m1()) + 15'728'640 - 200064LL * 6144 + 16 * 6144));
  EXPECT_EQ(prefill_cost(m1(), DType::kBFloat16, 17).weight_bytes - all, 2 * 6144);
}

TEST(Cost, Float32WeightsCostTwice) {
  const int64_t routers = 80LL * 32 * 6144 * 4;
  EXPECT_EQ(decode_cost(m1(), DType::kFloat32, 5).weight_bytes - routers,
            2 * (decode_cost(m1(), DType::kBFloat16, 5).weight_bytes - routers));
}

}  // namespace
}  // namespace minimax
