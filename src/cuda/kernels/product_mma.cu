// Products on the warp-wide products that all GPUs have from compute capability 8.0 (m16n8k16, bfloat16): what
// product.cu does with Hopper's own instructions.
//
// Eight warps compute a tile of 128 x 128 outputs, 64 x 32 each, 32 terms a stage; asynchronous copies bring three
// stages to shared memory ahead of them. Blocks take tile after tile, as in product.cu. Every output is one sum over k
// in steps of 16, in order, whatever the tile.
#include <cuda_bf16.h>

#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/loads.cuh"
#include "cuda/kernels/mma.cuh"
#include "cuda/kernels/product_tiles.cuh"

namespace minimax::cuda {
namespace {

constexpr int kN = 128, kK = 32, kStages = 3, kThreads = 256;
constexpr int kM = kTileRows;

/// An operand's 128 rows of a stage: [rows][terms], or transposed [terms][rows].
template <bool kTransposed>
using StageTile = SharedTile<kTransposed ? 128 : kK>;
template <bool kTransposed>
constexpr int kStageBytes = StageTile<kTransposed>::kRowBytes * (kTransposed ? kK : 128);

/// 16 bytes to shared memory, zeros where they are not `there`.
__device__ __forceinline__ void copy16(void* to, const void* from, bool there) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(to))),
      "l"(from), "r"(there ? 16 : 0)
      : "memory");
}

/// Rows [row, row_end) of `from` (tile rows from `tile_row` on, `count` of them), terms [term, term_end).
/// columns: of the matrix as it lies, which are rows when it is transposed.
template <bool kTransposed>
__device__ void load_rows(const StageTile<kTransposed>& tile, const __nv_bfloat16* from, int64_t columns, int64_t row,
                          int64_t row_end, int tile_row, int count, int64_t term, int64_t term_end) {
  const int pieces = count * kK / 8;
  for (int item = threadIdx.x; item < pieces; item += kThreads) {
    if constexpr (kTransposed) {
      const int t = item / (count / 8), r = item % (count / 8) * 8;
      const bool there = term + t < term_end && row + r < row_end;
      copy16(tile.at(t, tile_row + r), there ? from + (term + t) * columns + row + r : from, there);
    } else {
      const int r = item / (kK / 8), t = item % (kK / 8) * 8;
      const bool there = term + t < term_end && row + r < row_end;
      copy16(tile.at(tile_row + r, t), there ? from + (row + r) * columns + term + t : from, there);
    }
  }
}

/// a of rows row .. of a tile that holds them as columns.
__device__ __forceinline__ void load_a_transposed(const SharedTile<128>& tile, uint32_t (&a)[4], int row, int term) {
  const int lane = threadIdx.x % 32;
  load_matrices_transposed(a, tile.at(term + lane / 16 * 8 + lane % 8, row + lane / 8 % 2 * 8));
}

template <typename Out>
__device__ __forceinline__ void store_one(const ProductArgs& args, Out* out, int64_t row, int64_t column, bool add,
                                          float x) {
  if (column >= args.n) return;
  Out* to = out + row * args.n + column;
  put(to, add ? number(*to) + x : x);
}

