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
    add_balance_loss(ctx, logits, logits, routing);
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

// Parts of a batch with the shares of all of it, weighted by their tokens: the loss and the gradient of the whole.
TEST(BalanceLoss, PartsWithTheSharesOfTheWholeAddUp) {
  test::Machine machine(cpu::kernels(), 1);
  test::Random random(4);
  const int64_t tokens = 20, experts = 4, first = 7;
  const Tensor logits = random.normal({tokens, experts}, 2);
  const Routing routing = route(machine.ctx(), logits, 2);
  std::vector<double> shares(experts, 0.0);
  for (const int32_t expert : routing.experts.span<int32_t>()) shares[static_cast<size_t>(expert)] += 1.0 / tokens;
  const auto run = [&](const Tensor& z, const std::vector<double>* given, double weight, double& loss) {
    Context ctx = machine.ctx();
    Tape tape;
    Gradients d;
    ctx.tape = &tape;
    const Tensor out = balance_loss(ctx, z, route(machine.ctx(), z, 2), given);
    loss += weight * static_cast<double>(*out.data<float>());
    const auto w = static_cast<float>(weight);
    d.add(out, Tensor::from(std::span<const float>(&w, 1), {1}));
    tape.backward(ctx, d);
    const auto span = d.find(z)->span<float>();
    return std::vector<float>(span.begin(), span.end());
  };
  double want = 0, got = 0;
  const std::vector<float> whole = run(logits, nullptr, 1, want);
  const std::span<const float> all = logits.span<float>();
  std::vector<float> parts;
  for (const auto& [begin, count] : {std::pair<int64_t, int64_t>{0, first}, {first, tokens - first}}) {
    const Tensor part = Tensor::from(
        all.subspan(static_cast<size_t>(begin * experts), static_cast<size_t>(count * experts)), {count, experts});
    const std::vector<float> d = run(part, &shares, static_cast<double>(count) / tokens, got);
    parts.insert(parts.end(), d.begin(), d.end());
  }
  EXPECT_NEAR(got, want, 1e-6);
  ASSERT_EQ(parts.size(), whole.size());
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(parts[i], whole[i], 1e-6);
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
  const std::vector<double> shares(3, 0.5);
  EXPECT_EQ(test::error_of([&] { balance_loss(ctx, logits, routing, &shares); }),
            "balance_loss: shares of 3 experts for router logits [2, 4]");
}

}  // namespace
}  // namespace minimax::ops
