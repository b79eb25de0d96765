#include "ops/router_replay.h"

#include "core/tape.h"
#include "io/test_folder.h"
#include "ops/test_targets.h"

namespace minimax {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RouterReplayTest : public testing::Test {
 protected:
  static std::vector<int32_t> experts(const ops::Routing& routing) {
    const auto span = routing.experts.span<int32_t>();
    return {span.begin(), span.end()};
  }

  test::Machine machine{cpu::kernels(), 1};
  test::Random random{4};
  const Tensor router = random.normal({4, 3}), other_router = random.normal({4, 3});
};

TEST_F(RouterReplayTest, KeepsWhatTheRouterChose) {
  RouterReplay replay;
  const Tensor logits = random.normal({9, 4});
  const ops::Routing want = ops::route(machine.ctx(), logits, 2), got = replay.route(machine.ctx(), logits, router, 2);
  EXPECT_EQ(experts(got), experts(want));
  EXPECT_TRUE(test::same_bits(got.weights, want.weights));
  EXPECT_EQ(replay.bytes(), 9 * 2 * 4);
  // The same logits again: the same bits, nothing flipped.
  replay.freeze();
  EXPECT_TRUE(test::same_bits(replay.route(machine.ctx(), logits, router, 2).weights, want.weights));
  EXPECT_EQ(replay.flips(), 0);
  EXPECT_EQ(replay.choices(), 9);
}

TEST_F(RouterReplayTest, TakesTheChoiceAndWeighsItByLiveLogits) {
  RouterReplay replay;
  const std::vector<float> before = {3, 2, 1, 0, /**/ 0, 1, 2, 3}, after = {0, 1, 5, 3, /**/ 0, 1, 3, 2};
  replay.route(machine.ctx(), Tensor::from(std::span(before), {2, 4}), router, 2);
  replay.freeze();
  const Tensor live = Tensor::from(std::span(after), {2, 4});
  Tape tape;
  Gradients gradients;
  Context ctx = machine.ctx();
  ctx.tape = &tape;
  const ops::Routing routing = replay.route(ctx, live, router, 2);
  EXPECT_THAT(experts(routing), ElementsAre(0, 1, 3, 2));
  const float w = 1 / (1 + std::exp(1.0f));  // logits 0 and 1; then 2 and 3
  EXPECT_THAT(routing.weights.span<float>(),
              ElementsAre(testing::FloatEq(w), testing::FloatEq(1 - w), testing::FloatEq(w), testing::FloatEq(1 - w)));
  EXPECT_EQ(replay.flips(), 1);  // of the second token only the order changed
  // The router still learns, through the weights: dz = w (1 - w) for the first of two.
  const std::vector<float> first = {1, 0, 0, 0};
  gradients.add(routing.weights, Tensor::from(std::span(first), {2, 2}));
  tape.backward(ctx, gradients);
  const float slope = w * (1 - w);
  EXPECT_THAT(gradients.find(live)->span<float>(),
              ElementsAre(testing::FloatEq(slope), testing::FloatEq(-slope), 0, 0, 0, 0, 0, 0));
}

TEST_F(RouterReplayTest, ComparesWithoutTakingAndMeasuresEntropy) {
  RouterReplay replay;
  replay.measure_entropy();
  const std::vector<float> before = {3, 2, 1, 0, /**/ 0, 0, 0, 0}, after = {0, 1, 5, 3, /**/ 0, 0, 0, 0};
  replay.route(machine.ctx(), Tensor::from(std::span(before), {2, 4}), router, 2);
  double entropy = std::log(4.0), sum = 0;  // of the second token
  for (const double z : {3, 2, 1, 0}) sum += std::exp(z);
  for (const double z : {3, 2, 1, 0}) entropy -= std::exp(z) / sum * std::log(std::exp(z) / sum);
  EXPECT_NEAR(replay.entropy().at(router.raw()), entropy, 1e-6);
  replay.compare();
  EXPECT_FALSE(replay.frozen());
  const Tensor live = Tensor::from(std::span(after), {2, 4});
  const ops::Routing want = ops::route(machine.ctx(), live, 2), got = replay.route(machine.ctx(), live, router, 2);
  EXPECT_EQ(experts(got), experts(want));
  EXPECT_TRUE(test::same_bits(got.weights, want.weights));
  EXPECT_EQ(replay.flips(), 1);
  EXPECT_EQ(replay.choices(), 2);
}

TEST_F(RouterReplayTest, BelongsToOneBatchAndKnowsItsRouters) {
  RouterReplay replay;
  const Tensor logits = random.normal({5, 4}), others = random.normal({5, 4}), more = random.normal({6, 4});
  const auto first = experts(replay.route(machine.ctx(), logits, router, 2));
  const auto second = experts(replay.route(machine.ctx(), others, other_router, 2));
  replay.freeze();
  EXPECT_EQ(experts(replay.route(machine.ctx(), others, router, 2)), first);
  EXPECT_EQ(experts(replay.route(machine.ctx(), logits, other_router, 2)), second);
  EXPECT_THAT(test::error_of([&] { replay.route(machine.ctx(), more, router, 2); }), HasSubstr("[6, 2]"));
  EXPECT_THAT(test::error_of([&] { replay.route(machine.ctx(), logits, logits, 2); }), HasSubstr("nothing was kept"));
}

}  // namespace
}  // namespace minimax
