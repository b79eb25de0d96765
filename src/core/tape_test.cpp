#include "core/tape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace minimax {
namespace {

Tensor floats(const std::vector<float>& values) {
  return Tensor::from(std::span(values), {static_cast<int64_t>(values.size())});
}
std::vector<float> values(const Tensor& x) {
  return {x.span<float>().begin(), x.span<float>().end()};
}
std::vector<float> values(const Tensor* x) {
  return x ? values(*x) : std::vector<float>{};
}

template <typename Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Gradients, TheFirstIsKeptAsItCameAndNeverWrittenTo) {
  Gradients d;
  const Tensor x = floats({0, 0}), first = floats({1, 2});
  EXPECT_EQ(d.find(x), nullptr);
  d.add(x, first);
  ASSERT_TRUE(d.find(x));
  EXPECT_EQ(d.find(x)->raw(), first.raw());
  d.add(x, floats({10, 20}));
  d.add(x, floats({100, 200}));
  EXPECT_THAT(values(d.find(x)), testing::ElementsAre(111, 222));
  EXPECT_THAT(values(first), testing::ElementsAre(1, 2));
}

TEST(Gradients, OneTensorAddedToTwo) {
  Gradients d;
  const Tensor x = floats({0}), y = floats({0}), dout = floats({3});
  d.add(x, dout);
  d.add(y, dout);
  d.add(x, dout);
  EXPECT_THAT(values(d.find(x)), testing::ElementsAre(6));
  EXPECT_THAT(values(d.find(y)), testing::ElementsAre(3));
}

TEST(Gradients, AccumulatorIsOurs) {
  Gradients d;
  const Tensor x = Tensor::empty({2}, DType::kBFloat16), first = floats({1, 2});
  const Tensor zeros = d.accumulator(x);
  EXPECT_EQ(zeros.dtype(), DType::kFloat32);
  EXPECT_THAT(values(zeros), testing::ElementsAre(0, 0));
  zeros.data<float>()[1] = 5;
  d.add(x, first);
  EXPECT_EQ(d.find(x)->raw(), zeros.raw());
  EXPECT_THAT(values(zeros), testing::ElementsAre(1, 7));

  const Tensor y = floats({0, 0});
  d.add(y, first);
  const Tensor sum = d.accumulator(y);
  EXPECT_NE(sum.raw(), first.raw());
  EXPECT_THAT(values(sum), testing::ElementsAre(1, 2));
  EXPECT_EQ(d.accumulator(y).raw(), sum.raw());
}

TEST(Gradients, ViewsShare) {
  Gradients d;
  const Tensor x = floats({0, 0, 0, 0});
  d.add(x, floats({1, 2, 3, 4}));
  d.add(x.view({2, 2}), floats({10, 20, 30, 40}));
  ASSERT_TRUE(d.find(x.view({4, 1})));
  EXPECT_THAT(values(d.find(x)), testing::ElementsAre(11, 22, 33, 44));
  d.add(floats({0}), floats({1}).view({1, 1}));  // any shape of as many elements
}

TEST(Gradients, SizesAreChecked) {
  Gradients d;
  const Tensor x = floats({0, 0});
  EXPECT_EQ(error_of([&] { d.add(x, floats({1})); }), "gradient [1] of a tensor [2]");
  EXPECT_EQ(d.find(x), nullptr);
  EXPECT_EQ(error_of([&] { d.add(x, Tensor::zeros({2}, DType::kBFloat16)); }), "dx is BF16, expected F32");
  d.add(x, floats({1, 2}));
  EXPECT_EQ(error_of([&] { d.add(x.rows(0, 1), floats({1})); }), "gradient [2] of a tensor [1]");
  EXPECT_EQ(error_of([&] { d.accumulator(x.rows(0, 1)); }), "gradient [2] of a tensor [1]");
  EXPECT_THAT(values(d.find(x)), testing::ElementsAre(1, 2));
}

TEST(Gradients, TakenIsForgotten) {
  Gradients d;
  const Tensor x = floats({0});
  EXPECT_FALSE(d.take(x).defined());
  d.add(x, floats({3}));
  d.add(x, floats({4}));
  EXPECT_EQ(d.size(), 1);
  EXPECT_THAT(values(d.take(x)), testing::ElementsAre(7));
  EXPECT_EQ(d.size(), 0);
  EXPECT_FALSE(d.take(x).defined());
}

