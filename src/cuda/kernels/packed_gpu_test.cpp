// Packed products on tensor cores against the same sums on float32 units, at shapes that a CPU would take too long for:
// formats, groups, gates, operands in parts; and few rows against many.
#include <gtest/gtest.h>

#include <random>

#include "cuda/kernels/gpu_support.h"
#include "cuda/packed_words.h"

namespace minimax::cuda {
namespace {

using quant::Format;

/// Panels of `matrices` matrices with any codes, steps and zero points that a file may have, and scales near 1/64.
std::vector<unsigned char> panels(Format format, int64_t matrices, int64_t n, int64_t k, uint32_t seed) {
  std::mt19937 random(seed);
  const int64_t size = quant::panel_bytes(format, k), count = matrices * quant::panel_count(n);
  std::vector<unsigned char> bytes(static_cast<size_t>(count * size));
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(random());
  const auto put = [&](unsigned char* to, const auto& value) { std::memcpy(to, &value, sizeof(value)); };
  for (int64_t panel = 0; panel < count; ++panel) {
    unsigned char* at = bytes.data() + panel * size;
    if (format == Format::kExpertsInt8)
      for (int row = 0; row < 32; ++row) put(at + 4 * row, (1 + static_cast<float>(random() % 8)) / 512);
    for (int64_t block = 0; block < quant::block_count(k); ++block) {
      unsigned char* header = at + quant::block_offset(format, block);
      // float16 from 2^-6 to 2^-5; E8M0 from 2^-7 to 2^-4.
      const int halves = format == Format::kQ8                                        ? 8 * 32
                         : format == Format::kExpertsInt8 || format == Format::kMxfp4 ? 0
                                                                                      : 32;
      for (int i = 0; i < halves; ++i) put(header + 2 * i, static_cast<uint16_t>(0x2400 + random() % 0x400));
      if (format == Format::kMxfp4)
        for (int i = 0; i < 256; ++i) header[i] = static_cast<unsigned char>(120 + random() % 4);
      if (format == Format::kQ4)  // steps up to 12: step * zero stays within 128
        for (int i = 64; i < 192; ++i) header[i] = static_cast<unsigned char>(random() % 12 | (random() % 12) << 4);
    }
  }
  return bytes;
}

std::vector<float> normals(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(static_cast<size_t>(count));
  for (float& x : out) x = normal(random);
  return out;
}

template <typename T, typename Value>
double distance(const std::vector<T>& a, const std::vector<T>& b, Value value) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = value(a[i]) - value(b[i]);
    difference += d * d;
    norm += value(b[i]) * value(b[i]);
  }
  return std::sqrt(difference / norm);
}

TEST(PackedGpu, TensorCoresAddWhatFloatUnitsAdd) {
  for (const Format format : quant::all_formats())
    for (const auto& [m, n, k, parts] : {std::array<int64_t, 4>{1, 256, 6144, 1},
                                         {65, 1000, 6144, 1},
                                         {129, 520, 1056, 2},
                                         {300, 8, 100, 2},
                                         {2000, 6144, 1024, 1}}) {
      const DeviceArray<unsigned char> b(panels(format, 1, n, k, 1));
      const DeviceArray<float> x(normals(m * k, 2));
      const int64_t columns = packed::packed_columns(k);
      DeviceArray<uint16_t> a(m * parts * columns);
      a.poison();
      check(gpu().op.packed_operand(x.get(), m, k, parts, {}, 0, 1, a.get(), nullptr));
      DeviceArray<float> fast(m * n), simple(m * n);
      fast.poison();
      simple.poison();
      PackedProductArgs args{.product = {.a = a.get(),
                                         .b = b.get(),
                                         .out = fast.get(),
                                         .a_type = Type::kBFloat16,
                                         .m = m,
                                         .n = n,
                                         .k = k,
                                         .a_parts = parts,
                                         .a_part_columns = columns},
                             .format = format};
      check(gpu().op.packed_product(args, nullptr));
      args.product.out = simple.get();
      check(gpu().op.packed_product_simple(args, nullptr));
      // What is left is the rounding of weights to bfloat16.
      EXPECT_LT(distance(fast.host(), simple.host(), [](float v) { return static_cast<double>(v); }), 3e-3)
          << quant::name(format) << " " << m << " x " << n << " x " << k << ", " << parts << " parts";
    }
}

