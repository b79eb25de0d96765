#include "ops/balance.h"

#include "ops/activation.h"
#include "ops/test_gradients.h"

namespace minimax::ops {
namespace {

using test::exact;

double reference_loss(const Tensor& logits, int64_t top_k) {
  const test::Matrix z = exact(logits);
  return reference::balance_loss(z, reference::choose_experts(z, top_k))(0, 0);
}

TEST(BalanceLoss, AgreesWithFloat64Reference) {
  test::Machine machine(cpu::kernels(), 2);
  test::Random random(1);
  for (const int64_t tokens : {1, 7, 200})
    for (const int64_t top_k : {1, 2, 4}) {
      const Tensor logits = random.normal({tokens, 5}, 2);
      const Tensor loss = balance_loss(machine.ctx(), logits, route(machine.ctx(), logits, top_k));
      ASSERT_EQ(loss.shape(), Shape({1}));
      EXPECT_NEAR(*loss.data<float>() / reference_loss(logits, top_k), 1, 1e-7) << tokens << " tokens, top " << top_k;
    }
}

TEST(BalanceLoss, KnownValues) {
  test::Machine machine(cpu::kernels(), 1);
  const auto loss = [&](const std::vector<float>& logits, int64_t top_k) {
    const Tensor z = Tensor::from(std::span(logits), {static_cast<int64_t>(logits.size()) / 4, 4});
    return *balance_loss(machine.ctx(), z, route(machine.ctx(), z, top_k)).data<float>();
  };
  // Every expert has as many tokens and as much probability as the next: top_k.
  EXPECT_NEAR(loss({9, 5, 0, 0, 0, 9, 5, 0, 0, 0, 9, 5, 5, 0, 0, 9}, 2), 2, 1e-6);
  // All tokens in one expert with all of the probability: the number of experts.
  EXPECT_NEAR(loss({50, 0, 0, 0, 50, 0, 0, 0}, 1), 4, 1e-6);
}

TEST(BalanceLoss, Gradient) {
  test::Random random(2);
  for (const int64_t tokens : {1, 7, 200})
    for (const int64_t top_k : {1, 2, 4})
      test::check_gradients(
          {random.normal({tokens, 5}, 2)},
          [&](const Context& ctx, const std::vector<Tensor>& in) {
            const Tensor loss = balance_loss(ctx, in[0], route(ctx, in[0], top_k));
            return scaled_add(ctx, 1000, loss, 0, loss);  // gradients of about 1
          },
          [&](const std::vector<test::ComplexMatrix>& in) {
            const auto loss = reference::balance_loss(in[0], reference::choose_experts(in[0], top_k));
            return reference::scaled_add(1000, loss, 0, loss);
          },
          1e-6);
}

// As a term of the loss: the mixture's other gradients and this one add up.
TEST(BalanceLoss, IsATermOfTheLoss) {
  test::Machine machine(cpu::kernels(), 1);
  test::Random random(3);
  const Tensor logits = random.normal({9, 4}), dweights = random.normal({9, 2});
  const auto gradient = [&](BalanceLoss* balance) {
    Context ctx = machine.ctx();
    Tape tape;
    Gradients d;
    ctx.tape = &tape;
    ctx.balance = balance;
    const Routing routing = route(ctx, logits, 2);
    add_balance_loss(ctx, logits, routing);
    d.add(routing.weights, dweights);
    tape.backward(ctx, d);
    EXPECT_EQ(d.size(), 1);
    return *d.find(logits);
  };
  BalanceLoss balance{.coefficient = 30};
  const Tensor without = gradient(nullptr), with = gradient(&balance);
  EXPECT_NEAR(balance.sum, reference_loss(logits, 2), 1e-6);
  EXPECT_EQ(balance.layers, 1);
  const auto loss = [&](const std::vector<test::ComplexMatrix>& in) {
    return reference::balance_loss(in[0], reference::choose_experts(in[0], 2));
  };
  const test::Derivatives derivatives({logits}, loss);
  Tensor difference = Tensor::empty(logits.shape(), DType::kFloat32);
  const float u = *derivatives.u().data<float>();
  for (int64_t i = 0; i < logits.elements(); ++i)
    difference.data<float>()[i] = (with.data<float>()[i] - without.data<float>()[i]) / 30 * u;
  EXPECT_LT(derivatives.error(0, difference), 1e-6);
}

TEST(BalanceLoss, Errors) {
  test::Machine machine(cpu::kernels(), 1);
  const Context ctx = machine.ctx();
  const Tensor logits = Tensor::zeros({2, 4}, DType::kFloat32);
  const Routing routing = route(ctx, logits, 2);
  const auto error = [&](const Tensor& z) { return test::error_of([&] { balance_loss(ctx, z, routing); }); };
  EXPECT_EQ(error(logits), "no error");
  EXPECT_EQ(error(Tensor::zeros({3, 4}, DType::kFloat32)), "balance_loss: experts [2, 2] for router logits [3, 4]");
  EXPECT_EQ(error(logits.view({8})), "balance_loss: experts [2, 2] for router logits [8]");
  EXPECT_EQ(error(Tensor::zeros({2, 1}, DType::kFloat32)), "balance_loss: expert 1 of 1");
}

}  // namespace
}  // namespace minimax::ops
