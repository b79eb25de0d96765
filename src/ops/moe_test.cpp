#include "ops/moe.h"

#include <limits>

#include "ops/test_targets.h"

namespace minimax::ops {
namespace {

using test::exact;
using test::relative_error;
using test::same_bits;

TEST(Route, AgreesWithFloat64Reference) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(1);
    for (const int64_t experts : {1, 4, 32, 33})
      for (const int64_t top_k : {1, 2, 3, 32})
        for (const float scale : {1.0f, 100.0f}) {
          if (top_k > experts) continue;
          const Tensor logits = random.normal({17, experts}, scale);
          const Routing routing = route(ctx, logits, top_k);
          const auto chosen = reference::choose_experts(exact(logits), top_k);
          for (int64_t token = 0; token < 17; ++token)
            for (int64_t rank = 0; rank < top_k; ++rank)
              EXPECT_EQ(routing.experts.data<int32_t>()[token * top_k + rank], chosen[token][rank]);
          EXPECT_LT(relative_error(routing.weights, reference::routing_weights(exact(logits), chosen)), 3e-7)
              << top_k << " of " << experts;
        }
  });
}

TEST(Route, TiesGoToTheLowerIndex) {
  test::Machine machine(cpu::kernels(), 1);
  const std::vector<float> logits = {1,  3, 3,  3,  //
                                     2,  1, 2,  1,  //
                                     0,  0, 0,  0,  //
                                     -1, 5, -1, 5};
  const Routing routing = route(machine.ctx(), Tensor::from(std::span(logits), {4, 4}), 2);
  EXPECT_THAT(std::vector<int32_t>(routing.experts.data<int32_t>(), routing.experts.data<int32_t>() + 8),
              testing::ElementsAre(1, 2, 0, 2, 0, 1, 1, 3));
  for (const float weight : routing.weights.span<float>()) EXPECT_EQ(weight, 0.5f);
}

TEST(Route, Errors) {
  test::Machine machine(cpu::kernels(), 1);
  const Tensor logits = Tensor::zeros({2, 4}, DType::kFloat32);
  auto error = [&](const Tensor& logits, int64_t top_k) {
    return test::error_of([&] { route(machine.ctx(), logits, top_k); });
  };
  EXPECT_EQ(error(logits, 0), "route: top_k 0 of router logits [2, 4]");
  EXPECT_EQ(error(logits, 5), "route: top_k 5 of router logits [2, 4]");
  EXPECT_EQ(error(logits.view({8}), 2), "route: top_k 2 of router logits [8]");
  EXPECT_EQ(error(Tensor::zeros({2, 4}, DType::kBFloat16), 2), "router_logits is BF16, expected F32");
}

/// Some experts as the op takes them and as the reference does.
struct Experts {
  Experts(test::Random& random, int64_t count, int64_t hidden, int64_t ffn, DType dtype) {
    const float scale = 1 / std::sqrt(static_cast<float>(hidden));
    for (int64_t expert = 0; expert < count; ++expert) {
      weights.push_back({{random.normal({ffn, hidden}, scale, dtype)},
                         {random.normal({ffn, hidden}, scale, dtype)},
                         {random.normal({hidden, ffn}, scale, dtype)}});
      references.push_back(
          {exact(weights.back().gate.data), exact(weights.back().up.data), exact(weights.back().down.data)});
    }
  }
  std::vector<ExpertWeights> weights;
  std::vector<reference::Expert<double>> references;
};

/// The routing that `chosen` says, with weights that sum to 1.
Routing routing_of(test::Random& random, const std::vector<std::vector<int32_t>>& chosen) {
  const int64_t tokens = static_cast<int64_t>(chosen.size()), top_k = static_cast<int64_t>(chosen[0].size());
  std::vector<int32_t> experts;
  for (const auto& row : chosen) experts.insert(experts.end(), row.begin(), row.end());
  Routing routing{test::int32s(experts).view({tokens, top_k}), Tensor::empty({tokens, top_k}, DType::kFloat32)};
  for (int64_t token = 0; token < tokens; ++token) {
    float left = 1;
    for (int64_t rank = 0; rank < top_k; ++rank) {
      const float weight = rank + 1 < top_k ? left * (0.5f + 0.004f * static_cast<float>(random.below(100))) : left;
      routing.weights.data<float>()[token * top_k + rank] = weight;
      left -= weight;
    }
  }
  return routing;
}

std::vector<std::vector<int32_t>> random_choices(test::Random& random, int64_t tokens, int64_t experts, int64_t top_k) {
  return reference::choose_experts(exact(random.normal({tokens, experts})), top_k);
}