class TapeTest : public testing::Test {
 protected:
  /// factor * x, an op like those of src/ops.
  Tensor times(Context& ctx, float factor, const Tensor& x) {
    ++forwards;
    const Tensor out = ctx.empty(x.shape());
    for (int64_t i = 0; i < x.elements(); ++i) out.data<float>()[i] = factor * x.data<float>()[i];
    if (ctx.tape)
      ctx.tape->record([=, this](Context& ctx, Gradients& d) {
        EXPECT_EQ(ctx.tape, nullptr);
        const Tensor dout = d.take(out);
        if (dout.defined()) d.add(x, times(ctx, factor, dout));
      });
    return out;
  }

  Arena arena;
  Tape tape;
  Context ctx{.arena = &arena, .tape = &tape};
  Gradients d;
  int forwards = 0;
};

TEST_F(TapeTest, RunsLastToFirstOnce) {
  std::vector<int> order;
  for (const int step : {1, 2, 3}) tape.record([&order, step](Context&, Gradients&) { order.push_back(step); });
  EXPECT_EQ(tape.size(), 3);
  tape.backward(ctx, d);
  EXPECT_THAT(order, testing::ElementsAre(3, 2, 1));
  EXPECT_EQ(tape.size(), 0);
  tape.backward(ctx, d);
  EXPECT_EQ(order.size(), 3u);
}

TEST_F(TapeTest, RecordsNothingInBackward) {
  const Tensor x = floats({1, 2}), y = times(ctx, 2, times(ctx, 3, x));
  EXPECT_EQ(tape.size(), 2);
  d.add(y, floats({1, 10}));
  tape.backward(ctx, d);  // calls times() again, which must not record
  EXPECT_EQ(tape.size(), 0);
  EXPECT_EQ(ctx.tape, &tape);
  EXPECT_THAT(values(d.find(x)), testing::ElementsAre(6, 60));
}

TEST_F(TapeTest, ReleasesTensorsStepByStep) {
  auto first = std::make_shared<int>(), second = std::make_shared<int>();
  const std::weak_ptr<int> first_left = first, second_left = second;
  tape.record([&, first = std::move(first)](Context&, Gradients&) { EXPECT_TRUE(second_left.expired()); });
  tape.record([&, second = std::move(second)](Context&, Gradients&) { EXPECT_FALSE(first_left.expired()); });
  tape.backward(ctx, d);
  EXPECT_TRUE(first_left.expired());
}

// Memory goes from one pass to the next: a gradient of the first must not be found for a tensor of the second.
TEST_F(TapeTest, OneGradientsForManyPasses) {
  const Tensor x = floats({1});
  for (int pass = 0; pass < 3; ++pass) {
    const Tensor y = times(ctx, 2, times(ctx, 3, x));
    d.add(y, floats({1}));
    tape.backward(ctx, d);
  }
  EXPECT_THAT(values(d.find(x)), testing::ElementsAre(18));
  EXPECT_EQ(d.size(), 1);
}

TEST_F(TapeTest, CheckpointKeepsOnlyTheResult) {
  const Tensor x = Tensor::zeros({10000}, DType::kFloat32);
  const int64_t before = arena.bytes_in_use();
  const auto chain = [this, x](Context& ctx) {
    Tensor y = x;
    for (const float factor : {2.0f, 3.0f, 5.0f}) y = times(ctx, factor, y);
    return y;
  };
  Tensor kept = chain(ctx);
  const int64_t without = arena.bytes_in_use() - before;
  tape.backward(ctx, d);
  kept = Tensor();
  EXPECT_EQ(arena.bytes_in_use(), before);

  const Tensor y = checkpoint(ctx, chain), z = times(ctx, 7, y);
  EXPECT_EQ(tape.size(), 2);
  EXPECT_EQ(3 * (arena.bytes_in_use() - before), 2 * without);
  forwards = 0;
  d.add(z, Tensor::from(std::span<const float>(std::vector<float>(10000, 1.0f)), {10000}));
  tape.backward(ctx, d);
  EXPECT_EQ(forwards, 1 + 3 + 3);  // z's gradient; the chain once more; its gradients
  EXPECT_EQ(d.find(x)->data<float>()[9999], 210);
  EXPECT_EQ(d.size(), 1);
}

TEST_F(TapeTest, CheckpointWithoutGradientOrTapeRunsOnce) {
  const Tensor x = floats({1});
  const auto twice = [this, x](Context& ctx) { return times(ctx, 2, x); };
  checkpoint(ctx, twice);
  tape.backward(ctx, d);
  EXPECT_EQ(forwards, 1);
  ctx.tape = nullptr;
  EXPECT_THAT(values(checkpoint(ctx, twice)), testing::ElementsAre(2));
  EXPECT_EQ(forwards, 2);
  EXPECT_EQ(tape.size(), 0);
}

}  // namespace
}  // namespace minimax
