// What is done with packed panels number by number: activations as operands of packed_product, rows of a table, and
// products on float32 units, which are the exact ones and the check of packed_product.cu.
#include <cuda_bf16.h>

#include "cuda/kernels/loads.cuh"
#include "cuda/kernels/packed.cuh"

namespace minimax::cuda {
namespace {

using namespace packed;

constexpr int kThreads = 256;

// Grid: rows of out.
__global__ void __launch_bounds__(kThreads)
    packed_operand_kernel(const float* x, int64_t k, int64_t parts, ExpertOrder order, int64_t experts, int64_t top_k,
                          __nv_bfloat16* out) {
  const int64_t row = blockIdx.x, columns = packed_columns(k);
  int64_t from = row;
  if (order.starts) {
    if (row >= order.starts[experts]) return;
    const int64_t pair = order.pair_of[row];
    from = pair < 0 ? -1 : pair / top_k;
  }
  __nv_bfloat16* to = out + row * parts * columns;
  for (int64_t column = threadIdx.x; column < columns; column += kThreads) {
    const int64_t input = column / kGroup * kGroup + input_of_column(static_cast<int>(column % kGroup));
    float left = from >= 0 && input < k ? x[from * k + input] : 0.0f;
    for (int64_t part = 0; part < parts; ++part) {
      const __nv_bfloat16 taken = __float2bfloat16(left);
      to[part * columns + column] = taken;
      left -= __bfloat162float(taken);
    }
  }
}

// Grid: indices.
template <Format kFormat>
__global__ void __launch_bounds__(kThreads) packed_take_rows_kernel(const unsigned char* panels, int64_t table_rows,
                                                                    const int32_t* indices, float* out, int64_t width) {
  const int64_t index = indices[blockIdx.x];
  const bool there = index >= 0 && index < table_rows;
  const unsigned char* panel = panels + (there ? index / kPanel : 0) * Layout<kFormat>::panel_bytes(width);
  for (int64_t i = threadIdx.x; i < width; i += kThreads)
    out[blockIdx.x * width + i] =
        there ? weight_at<kFormat>(panel, static_cast<int>(index % kPanel), i) : __int_as_float(0x7fffffff);
}

// 64 x 64 outputs a block, 4 x 4 a thread, as product_simple.cu.
constexpr int kTile = 64, kStep = 16;

template <Format kFormat, typename A>
__device__ float term_of(const ProductArgs& args, const A* a, int64_t row, int64_t k) {
  if constexpr (sizeof(A) == 4) return a[row * args.k + k];
  const int64_t columns = args.a_part_columns;
  const int64_t column = k / kGroup * kGroup + column_of_input(static_cast<int>(k % kGroup));
  float sum = 0;
  for (int64_t part = args.a_parts; part-- > 0;) sum += number(a[(row * args.a_parts + part) * columns + column]);
  return sum;
}

template <Format kFormat, typename A>
__device__ void sum_tile(const ProductArgs& args, const unsigned char* panels, int64_t row0, int64_t row_end,
                         int64_t n0, float (&sums)[4][4]) {
  __shared__ float a_tile[kStep][kTile + 1], b_tile[kStep][kTile + 1];
  const A* a = static_cast<const A*>(args.a);
  const int64_t panel_bytes = Layout<kFormat>::panel_bytes(args.k);
  const int thread = threadIdx.x, row = thread / 16, column = thread % 16;
  for (int64_t k0 = 0; k0 < args.k; k0 += kStep) {
    for (int item = thread; item < kTile * kStep; item += kThreads) {
      const int64_t k = k0 + item % kStep, r = row0 + item / kStep, output = n0 + item / kStep;
      a_tile[item % kStep][item / kStep] = r < row_end && k < args.k ? term_of<kFormat>(args, a, r, k) : 0.0f;
      b_tile[item % kStep][item / kStep] =
          output < args.n && k < args.k
              ? weight_at<kFormat>(panels + output / kPanel * panel_bytes, static_cast<int>(output % kPanel), k)
              : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int term = 0; term < kStep; ++term)
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sums[i][j] = fmaf(a_tile[term][row + 16 * i], b_tile[term][column + 16 * j], sums[i][j]);
    __syncthreads();
  }
}

// Grid: n tiles (of the columns of an operand where the output is one) x row tiles x groups.
template <Format kFormat, typename A>
__global__ void __launch_bounds__(kThreads) packed_product_simple_kernel(const ProductArgs args) {
  const int64_t group = blockIdx.z, begin = args.groups ? args.group_starts[group] : 0;
  const int64_t row_end = args.groups ? args.group_starts[group + 1] : args.m;
  const int64_t row0 = begin + static_cast<int64_t>(blockIdx.y) * kTile, n0 = static_cast<int64_t>(blockIdx.x) * kTile;
  if (row0 >= row_end) return;
  float sums[4][4] = {}, more[4][4] = {};
  sum_tile<kFormat, A>(args, static_cast<const unsigned char*>(args.b) + group * args.b_group_stride, row0, row_end, n0,
                       sums);
  if (args.b2)
    sum_tile<kFormat, A>(args, static_cast<const unsigned char*>(args.b2) + group * args.b2_group_stride, row0, row_end,
                         n0, more);
  const bool operand = sizeof(A) == 2 && args.b2;
  const int64_t width = operand ? packed_columns(args.n) : args.n;
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) {
      const int64_t row = row0 + threadIdx.x / 16 + 16 * i, output = n0 + threadIdx.x % 16 + 16 * j;
      if (row >= row_end || output >= width) continue;
      float value = sums[i][j];
      if (args.b2) value = value / (1.0f + expf(-value)) * more[i][j];
      if (operand) {
        const int64_t column = output / kGroup * kGroup + column_of_input(static_cast<int>(output % kGroup));
        put(static_cast<__nv_bfloat16*>(args.out) + row * width + column, value);
      } else {
        put(static_cast<float*>(args.out) + row * width + output, value);
      }
    }
}

}  // namespace

