// What op tests run on and compare with: instruction sets and thread counts, seeded inputs, float64 references.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <source_location>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/rng.h"
#include "cpu/isa.h"
#include "ops/reference.h"

namespace minimax::test {

using Matrix = reference::Matrix<double>;

/// A Context of one instruction set and team size. Its arena hands out NaN, so that what an op leaves out shows.
class Machine {
 public:
  Machine(const cpu::Kernels& kernels, int threads)
      : trace_(__FILE__, __LINE__, cat(kernels.isa, ", ", threads, " threads")), scope_(kernels), pool_(threads) {
    arena_.poison();
  }
  Context ctx() { return {.arena = &arena_, .threads = &pool_}; }

 private:
  testing::ScopedTrace trace_;
  cpu::ScopedKernels scope_;
  ThreadPool pool_;
  Arena arena_;
};

/// Calls body(ctx) for every instruction set this processor has, with one thread.
template <typename Body>
void for_each_isa(const Body& body) {
  for (const cpu::Kernels* kernels : cpu::usable_kernels()) body(Machine(*kernels, 1).ctx());
}
/// And for the best one with 2 and 5 threads: how work is split among them is the same text for all instruction sets.
template <typename Body>
void for_each_target(const Body& body) {
  for_each_isa(body);
  for (const int threads : {2, 5}) body(Machine(*cpu::usable_kernels().front(), threads).ctx());
}

/// Numbers from a fixed seed, which is printed with any failure while the object lives.
class Random {
 public:
  explicit Random(uint64_t seed, std::source_location where = std::source_location::current())
      : trace_(where.file_name(), static_cast<int>(where.line()), cat("seed ", seed)), rng_(seed) {}

  /// Normal numbers times `scale`, rounded to F32, BF16 or F16.
  Tensor normal(Shape shape, float scale = 1, DType dtype = DType::kFloat32) {
    Tensor out = Tensor::empty(shape, dtype);
    for (int64_t i = 0; i < out.elements(); ++i) {
      const float value = scale * static_cast<float>(rng_.normal());
      if (dtype == DType::kFloat32) out.data<float>()[i] = value;
      if (dtype == DType::kBFloat16) out.data<bfloat16>()[i] = to_bfloat16(value);
      if (dtype == DType::kFloat16) out.data<float16>()[i] = to_float16(value);
    }
    return out;
  }
  /// Uniform in [0, bound).
  int64_t below(int64_t bound) { return static_cast<int64_t>(rng_.below(static_cast<uint64_t>(bound))); }

 private:
  testing::ScopedTrace trace_;
  Rng rng_;
};

inline Tensor int32s(const std::vector<int32_t>& values) {
  return Tensor::from(std::span(values), {static_cast<int64_t>(values.size())});
}

/// Exactly the tensor's values; all dimensions but the last become rows.
inline Matrix exact(const Tensor& x) {
  const Tensor floats = to_float32(x);
  const int64_t columns = x.dim(-1);
  Matrix out(columns ? x.elements() / columns : 0, columns);
  out.values.assign(floats.data<float>(), floats.data<float>() + floats.elements());
  return out;
}

/// The largest difference over the largest magnitude of `want` (1 when that is all zero); NaN unless every element of
/// `got` is a number.
inline double relative_error(const Tensor& got, const Matrix& want) {
  EXPECT_EQ(got.elements(), static_cast<int64_t>(want.values.size()));
  double worst = 0, largest = 0;
  for (size_t i = 0; i < want.values.size(); ++i) {
    const double difference = std::abs(static_cast<double>(got.data<float>()[i]) - want.values[i]);
    if (!(difference <= worst)) worst = difference;
    if (std::isnan(difference)) return difference;
    largest = std::max(largest, std::abs(want.values[i]));
  }
  return worst / (largest > 0 ? largest : 1);
}

/// Equal shape, dtype and bytes. A NaN is no result: two outputs that were never written do not pass for the same.
inline testing::AssertionResult same_bits(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype())
    return testing::AssertionFailure() << a.dtype() << " " << a.shape() << " against " << b.dtype() << " " << b.shape();
  const auto *left = static_cast<const char*>(a.raw()), *right = static_cast<const char*>(b.raw());
  const int64_t size = size_of(a.dtype());
  if (a.dtype() == DType::kFloat32)
    for (const float value : a.span<float>())
      if (std::isnan(value)) return testing::AssertionFailure() << a.shape() << " holds NaN";
  for (int64_t i = 0; i < a.elements(); ++i)
    if (std::memcmp(left + i * size, right + i * size, static_cast<size_t>(size)) != 0)
      return testing::AssertionFailure() << "element " << i << " of " << a.shape() << " differs";
  return testing::AssertionSuccess();
}

/// The message of the invalid-argument Error that `action` throws.
template <typename Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kInvalidArgument ? error.what()
                                                       : cat(to_string(error.kind()), ": ", error.what());
  }
  return "no error";
}

}  // namespace minimax::test
