// Products on tensor cores against the same sums on float32 units: layouts, groups, gates, operands in parts.
#include <gtest/gtest.h>

#include <random>

#include "cuda/kernels/gpu_support.h"

namespace minimax::cuda {
namespace {

std::vector<uint16_t> numbers(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<uint16_t> out(static_cast<size_t>(count));
  for (uint16_t& x : out) x = to_bf16(normal(random));
  return out;
}

double value_of(float x) {
  return static_cast<double>(x);
}
double value_of(uint16_t x) {
  return from_bf16(x);
}

/// |a - b| / |b|; every number must be one.
template <typename T>
double distance(const std::vector<T>& a, const std::vector<T>& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = value_of(a[i]) - value_of(b[i]);
    difference += d * d;
    norm += value_of(b[i]) * value_of(b[i]);
  }
  return std::sqrt(difference / norm);
}

using Launcher = Failure (*)(const ProductArgs&, Stream);
/// Both that work on tensor cores.
std::vector<Launcher> launchers() {
  return {gpu().op.product, gpu().op.product_mma};
}

/// Runs a kernel and the simple one into NaN and compares.
template <typename Out>
void expect_same(Launcher launch, ProductArgs args, int64_t outputs, double tolerance) {
  DeviceArray<Out> fast(outputs), simple(outputs);
  fast.poison();
  simple.poison();
  args.out = fast.get();
  check(launch(args, nullptr));
  args.out = simple.get();
  check(gpu().op.product_simple(args, nullptr));
  EXPECT_LT(distance(fast.host(), simple.host()), tolerance)
      << args.m << " x " << args.n << " x " << args.k << (args.a_transposed ? ", a transposed" : "")
      << (args.b_transposed ? ", b transposed" : "");
}

TEST(ProductGpu, EveryLayout) {
  for (const Launcher launch : launchers()) {
    struct Shape {
      int64_t m, n, k;
    };
    for (const Shape& shape : {Shape{16, 24, 8},
                               {128, 256, 64},
                               {129, 264, 72},
                               {300, 1000, 136},
                               {1000, 520, 512},
                               {64, 6144, 6144},
                               {4096, 4096, 1024}}) {
      const DeviceArray<uint16_t> a(numbers(shape.m * shape.k, 1)), b(numbers(shape.n * shape.k, 2));
      ProductArgs args{.a = a.get(),
                       .b = b.get(),
                       .a_type = Type::kBFloat16,
                       .b_type = Type::kBFloat16,
                       .m = shape.m,
                       .n = shape.n,
                       .k = shape.k};
      expect_same<float>(launch, args, shape.m * shape.n, 2e-5);
      args.b_transposed = true;
      expect_same<float>(launch, args, shape.m * shape.n, 2e-5);
      args.a_transposed = shape.m % 8 == 0;
      expect_same<float>(launch, args, shape.m * shape.n, 2e-5);
      args.a_transposed = args.b_transposed = false;
      args.out_type = Type::kBFloat16;
      expect_same<uint16_t>(launch, args, shape.m * shape.n, 3e-3);
    }
  }
}

TEST(ProductGpu, AddsWhereItShould) {
  for (const Launcher launch : launchers()) {
    const int64_t m = 136, n = 72, k = 200;
    const DeviceArray<uint16_t> a(numbers(m * k, 1)), b(numbers(n * k, 2));
    DeviceArray<float> once(m * n), twice(std::vector<float>(static_cast<size_t>(m * n), 0.0f));
    ProductArgs args{.a = a.get(),
                     .b = b.get(),
                     .out = once.get(),
                     .a_type = Type::kBFloat16,
                     .b_type = Type::kBFloat16,
                     .m = m,
                     .n = n,
                     .k = k};
    check(launch(args, nullptr));
    args.out = twice.get();
    args.accumulate = true;
    check(launch(args, nullptr));
    check(launch(args, nullptr));
    const std::vector<float> one = once.host(), two = twice.host();
    for (size_t i = 0; i < one.size(); ++i) ASSERT_EQ(two[i], 2 * one[i]) << i;
  }
}

TEST(ProductGpu, RowCountsChangeNoBit) {
  for (const Launcher launch : launchers()) {
    const int64_t n = 512, k = 1024, most = 700;
    const DeviceArray<uint16_t> a(numbers(most * k, 3)), b(numbers(n * k, 4));
    DeviceArray<float> out(most * n);
    std::vector<float> first_row;
    for (const int64_t m : {int64_t{1}, int64_t{8}, int64_t{128}, int64_t{129}, most}) {
      out.poison();
      check(launch({.a = a.get(),
                    .b = b.get(),
                    .out = out.get(),
                    .a_type = Type::kBFloat16,
                    .b_type = Type::kBFloat16,
                    .m = m,
                    .n = n,
                    .k = k},
                   nullptr));
      std::vector<float> row = out.host();
      row.resize(static_cast<size_t>(n));
      if (first_row.empty()) first_row = row;
      EXPECT_EQ(row, first_row) << m;
    }
  }
}

TEST(ProductGpu, Parts) {
  for (const Launcher launch : launchers()) {
    const int64_t m = 77, n = 320, k = 200, padded = 256;
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    std::vector<float> x(static_cast<size_t>(m * k));
    for (float& value : x) value = normal(random);
    const DeviceArray<float> a(x);
    const DeviceArray<uint16_t> b(numbers(n * k, 6));
    DeviceArray<float> want(m * n), got(m * n);
    check(gpu().op.product_simple(
        {.a = a.get(), .b = b.get(), .out = want.get(), .b_type = Type::kBFloat16, .m = m, .n = n, .k = k}, nullptr));
    for (const auto& [parts, tolerance] : {std::pair<int64_t, double>{1, 3e-3}, {2, 1e-5}, {3, 2e-6}}) {
      DeviceArray<uint16_t> split(m * parts * padded);
      split.poison();
      got.poison();
      check(gpu().op.split(a.get(), m, k, parts, padded, split.get(), nullptr));
      ProductArgs args{.a = split.get(),
                       .b = b.get(),
                       .out = got.get(),
                       .a_type = Type::kBFloat16,
                       .b_type = Type::kBFloat16,
                       .m = m,
                       .n = n,
                       .k = k,
                       .a_parts = parts,
                       .a_part_columns = padded};
      if (parts == 1) continue;  // k and the padded width differ: only parts say so
      check(launch(args, nullptr));
      EXPECT_LT(distance(got.host(), want.host()), tolerance) << parts << " parts";
    }
  }
}

TEST(ProductGpu, GroupsOfRows) {
  for (const Launcher launch : launchers()) {
    const int64_t n = 264, k = 136, groups = 5;
    const std::vector<int32_t> starts = {0, 3, 3, 140, 141, 400};
    const int64_t m = 450;  // more than there are rows
    const DeviceArray<uint16_t> a(numbers(m * k, 7)), b(numbers(groups * n * k, 8)), b2(numbers(groups * n * k, 9));
    const DeviceArray<int32_t> there(starts);
    ProductArgs args{.a = a.get(),
                     .b = b.get(),
                     .a_type = Type::kBFloat16,
                     .b_type = Type::kBFloat16,
                     .m = m,
                     .n = n,
                     .k = k,
                     .groups = groups,
                     .group_starts = there.get(),
                     .b_group_stride = n * k};
    const auto rows_only = [&](auto values) {
      values.resize(static_cast<size_t>(starts.back() * n));
      return values;
    };
    for (const bool transposed : {false, true}) {
      DeviceArray<float> fast(m * n), simple(m * n);
      fast.poison();
      args.b_transposed = transposed;
      args.out = fast.get();
      check(launch(args, nullptr));
      args.out = simple.get();
      check(gpu().op.product_simple(args, nullptr));
      EXPECT_LT(distance(rows_only(fast.host()), rows_only(simple.host())), 2e-5);
    }
    DeviceArray<uint16_t> fast(m * n), simple(m * n);
    fast.poison();
    args.b_transposed = false;
    args.b2 = b2.get();
    args.b2_group_stride = n * k;
    args.out_type = Type::kBFloat16;
    args.out = fast.get();
    check(launch(args, nullptr));
    args.out = simple.get();
    check(gpu().op.product_simple(args, nullptr));
    EXPECT_LT(distance(rows_only(fast.host()), rows_only(simple.host())), 3e-3);
  }
}

TEST(ProductGpu, GroupsOfTerms) {
  for (const Launcher launch : launchers()) {
    const int64_t m = 136, n = 264, groups = 4, k = 640;
    const std::vector<int32_t> starts = {0, 64, 64, 512, 576};
    const DeviceArray<uint16_t> a(numbers(m * k, 10)), b(numbers(n * k, 11));
    const DeviceArray<int32_t> there(starts);
    DeviceArray<float> fast(std::vector<float>(static_cast<size_t>(groups * m * n), 1.0f));
    DeviceArray<float> simple(std::vector<float>(static_cast<size_t>(groups * m * n), 1.0f));
    ProductArgs args{.a = a.get(),
                     .b = b.get(),
                     .a_type = Type::kBFloat16,
                     .b_type = Type::kBFloat16,
                     .a_transposed = true,
                     .b_transposed = true,
                     .m = m,
                     .n = n,
                     .k = k,
                     .groups = groups,
                     .group_starts = there.get(),
                     .groups_are_terms = true};
    for (int64_t group = 0; group < groups; ++group) args.group_outs[group] = fast.get() + group * m * n;
    check(launch(args, nullptr));
    for (int64_t group = 0; group < groups; ++group) args.group_outs[group] = simple.get() + group * m * n;
    check(gpu().op.product_simple(args, nullptr));
    EXPECT_LT(distance(fast.host(), simple.host()), 2e-5);
  }
}

}  // namespace
}  // namespace minimax::cuda
