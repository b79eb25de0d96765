#include "engine/sampling/weight_ranking.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "core/rng.h"
#include "cpu/logits.h"

namespace minimax::engine {
namespace {

std::vector<float> weights_of(const std::vector<float>& logits, float inverse_temperature = 1) {
  std::vector<float> weights(logits.size());
  cpu::exp_weights(logits, *std::max_element(logits.begin(), logits.end()), inverse_temperature, weights);
  return weights;
}

double total_of(const std::vector<float>& weights) {
  return std::accumulate(weights.begin(), weights.end(), 0.0);
}

std::set<int32_t> members(const std::vector<float>& weights, const Head& head) {
  std::set<int32_t> ids;
  for (int32_t id = 0; id < static_cast<int32_t>(weights.size()); ++id)
    if (head.has(weights[id], id)) ids.insert(id);
  return ids;
}

// The same heads by sorting.
std::vector<int32_t> ranking(const std::vector<float>& weights) {
  std::vector<int32_t> ids(weights.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::sort(ids.begin(), ids.end(),
            [&](int32_t a, int32_t b) { return weights[a] > weights[b] || (weights[a] == weights[b] && a < b); });
  while (weights[ids.back()] == 0) ids.pop_back();
  return ids;
}

std::set<int32_t> sorted_head(const std::vector<float>& weights, int64_t count, double share, float least) {
  std::vector<int32_t> ids = ranking(weights);
  if (count > 0 && count < static_cast<int64_t>(ids.size())) ids.resize(count);
  double mass = 0;
  for (int32_t id : ids) mass += static_cast<double>(weights[id]);
  std::set<int32_t> kept;
  double sum = 0;
  for (int32_t id : ids) {
    if (!kept.empty() && (sum >= share * mass || weights[id] < least)) break;
    kept.insert(id);
    sum += static_cast<double>(weights[id]);
  }
  return kept;
}

void expect_heads_as_by_sorting(const std::vector<float>& weights, int64_t count, double share, float least) {
  std::vector<WeightCount> buckets;
  Head head{.mass = total_of(weights)};
  if (count > 0) head = head_of_count(weights, head.mass, count, buckets);
  head = head_of_mass(weights, head, share, buckets);
  head = head_of_weight(weights, head, least);
  const std::set<int32_t> expected = sorted_head(weights, count, share, least);
  EXPECT_EQ(members(weights, head), expected)
      << weights.size() << " weights, count " << count << ", share " << share << ", least " << least;
  double mass = 0;
  for (int32_t id : expected) mass += static_cast<double>(weights[id]);
  EXPECT_EQ(head.mass, mass);
}

TEST(WeightRanking, HeadsAreThoseOfASortedRanking) {
  Rng rng(3);
  for (int64_t size : {1, 2, 31, 33, 1000, 20000})
    for (double deviation : {0.0, 0.001, 1.0, 4.0, 20.0}) {
      std::vector<float> logits(size);
      for (float& logit : logits) logit = static_cast<float>(deviation * rng.normal());
      const std::vector<float> weights = weights_of(logits);
      for (int64_t count : {0, 1, 2, 40, 999, 100000})
        for (double share : {0.0, 0.1, 0.5, 0.95, 0.999999, 1.0})
          for (float least : {0.0f, 0.1f, 1.0f}) expect_heads_as_by_sorting(weights, count, share, least);
    }
}

// Logits on a coarse grid: most weights have many equals.
RC_GTEST_PROP(WeightRanking, EqualsAreTakenInOrderOfIds, ()) {
  const auto levels = *rc::gen::nonEmpty(rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 6)));
  std::vector<float> logits;
  for (int level : levels) logits.push_back(0.7f * static_cast<float>(level));
  expect_heads_as_by_sorting(weights_of(logits), *rc::gen::inRange(0, 20), *rc::gen::inRange(0, 101) / 100.0,
                             static_cast<float>(*rc::gen::inRange(0, 101)) / 100.0f);
}

TEST(WeightRanking, DrawTakesTheIdWhereTheSumPasses) {
  // Weights 1/4, 1, 0, 1/2 after the largest was divided out.
  const std::vector<float> weights = {0.25f, 1.0f, 0.0f, 0.5f};
  const Head all{.mass = 1.75};
  EXPECT_EQ(draw(weights, all, 0.0), 0);
  EXPECT_EQ(draw(weights, all, 0.2499 / 1.75), 0);
  EXPECT_EQ(draw(weights, all, 0.25 / 1.75), 1);
  EXPECT_EQ(draw(weights, all, 1.2499 / 1.75), 1);
  EXPECT_EQ(draw(weights, all, 1.25 / 1.75), 3);
  EXPECT_EQ(draw(weights, all, 1 - 0x1p-53), 3);
  const Head two{.weight = 0.5f, .mass = 1.5};
  EXPECT_EQ(draw(weights, two, 0.0), 1);
  EXPECT_EQ(draw(weights, two, 0.7), 3);
}

TEST(WeightRanking, DrawNeverLeavesTheHead) {
  Rng rng(5);
  std::vector<float> logits(3000);
  for (float& logit : logits) logit = static_cast<float>(3 * rng.normal());
  const std::vector<float> weights = weights_of(logits);
  std::vector<WeightCount> buckets;
  const Head head = head_of_mass(weights, Head{.mass = total_of(weights)}, 0.8, buckets);
  for (double uniform : {0.0, 0x1p-53, 0.3, 0.999999, 1 - 0x1p-53}) {
    const int32_t id = draw(weights, head, uniform);
    ASSERT_GE(id, 0);
    EXPECT_TRUE(head.has(weights[id], id));
  }
}

}  // namespace
}  // namespace minimax::engine