TEST(MixExperts, AgreesWithFloat64Reference) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(2);
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kFloat16})
      for (const int64_t tokens : {1, 2, 13}) {
        const Experts experts(random, 5, 20, 28, dtype);
        const Tensor x = random.normal({tokens, 20});
        const auto chosen = random_choices(random, tokens, 5, 2);
        const Routing routing = routing_of(random, chosen);
        EXPECT_LT(relative_error(mix_experts(ctx, x, routing, experts.weights),
                                 reference::mix_experts(exact(x), chosen, exact(routing.weights), experts.references)),
                  1e-6)
            << dtype << ", " << tokens << " tokens";
      }
  });
}

TEST(MixExperts, ExpertsWithNoTokenAndOneWithAll) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(3);
    const Experts experts(random, 4, 16, 24, DType::kBFloat16);
    const Tensor x = random.normal({9, 16});
    for (const std::vector<int32_t>& all_to : {std::vector<int32_t>{2}, {3, 0}, {1, 2, 0}}) {
      const std::vector<std::vector<int32_t>> chosen(9, all_to);
      const Routing routing = routing_of(random, chosen);
      EXPECT_LT(relative_error(mix_experts(ctx, x, routing, experts.weights),
                               reference::mix_experts(exact(x), chosen, exact(routing.weights), experts.references)),
                1e-6);
    }
  });
}

TEST(MixExperts, ATokenDoesNotDependOnTheOthers) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(4);
    const Experts experts(random, 6, 40, 72, DType::kBFloat16);
    const Tensor x = random.normal({30, 40});
    const Routing routing = routing_of(random, random_choices(random, 30, 6, 3));
    const Tensor all = mix_experts(ctx, x, routing, experts.weights);
    for (int64_t token = 0; token < 30; ++token) {
      const Routing own = {routing.experts.rows(token, token + 1), routing.weights.rows(token, token + 1)};
      EXPECT_TRUE(
          same_bits(mix_experts(ctx, x.rows(token, token + 1), own, experts.weights), all.rows(token, token + 1)))
          << token;
    }
  });
}

// Best first: rank by rank, not by expert index. The same two experts with ranks and weights swapped sum the other way.
TEST(MixExperts, EqualsItsPartsInOrderOfRank) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(5);
    const Experts experts(random, 3, 24, 32, DType::kFloat32);
    const Tensor x = random.normal({7, 24});
    const Routing routing = routing_of(random, std::vector<std::vector<int32_t>>(7, {2, 0, 1}));
    const Tensor out = mix_experts(ctx, x, routing, experts.weights);
    const Tensor parts[] = {expert(ctx, x, experts.weights[2]), expert(ctx, x, experts.weights[0]),
                            expert(ctx, x, experts.weights[1])};
    for (int64_t i = 0; i < out.elements(); ++i) {
      float fused = 0, plain = 0;  // with and without a fused multiply-add
      for (int64_t rank = 0; rank < 3; ++rank) {
        const float weight = routing.weights.data<float>()[i / 24 * 3 + rank], part = parts[rank].data<float>()[i];
        fused = std::fma(weight, part, fused);
        plain = plain + weight * part;
      }
      EXPECT_TRUE(out.data<float>()[i] == fused || out.data<float>()[i] == plain) << i;
    }
  });
}

TEST(MixExperts, NoTokens) {
  test::Machine machine(cpu::kernels(), 1);
  test::Random random(6);
  const Experts experts(random, 2, 8, 8, DType::kFloat32);
  const Routing none = {Tensor::zeros({0, 2}, DType::kInt32), Tensor::zeros({0, 2}, DType::kFloat32)};
  EXPECT_EQ(mix_experts(machine.ctx(), Tensor::zeros({0, 8}, DType::kFloat32), none, experts.weights).shape(),
            Shape({0, 8}));
}

