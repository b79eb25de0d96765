// Products on Hopper's tensor cores: dense ones, and those of a mixture's experts, whose row counts only the device
// knows. One kernel for all layouts: forward (K-major operands), gradients of inputs (b transposed) and of weights
// (both transposed).
//
// A block stays on its multiprocessor and takes tiles of 128 x kN outputs, one after the other. One warp asks the copy
// engine for the operands, 64 terms a stage, some stages ahead; two warpgroups compute 64 rows each. Every output is
// one sum over k in steps of 16, in order, whatever the tile: neighbours and row counts change no bit.
#include <cuda_bf16.h>

#include "cuda/kernels/hopper.cuh"
#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/loads.cuh"
#include "cuda/kernels/product_taken.cuh"
#include "cuda/kernels/product_tiles.cuh"
#include "cuda/kernels/tensor_map.cuh"

namespace minimax::cuda {
namespace {

constexpr int kM = kTileRows, kK = 64;
constexpr int kThreads = 384;  // a warpgroup that loads, two that compute

template <int kN>
struct Shared {
  static constexpr int kStages = kN == 256 ? 4 : kN == 128 ? 6 : 8;
  static constexpr int kA = kM * kK * 2, kB = kN * kK * 2, kStage = kA + kB;
  static constexpr int kBarriers = kStages * kStage;
  static constexpr int kTaken = kBarriers + (2 * kStages + 4) * 8;  // indices of the block's tiles
  static constexpr int kBytes = kTaken + 2 * 8;
  static constexpr int kAllocated = kBytes + 1024;  // the stages start at a multiple of 1024
};

/// Loads the operands of all tiles; one thread.
template <int kN, bool kTransposeA, bool kTransposeB, bool kGated>
__device__ void load_tiles(const CUtensorMap* a, const CUtensorMap* b, const CUtensorMap* b2, const ProductArgs& args,
                           uint32_t shared, uint32_t full, uint32_t empty, Taken taken) {
  using S = Shared<kN>;
  Tiles tiles(args, kGated ? kN / 2 : kN);
  Tile tile;
  int stage = 0;
  uint32_t phase = 0;
  while (tiles.find(taken.take(), tile)) {
    const int row = static_cast<int>(tile.row), column = static_cast<int>(tile.column);
    const int group = args.groups_are_terms ? 0 : static_cast<int>(tile.group);
    for (int64_t term = tile.term; term < tile.term_end; term += kK) {
      barrier_wait(empty + stage * 8, phase ^ 1);
      const uint32_t to_a = shared + stage * S::kStage, to_b = to_a + S::kA, done = full + stage * 8;
      barrier_expect(done, S::kStage);
      const int k = static_cast<int>(term);
      const int b_k = args.a_parts > 1 ? static_cast<int>(term % args.a_part_columns) : k;
      if constexpr (kTransposeA) {
        for (int panel = 0; panel < kM / 64; ++panel) copy_box(to_a + panel * 8192, a, row + panel * 64, k, done);
      } else {
        copy_box(to_a, a, k, row, done);
      }
      if constexpr (kTransposeB) {
        for (int panel = 0; panel < kN / 64; ++panel)
          copy_box(to_b + panel * 8192, b, column + panel * 64, b_k, group, done);
      } else if constexpr (kGated) {
        copy_box(to_b, b, b_k, column, group, done);
        copy_box(to_b + S::kB / 2, b2, b_k, column, group, done);
      } else {
        copy_box(to_b, b, b_k, column, group, done);
      }
      if (++stage == S::kStages) stage = 0, phase ^= 1;
    }
  }
}

template <typename Out>
__device__ __forceinline__ void store_pair(Out* out, int64_t row, int64_t column, int64_t n, bool add, float x,
                                           float y) {
  Out* to = out + row * n + column;
  if (n % 2 == 0) {
    if constexpr (sizeof(Out) == 4) {
      float2 value = {x, y};
      if (add) {
        const float2 before = *reinterpret_cast<const float2*>(to);
        value = {before.x + x, before.y + y};
      }
      *reinterpret_cast<float2*>(to) = value;
    } else {
      *reinterpret_cast<__nv_bfloat162*>(to) = __floats2bfloat162_rn(x, y);
    }
    return;
  }
  put(to, add ? number(*to) + x : x);
  if (column + 1 < n) put(to + 1, add ? number(to[1]) + y : y);
}

/// Computes rows 64 * part .. of each tile; a warpgroup.
template <int kN, bool kTransposeA, bool kTransposeB, bool kGated, typename Out>
__device__ void multiply_tiles(const ProductArgs& args, int part, uint32_t shared, uint32_t full, uint32_t empty,
                               Taken taken) {
  using S = Shared<kN>;
  Tiles tiles(args, kGated ? kN / 2 : kN);
  Tile tile;
  int stage = 0;
  uint32_t phase = 0;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
  while (tiles.find(taken.hear(), tile)) {
    if (tile.term >= tile.term_end) continue;    // a group without rows adds nothing
    if (tile.row + part * 64 >= tile.row_end) {  // these rows are nobody's: one thread lets the stages go
      const int64_t steps = (tile.term_end - tile.term + kK - 1) / kK;
      if (threadIdx.x % 128 == 0) {
        for (int64_t step = 0; step < steps; ++step) {
          const int at = static_cast<int>((stage + step) % S::kStages);
          barrier_wait(full + at * 8, phase ^ static_cast<uint32_t>((stage + step) / S::kStages & 1));
          barrier_arrive(empty + at * 8);
        }
      }
      // The others wait here: a barrier tells two rounds apart by their parity, so nobody may be a round ahead or
      // behind.
      __syncwarp();
      asm volatile("bar.sync %0, 128;" ::"r"(part + 1) : "memory");
      phase ^= static_cast<uint32_t>((stage + steps) / S::kStages & 1);
      stage = static_cast<int>((stage + steps) % S::kStages);
      continue;
    }
    float sums[kN / 2];
    int before = -1;
    for (int64_t term = tile.term; term < tile.term_end; term += kK) {
      barrier_wait(full + stage * 8, phase);
      const uint32_t at_a = shared + stage * S::kStage, at_b = at_a + S::kA;
      // Either way this warpgroup's 64 rows are 8 KiB of a's tile.
      const uint64_t a = operand(at_a + part * 8192, 8192), b = operand(at_b, 8192);
      products_begin();
#pragma unroll
      for (int step = 0; step < kK / 16; ++step)
        product_any<kTransposeA, kTransposeB>(sums, further(a, step * (kTransposeA ? 2048 : 32)),
                                              further(b, step * (kTransposeB ? 2048 : 32)),
                                              step > 0 || term > tile.term);
      products_commit();
      products_wait<1>();
      if (before >= 0 && threadIdx.x % 128 == 0) barrier_arrive(empty + before * 8);
      before = stage;
      if (++stage == S::kStages) stage = 0, phase ^= 1;
    }
    products_wait<0>();
    pin(sums);
    if (threadIdx.x % 128 == 0) barrier_arrive(empty + before * 8);

    Out* out =
        args.groups_are_terms ? reinterpret_cast<Out*>(args.group_outs[tile.group]) : static_cast<Out*>(args.out);
    if (!out) continue;
    const bool add = args.accumulate || args.groups_are_terms;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t row = tile.row + part * 64 + warp * 16 + lane / 4 + half * 8;
      if (row >= tile.row_end) continue;
#pragma unroll
      for (int eight = 0; eight < (kGated ? kN / 16 : kN / 8); ++eight) {
        const int64_t column = tile.column + eight * 8 + lane % 4 * 2;
        if (column >= args.n) continue;
        float x = sums[eight * 4 + half * 2], y = sums[eight * 4 + half * 2 + 1];
        if constexpr (kGated) {
          x = x / (1.0f + __expf(-x)) * sums[kN / 4 + eight * 4 + half * 2];
          y = y / (1.0f + __expf(-y)) * sums[kN / 4 + eight * 4 + half * 2 + 1];
        }
        store_pair(out, row, column, args.n, add, x, y);
      }
    }
  }
}

template <int kN, bool kTransposeA, bool kTransposeB, bool kGated, typename Out>
__global__ void __launch_bounds__(kThreads, 1)
    product_kernel(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                   const __grid_constant__ CUtensorMap b2, const __grid_constant__ ProductArgs args) {
#if MINIMAX_HOPPER
  using S = Shared<kN>;
  extern __shared__ unsigned char memory[];
  const uint32_t shared = (shared_address(memory) + 1023) / 1024 * 1024;
  const uint32_t full = shared + S::kBarriers, empty = full + S::kStages * 8, told = empty + S::kStages * 8;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < S::kStages; ++stage) {
      barrier_init(full + stage * 8, 1);
      barrier_init(empty + stage * 8, 2);
    }
    for (int slot = 0; slot < 2; ++slot) {
      barrier_init(told + slot * 8, 1);
      barrier_init(told + 16 + slot * 8, 8);  // a warp each
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  const Taken taken(args, told, reinterpret_cast<int64_t*>(memory + (shared - shared_address(memory)) + S::kTaken));
  __syncthreads();
  if (threadIdx.x < 128) {
    fewer_registers<40>();
    if (threadIdx.x == 0)
      load_tiles<kN, kTransposeA, kTransposeB, kGated>(&a, &b, &b2, args, shared, full, empty, taken);
  } else {
    more_registers<232>();
    multiply_tiles<kN, kTransposeA, kTransposeB, kGated, Out>(args, threadIdx.x / 128 - 1, shared, full, empty, taken);
  }
#endif
}

template <int kN, bool kTransposeA, bool kTransposeB, bool kGated, typename Out>
Failure launch(const ProductArgs& args, Stream stream) {
  CUtensorMap a{}, b{}, b2{};
  const int64_t a_columns = args.a_parts > 1 ? args.a_parts * args.a_part_columns : args.k;
  const int64_t layers = args.groups && !args.groups_are_terms ? args.groups : 1;
  const int64_t own = args.n * args.k;  // of the only layer
  bool ok = kTransposeA ? describe(&a, args.a, args.k, args.m, 1, 0, 64, true)
                        : describe(&a, args.a, args.m, a_columns, 1, 0, kM, true);
  const int64_t stride = layers > 1 ? args.b_group_stride : own;
  ok = ok && (kTransposeB ? describe(&b, args.b, args.k, args.n, layers, stride, 64, false)
                          : describe(&b, args.b, args.n, args.k, layers, stride, kGated ? kN / 2 : kN, false));
  if (kGated)
    ok = ok && describe(&b2, args.b2, args.n, args.k, layers, layers > 1 ? args.b2_group_stride : own, kN / 2, false);
  if (!ok) return "product: an operand cannot be described to the copy engine";
  auto* kernel = product_kernel<kN, kTransposeA, kTransposeB, kGated, Out>;
  if (Failure wrong =
          failure(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Shared<kN>::kAllocated)))
    return wrong;
  kernel<<<static_cast<unsigned>(multiprocessors()), kThreads, Shared<kN>::kAllocated, stream_of(stream)>>>(a, b, b2,
                                                                                                            args);
  return launched();
}

