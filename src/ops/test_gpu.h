// What tests on a GPU share: contexts of both devices, inputs on both, and ops compared between them with gradients.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <source_location>
#include <vector>

#include "core/tape.h"
#include "cuda/gpu.h"
#include "ops/test_targets.h"

namespace minimax::test {

inline cuda::Gpu& gpu() {
  static const std::unique_ptr<cuda::Gpu> opened = [] {
    const char* named = std::getenv("MINIMAX_CUDA_MODULE");
    return cuda::Gpu::open(0, named ? named : MINIMAX_CUDA_MODULE);
  }();
  return *opened;
}

/// No GPU but a module that plays one: large shapes would test nothing more and take long.
inline bool played() {
  return !gpu().hopper();
}

/// Arenas of both hand out NaN.
class Both {
 public:
  Both() : pool_(0), device_arena_(&gpu()) {
    host_arena_.poison();
    device_arena_.poison();
  }
  Context host() { return {.arena = &host_arena_, .threads = &pool_}; }
  Context device(MatmulPrecision precision) {
    return {.device = Device::kCuda,
            .gpu = &gpu(),
            .arena = &device_arena_,
            .threads = &pool_,
            .matmul_precision = precision};
  }

 private:
  ThreadPool pool_;
  Arena host_arena_, device_arena_;
};

inline std::vector<Tensor> on_gpu(const std::vector<Tensor>& inputs) {
  std::vector<Tensor> out;
  for (const Tensor& x : inputs) out.push_back(x.defined() ? to_memory(x, &gpu()) : x);
  return out;
}

/// |got - want| / |want| by Frobenius norms, the latter at least `least`; NaN when an element is.
inline double distance(const Tensor& got_anywhere, const Tensor& want_anywhere, double least = 1e-30) {
  const Tensor got = to_host(got_anywhere), want = to_host(want_anywhere);
  EXPECT_EQ(got.elements(), want.elements());
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < want.elements(); ++i) {
    const double w = want.data<float>()[i], d = static_cast<double>(got.data<float>()[i]) - w;
    difference += d * d;
    norm += w * w;
  }
  return std::sqrt(difference) / std::max(std::sqrt(norm), least);
}

struct Tolerances {
  double float32 = 1e-5;
  double bfloat16 = 1e-2;
  double of(MatmulPrecision precision) const { return precision == MatmulPrecision::kFloat32 ? float32 : bfloat16; }
};

constexpr MatmulPrecision kPrecisions[] = {MatmulPrecision::kFloat32, MatmulPrecision::kBFloat16};

/// op(ctx, inputs) -> Tensor on the GPU in both precisions against the CPU in float32, which its own tests compare with
/// float64: the output, and with `gradients` those of every input that has one.
template <typename Op>
void compare(Both& both, const std::vector<Tensor>& inputs, const Op& op, Tolerances tolerances, bool gradients = true,
             std::source_location where = std::source_location::current()) {
  const testing::ScopedTrace trace(where.file_name(), static_cast<int>(where.line()), "compare");
  Rng rng(5);
  Tensor u;
  const auto run = [&](Context ctx, const std::vector<Tensor>& given, Gradients& d) {
    Tape tape;
    if (gradients) ctx.tape = &tape;
    const Tensor y = op(ctx, given);
    if (!u.defined()) {
      u = Tensor::empty(y.shape(), DType::kFloat32);
      for (float& value : u.span<float>()) value = static_cast<float>(rng.normal());
    }
    if (gradients) {
      d.add(y, to_memory(u, ctx.gpu));
      tape.backward(ctx, d);
    }
    return to_host(y);
  };
  Gradients want_d;
  const Tensor want = run(both.host(), inputs, want_d);
  for (const MatmulPrecision precision : kPrecisions) {
    const testing::ScopedTrace mode(where.file_name(), static_cast<int>(where.line()),
                                    precision == MatmulPrecision::kFloat32 ? "float32" : "bfloat16");
    const std::vector<Tensor> there = on_gpu(inputs);
    Gradients d;
    EXPECT_LT(distance(run(both.device(precision), there, d), want), tolerances.of(precision)) << "output";
    for (size_t i = 0; gradients && i < inputs.size(); ++i) {
      const Tensor* expected = want_d.find(inputs[i]);
      if (!expected) continue;
      const Tensor* got = d.find(there[i]);
      ASSERT_TRUE(got) << "input " << i << " has no gradient";
      // Inputs and u are of size 1: a gradient far below cancels.
      EXPECT_LT(distance(*got, *expected, 1), tolerances.of(precision)) << "gradient of input " << i;
    }
  }
}

}  // namespace minimax::test
