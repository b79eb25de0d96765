// Products, plain and grouped, of operands of any type and layout.
#include <algorithm>

#include "cuda/played/played.h"

namespace minimax::cuda::played {

Failure product(const ProductArgs& given, Stream) {
  return run([args = given] {
    const auto dot = [&](const void* b, int64_t b_start, int64_t row, int64_t column, int64_t begin, int64_t end) {
      float sum = 0;
      for (int64_t k = begin; k < end; ++k) {
        const int64_t b_k = args.a_parts > 1 ? k % args.a_part_columns : k;
        if (b_k >= args.k && args.a_parts > 1) continue;
        const int64_t width = args.a_parts > 1 ? args.a_parts * args.a_part_columns : args.k;
        const float left = get(args.a, args.a_type, args.a_transposed ? k * args.m + row : row * width + k);
        sum +=
            left * get(b, args.b_type, b_start + (args.b_transposed ? b_k * args.n + column : column * args.k + b_k));
      }
      return sum;
    };
    for (int64_t group = 0; group < std::max<int64_t>(args.groups, 1); ++group) {
      int64_t row = 0, row_end = args.m, k = 0;
      int64_t k_end = args.a_parts > 1 ? args.a_parts * args.a_part_columns : args.k;
      if (args.groups) {
        (args.groups_are_terms ? k : row) = args.group_starts[group];
        (args.groups_are_terms ? k_end : row_end) = args.group_starts[group + 1];
      }
      void* out = args.groups_are_terms ? args.group_outs[group] : args.out;
      if (!out || k == k_end) continue;
      const int64_t b_start = args.groups_are_terms ? 0 : group * args.b_group_stride;
      for (; row < row_end; ++row)
        for (int64_t column = 0; column < args.n; ++column) {
          float value = dot(args.b, b_start, row, column, k, k_end);
          if (args.b2) value *= sigmoid(value) * dot(args.b2, group * args.b2_group_stride, row, column, k, k_end);
          const int64_t at = row * args.n + column;
          const bool add = args.accumulate || args.groups_are_terms;
          put(out, args.out_type, at, add ? get(out, args.out_type, at) + value : value);
        }
    }
  });
}
Failure few_rows_product(const float* x, const void* weight, Type type, float* out, int64_t rows, int64_t n, int64_t k,
                         Stream stream) {
  return product({.a = x, .b = weight, .out = out, .b_type = type, .m = rows, .n = n, .k = k}, stream);
}
Failure thin_product(const float* x, const float* weight, float* out, int64_t rows, int64_t n, int64_t k,
                     Stream stream) {
  return product({.a = x, .b = weight, .out = out, .m = rows, .n = n, .k = k}, stream);
}
Failure product_mma(const ProductArgs& args, Stream stream) {
  return product(args, stream);
}
Failure product_simple(const ProductArgs& args, Stream stream) {
  return product(args, stream);
}

}  // namespace minimax::cuda::played