Failure packed_operand(const float* x, int64_t rows, int64_t k, int64_t parts, const ExpertOrder& order,
                       int64_t experts, int64_t top_k, void* out, Stream stream) {
  if (rows == 0) return nullptr;
  packed_operand_kernel<<<static_cast<unsigned>(rows), kThreads, 0, stream_of(stream)>>>(
      x, k, parts, order, experts, top_k, static_cast<__nv_bfloat16*>(out));
  return launched();
}

Failure packed_take_rows(const void* panels, Format format, int64_t table_rows, const int32_t* indices, float* out,
                         int64_t count, int64_t width, Stream stream) {
  if (count == 0) return nullptr;
  return with_format(format, [&]<Format kFormat>() -> Failure {
    packed_take_rows_kernel<kFormat><<<static_cast<unsigned>(count), kThreads, 0, stream_of(stream)>>>(
        static_cast<const unsigned char*>(panels), table_rows, indices, out, width);
    return launched();
  });
}

Failure packed_product_simple(const PackedProductArgs& packed, Stream stream) {
  const ProductArgs& args = packed.product;
  if (args.m == 0 || args.n == 0) return nullptr;
  if (args.groups > kMaxGroups) return "packed_product_simple: more groups than kMaxGroups";
  const int64_t width = args.b2 && args.a_type == Type::kBFloat16 ? packed_columns(args.n) : args.n;
  const dim3 grid(static_cast<unsigned>((width + kTile - 1) / kTile),
                  static_cast<unsigned>((args.m + kTile - 1) / kTile),
                  static_cast<unsigned>(args.groups ? args.groups : 1));
  if (grid.y > 65535) return "packed_product_simple: more than 4 million rows";
  return with_format(packed.format, [&]<Format kFormat>() -> Failure {
    return with_type(args.a_type, [&](auto* element) {
      using A = std::remove_pointer_t<decltype(element)>;
      packed_product_simple_kernel<kFormat, A><<<grid, kThreads, 0, stream_of(stream)>>>(args);
      return launched();
    });
  });
}

}  // namespace minimax::cuda