TEST(PackedGpu, GroupsWithGates) {
  for (const Format format : quant::all_formats()) {
    const int64_t n = 328, k = 640, groups = 4, columns = packed::packed_columns(k), wide = packed::packed_columns(n);
    const std::vector<int32_t> starts = {0, 70, 70, 71, 400};
    const int64_t m = starts.back(), stride = quant::packed_bytes(format, n, k);
    const DeviceArray<unsigned char> b(panels(format, groups, n, k, 1)), b2(panels(format, groups, n, k, 2));
    const DeviceArray<float> x(normals(m * k, 3));
    const DeviceArray<int32_t> starts_there(starts);
    DeviceArray<uint16_t> a(m * columns), fast(m * wide), simple(m * wide);
    check(gpu().op.packed_operand(x.get(), m, k, 1, {}, 0, 1, a.get(), nullptr));
    fast.poison();
    simple.poison();
    PackedProductArgs args{.product = {.a = a.get(),
                                       .b = b.get(),
                                       .out = fast.get(),
                                       .a_type = Type::kBFloat16,
                                       .out_type = Type::kBFloat16,
                                       .m = m,
                                       .n = n,
                                       .k = k,
                                       .a_part_columns = columns,
                                       .b2 = b2.get(),
                                       .groups = groups,
                                       .group_starts = starts_there.get(),
                                       .b_group_stride = stride,
                                       .b2_group_stride = stride},
                           .format = format};
    for (const bool in_turn : {false, true}) {
      DeviceArray<int32_t> next(std::vector<int32_t>{0});
      args.product.next_tile = in_turn ? next.get() : nullptr;
      args.product.out = fast.get();
      check(gpu().op.packed_product(args, nullptr));
      args.product.out = simple.get();
      check(gpu().op.packed_product_simple(args, nullptr));
      EXPECT_LT(distance(fast.host(), simple.host(), [](uint16_t v) { return from_bf16(v); }), 8e-3)
          << quant::name(format) << (in_turn ? ", tiles in turn" : "");
    }
  }
}

TEST(PackedGpu, FewRowsAddWhatManyAdd) {
  for (const Format format : quant::all_formats())
    for (const int64_t rows : {1, 3, 4, 5, 8})
      for (const auto& [n, k] : {std::pair<int64_t, int64_t>{1000, 6144}, {33, 9216}, {6144, 96}}) {
        const DeviceArray<unsigned char> b(panels(format, 1, n, k, 1));
        const DeviceArray<float> x(normals(rows * k, 2));
        const int64_t padded = quant::padded_inputs(k);
        DeviceArray<int8_t> codes(rows * 2 * padded);
        DeviceArray<float> scales(rows * quant::block_count(k)), few(rows * n), simple(rows * n);
        DeviceArray<int32_t> sums(rows * quant::group_count(k));
        codes.poison();
        few.poison();
        simple.poison();
        const QuantizedRows quantized{codes.get(), scales.get(), sums.get()};
        check(gpu().op.quantize_rows(x.get(), rows, k, quantized, nullptr));
        check(gpu().op.packed_few_rows(quantized, b.get(), format, few.get(), rows, n, k, nullptr));
        check(gpu().op.packed_product_simple(
            {.product = {.a = x.get(), .b = b.get(), .out = simple.get(), .m = rows, .n = n, .k = k}, .format = format},
            nullptr));
        EXPECT_LT(distance(few.host(), simple.host(), [](float v) { return static_cast<double>(v); }), 2e-4)
            << quant::name(format) << " " << rows << " x " << n << " x " << k;
      }
}

}  // namespace
}  // namespace minimax::cuda