template <bool kTransposeA, bool kTransposeB, bool kGated, typename Out>
__global__ void __launch_bounds__(kThreads) product_mma_kernel(const __grid_constant__ ProductArgs args) {
  extern __shared__ __align__(16) unsigned char shared[];
  constexpr int kA = kStageBytes<kTransposeA>, kB = kStageBytes<kTransposeB>;
  const auto a_tile = [&](int stage) {
    return StageTile<kTransposeA>{reinterpret_cast<__nv_bfloat16*>(shared + stage * (kA + kB))};
  };
  const auto b_tile = [&](int stage) {
    return StageTile<kTransposeB>{reinterpret_cast<__nv_bfloat16*>(shared + stage * (kA + kB) + kA)};
  };
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int own_row = warp % 2 * 64, part = warp / 2;
  // Of b's tile, the rows of this warp's two times 16 columns. Gated: the same columns of both matrices.
  const int own_b[2] = {kGated ? part * 16 : part * 32, kGated ? 64 + part * 16 : part * 32 + 16};
  const int64_t a_columns = kTransposeA ? args.m : args.a_parts > 1 ? args.a_parts * args.a_part_columns : args.k;
  const int64_t b_columns = kTransposeB ? args.n : args.k;
  Tiles tiles(args, kGated ? kN / 2 : kN);
  Tile tile;
  for (int64_t at = blockIdx.x; tiles.find(at, tile); at += gridDim.x) {
    if (tile.term >= tile.term_end) continue;
    const auto* a = static_cast<const __nv_bfloat16*>(args.a);
    const int64_t group = args.groups_are_terms ? 0 : tile.group;
    const auto* b = static_cast<const __nv_bfloat16*>(args.b) + group * args.b_group_stride;
    const auto* b2 = static_cast<const __nv_bfloat16*>(args.b2) + group * args.b2_group_stride;
    const auto load = [&](int stage, int64_t term) {
      if (term < tile.term_end) {
        load_rows<kTransposeA>(a_tile(stage), a, a_columns, tile.row, tile.row_end, 0, kM, term, tile.term_end);
        const int64_t b_term = args.a_parts > 1 ? term % args.a_part_columns : term;
        const int64_t b_end = args.a_parts > 1 ? args.k : tile.term_end;
        load_rows<kTransposeB>(b_tile(stage), b, b_columns, tile.column, args.n, 0, kGated ? 64 : kN, b_term, b_end);
        if constexpr (kGated)
          load_rows<kTransposeB>(b_tile(stage), b2, b_columns, tile.column, args.n, 64, 64, b_term, b_end);
      }
      asm volatile("cp.async.commit_group;" ::: "memory");
    };
    float sums[4][4][4] = {};
    for (int stage = 0; stage < kStages - 1; ++stage) load(stage, tile.term + stage * kK);
    int stage = 0;
    for (int64_t term = tile.term; term < tile.term_end; term += kK) {
      asm volatile("cp.async.wait_group %0;" ::"n"(kStages - 2) : "memory");
      __syncthreads();
      load((stage + kStages - 1) % kStages, term + (kStages - 1) * kK);
#pragma unroll
      for (int step = 0; step < kK / 16; ++step) {
        uint32_t rows[4][4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          if constexpr (kTransposeA)
            load_a_transposed(a_tile(stage), rows[i], own_row + i * 16, step * 16);
          else
            a_tile(stage).load_a(rows[i], own_row + i * 16, step * 16);
        }
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          uint32_t columns[4];
          if constexpr (kTransposeB)
            b_tile(stage).load_b_transposed(columns, step * 16, own_b[j]);
          else
            b_tile(stage).load_b(columns, own_b[j], step * 16);
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            multiply_add_16x8(sums[i][2 * j], rows[i], columns[0], columns[1]);
            multiply_add_16x8(sums[i][2 * j + 1], rows[i], columns[2], columns[3]);
          }
        }
      }
      stage = (stage + 1) % kStages;
    }
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncthreads();

    Out* out =
        args.groups_are_terms ? reinterpret_cast<Out*>(args.group_outs[tile.group]) : static_cast<Out*>(args.out);
    if (!out) continue;
    const bool add = args.accumulate || args.groups_are_terms;
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int value = 0; value < 4; ++value) {
        const int64_t row = tile.row + own_row + i * 16 + lane / 4 + value / 2 * 8;
        if (row >= tile.row_end) continue;
#pragma unroll
        for (int eight = 0; eight < (kGated ? 2 : 4); ++eight) {
          const int64_t column =
              tile.column + (kGated ? part * 16 + eight * 8 : part * 32 + eight * 8) + lane % 4 * 2 + value % 2;
          float x = sums[i][eight][value];
          if constexpr (kGated) x = x / (1.0f + __expf(-x)) * sums[i][2 + eight][value];
          store_one(args, out, row, column, add, x);
        }
      }
  }
}

template <bool kTransposeA, bool kTransposeB, bool kGated, typename Out>
Failure launch(const ProductArgs& args, Stream stream) {
  constexpr int kBytes = kStages * (kStageBytes<kTransposeA> + kStageBytes<kTransposeB>);
  auto* kernel = product_mma_kernel<kTransposeA, kTransposeB, kGated, Out>;
  if (Failure wrong = failure(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes)))
    return wrong;
  const int64_t width = kGated ? kN / 2 : kN, groups = args.groups ? args.groups : 1;
  const int64_t tiles = ((args.m + kM - 1) / kM + (args.groups && !args.groups_are_terms ? groups : 0)) *
                        ((args.n + width - 1) / width) * (args.groups_are_terms ? groups : 1);
  const auto blocks = static_cast<unsigned>(min(tiles, static_cast<int64_t>(2 * multiprocessors())));
  kernel<<<blocks, kThreads, kBytes, stream_of(stream)>>>(args);
  return launched();
}

template <typename Out>
Failure launch_plain(const ProductArgs& args, Stream stream) {
  if (args.a_transposed) return launch<true, true, false, Out>(args, stream);
  if (args.b_transposed) return launch<false, true, false, Out>(args, stream);
  return launch<false, false, false, Out>(args, stream);
}

}  // namespace

Failure product_mma(const ProductArgs& args, Stream stream) {
  if (args.m == 0 || args.n == 0) return nullptr;
  if (args.groups > kMaxGroups) return "product: more groups than kMaxGroups";
  if (!tensor_cores_take(args)) return product_simple(args, stream);
  if (args.b2) {
    if (args.out_type != Type::kBFloat16 || args.a_transposed || args.b_transposed)
      return "product: a gated product has bfloat16 outputs and no transposed operand";
    return launch<false, false, true, __nv_bfloat16>(args, stream);
  }
  return with_type(args.out_type, [&](auto* element) {
    using Out = std::remove_pointer_t<decltype(element)>;
    return launch_plain<Out>(args, stream);
  });
}

}  // namespace minimax::cuda