template <int kN, typename Out>
Failure launch_plain(const ProductArgs& args, Stream stream) {
  if (args.a_transposed) return launch<kN, true, true, false, Out>(args, stream);
  if (args.b_transposed) return launch<kN, false, true, false, Out>(args, stream);
  return launch<kN, false, false, false, Out>(args, stream);
}

}  // namespace

Failure product(const ProductArgs& args, Stream stream) {
  if (args.m == 0 || args.n == 0) return nullptr;
  if (args.groups > kMaxGroups) return "product: more groups than kMaxGroups";
  if (!on_hopper()) return product_mma(args, stream);
  if (!tensor_cores_take(args)) return product_simple(args, stream);
  if (args.b2 && (args.out_type != Type::kBFloat16 || args.a_transposed || args.b_transposed))
    return "product: a gated product has bfloat16 outputs and no transposed operand";
  // The width whose tiles are done first: a tile takes time for its columns and some for itself. Of few rows only as
  // many groups have any: with all of them counted, a token's experts got wide tiles for a third of the
  // multiprocessors.
  int64_t m_tiles = (args.m + kM - 1) / kM;
  if (args.groups) m_tiles = args.groups_are_terms ? m_tiles * args.groups : m_tiles - 1 + min(args.groups, args.m);
  const int64_t columns = args.b2 ? 2 * args.n : args.n;
  const auto cost = [&](int64_t width) {
    const int64_t tiles = m_tiles * ((columns + width - 1) / width);
    return (tiles + multiprocessors() - 1) / multiprocessors() * (width + 32);
  };
  const int64_t wide = cost(256), middle = cost(128), narrow = cost(64);
  if (args.b2) {
    if (wide <= middle && wide <= narrow) return launch<256, false, false, true, __nv_bfloat16>(args, stream);
    if (middle <= narrow) return launch<128, false, false, true, __nv_bfloat16>(args, stream);
    return launch<64, false, false, true, __nv_bfloat16>(args, stream);
  }
  return with_type(args.out_type, [&](auto* element) {
    using Out = std::remove_pointer_t<decltype(element)>;
    if (wide <= middle && wide <= narrow) return launch_plain<256, Out>(args, stream);
    if (middle <= narrow) return launch_plain<128, Out>(args, stream);
    return launch_plain<64, Out>(args, stream);
  });
}

}  // namespace minimax::cuda