TEST(MixExperts, Errors) {
  test::Machine machine(cpu::kernels(), 1);
  test::Random random(7);
  const Experts experts(random, 2, 8, 12, DType::kFloat32);
  const Tensor x = Tensor::zeros({3, 8}, DType::kFloat32);
  const Routing routing = routing_of(random, std::vector<std::vector<int32_t>>(3, {0, 1}));
  auto error = [&](const Tensor& x, const Routing& routing, const std::vector<ExpertWeights>& weights) {
    return test::error_of([&] { mix_experts(machine.ctx(), x, routing, weights); });
  };
  EXPECT_EQ(error(x, routing, experts.weights), "no error");
  EXPECT_EQ(error(Tensor::zeros({3, 8}, DType::kBFloat16), routing, experts.weights), "x is BF16, expected F32");
  EXPECT_EQ(error(x.view({24}), routing, experts.weights), "mix_experts: x is [24], expected [tokens, hidden]");
  EXPECT_EQ(error(x, routing, {}), "mix_experts: no experts");
  EXPECT_EQ(error(x, {routing.experts.rows(0, 2), routing.weights}, experts.weights),
            "routing.experts is [2, 2], expected [3, 2] = [tokens, top_k]");
  EXPECT_EQ(error(x, {routing.experts, routing.weights.view({2, 3})}, experts.weights),
            "routing.weights is [2, 3], expected [3, 2] = [tokens, top_k]");
  for (const int32_t wrong : {-1, 2})
    EXPECT_EQ(error(x, routing_of(random, {{0, 1}, {wrong, 0}, {0, 1}}), experts.weights),
              cat("mix_experts: expert ", wrong, " of 2"));
  auto with = [&](auto&& change) {
    std::vector<ExpertWeights> weights = experts.weights;
    change(weights[1]);
    return error(x, routing, weights);
  };
  const Weight wrong{Tensor::zeros({12, 9}, DType::kFloat32)};
  EXPECT_EQ(with([&](ExpertWeights& e) { e.gate = wrong; }),
            "expert.gate is [12, 9], expected [12, 8] = [ffn, hidden]");
  EXPECT_EQ(with([&](ExpertWeights& e) { e.up = wrong; }), "expert.up is [12, 9], expected [12, 8] = [ffn, hidden]");
  EXPECT_EQ(with([&](ExpertWeights& e) { e.down = wrong; }),
            "expert.down is [12, 9], expected [8, 12] = [hidden, ffn]");
}

TEST(Expert, AgreesWithFloat64Reference) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(8);
    const Experts experts(random, 1, 30, 50, DType::kBFloat16);
    const Tensor x = random.normal({5, 30});
    EXPECT_LT(relative_error(expert(ctx, x, experts.weights[0]), reference::expert(exact(x), experts.references[0])),
              1e-6);
  });
}

TEST(MixShared, AgreesWithFloat64Reference) {
  test::for_each_target([](const Context& ctx) {
    test::Random random(9);
    for (const int64_t hidden : {1, 19, 6144}) {
      const Tensor x = random.normal({5, hidden}), routed = random.normal({5, hidden}),
                   shared = random.normal({5, hidden});
      const Tensor coefficient = random.normal({1, hidden}, 2 / std::sqrt(static_cast<float>(hidden)));
      const Tensor out = mix_shared(ctx, x, routed, shared, {coefficient});
      EXPECT_LT(relative_error(out, reference::mix_shared(exact(x), exact(routed), exact(shared), exact(coefficient))),
                1e-6);
      EXPECT_TRUE(same_bits(mix_shared(ctx, x.rows(3, 4), routed.rows(3, 4), shared.rows(3, 4), {coefficient}),
                            out.rows(3, 4)));
    }
  });
}

TEST(MixShared, Errors) {
  test::Machine machine(cpu::kernels(), 1);
  const Tensor x = Tensor::zeros({2, 4}, DType::kFloat32), other = Tensor::zeros({2, 5}, DType::kFloat32);
  const Weight coefficient{Tensor::zeros({1, 4}, DType::kFloat32)};
  auto error = [&](const Tensor& x, const Tensor& routed, const Tensor& shared, const Weight& coefficient) {
    return test::error_of([&] { mix_shared(machine.ctx(), x, routed, shared, coefficient); });
  };
  EXPECT_EQ(error(x, x, x, coefficient), "no error");
  EXPECT_EQ(error(x, x, x, {other}), "coefficient.data is [2, 5], expected [1, 4] = [1, x.dim(1)]");
  EXPECT_EQ(error(x, other, x, coefficient), "mix_shared: x [2, 4], routed [2, 5], shared [2, 4]");
  EXPECT_EQ(error(x, x, other, coefficient), "mix_shared: x [2, 4], routed [2, 4], shared [2, 5]");
  const Tensor half = Tensor::zeros({2, 4}, DType::kBFloat16);
  EXPECT_EQ(error(half, x, x, coefficient), "x is BF16, expected F32");
  EXPECT_EQ(error(x, half, x, coefficient), "routed is BF16, expected F32");
  EXPECT_EQ(error(x, x, half, coefficient), "shared is BF16, expected F32");
}

}  // namespace
}  // namespace minimax::ops
