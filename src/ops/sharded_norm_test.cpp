#include "ops/sharded_norm.h"

#include <gmock/gmock.h>

#include "comm/thread_group.h"
#include "ops/norm.h"
#include "ops/test_targets.h"

namespace minimax::ops {
namespace {

using test::exact;
using test::relative_error;

/// The columns from `begin` on that fill `shape`, whose rows are those of x.
Tensor columns(const Tensor& x, int64_t begin, Shape shape) {
  Tensor out = Tensor::empty(shape, DType::kFloat32);
  const int64_t whole = x.dim(-1), width = out.dim(-1);
  for (int64_t row = 0; row < x.elements() / whole; ++row)
    std::copy_n(x.data<float>() + row * whole + begin, width, out.data<float>() + row * width);
  return out;
}

TEST(ShardedRmsNorm, EqualsTheNormOfOneDevice) {
  test::Random random(1);
  for (const int ranks : {1, 2, 3, 4})
    for (const int64_t hidden : {7, 64, 6144}) {
      const Tensor x = random.normal({2, 3, hidden}), weight = random.normal({hidden});
      test::Machine machine(*cpu::usable_kernels().front(), 1);
      const Tensor whole = rms_norm(machine.ctx(), x, weight, 1e-5f);
      const auto reference = reference::rms_norm(exact(x), exact(weight), static_cast<double>(1e-5f));
      Tensor together = Tensor::empty({2, 3, hidden}, DType::kFloat32);
      comm::test::run_as_group(ranks, [&](comm::ProcessGroup& group) {
        // Shares that differ, as those of heads that do not divide evenly.
        const int64_t begin = hidden * group.rank() * group.rank() / (ranks * ranks);
        const int64_t end = hidden * (group.rank() + 1) * (group.rank() + 1) / (ranks * ranks);
        Arena arena;
        const Context ctx{.arena = &arena};
        const Tensor part = sharded_rms_norm(ctx, group, columns(x, begin, {2, 3, end - begin}),
                                             columns(weight, begin, {end - begin}), 1e-5f);
        for (int64_t row = 0; row < 6; ++row)
          std::copy_n(part.data<float>() + row * (end - begin), end - begin,
                      together.data<float>() + row * hidden + begin);
      });
      EXPECT_LT(relative_error(together, reference), 5e-7) << hidden << " by " << ranks;
      EXPECT_LT(relative_error(together, exact(whole)), 5e-7) << hidden << " by " << ranks;
    }
}

TEST(ShardedRmsNorm, RefusesWhatDoesNotFit) {
  comm::test::run_as_group(2, [](comm::ProcessGroup& group) {
    Arena arena;
    const Context ctx{.arena = &arena};
    const Tensor x = Tensor::zeros({2 + group.rank(), 4}, DType::kFloat32),
                 weight = Tensor::zeros({4}, DType::kFloat32);
    EXPECT_THROW(sharded_rms_norm(ctx, group, x, weight, 1e-5f), Error);
    EXPECT_THROW(sharded_rms_norm(ctx, group, x, Tensor::zeros({5}, DType::kFloat32), 1e-5f), Error);
  });
}

}  // namespace
}  // namespace minimax::ops
