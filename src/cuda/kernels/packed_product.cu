// Products of many rows with packed panels on Hopper's tensor cores: dense ones, and those of a mixture's experts, from
// one token to as many as there are. The weights stay packed in memory and in shared memory; a warp makes bfloat16 of
// them in its registers, where they are the left operand of warpgroup products: out^T = W x^T. They never pass through
// shared memory as numbers, which would take twice what reading the activations takes.
//
// A block stays on its multiprocessor and takes tiles of 256 outputs x kN rows of x. One warp asks the copy engine for
// half blocks (128 inputs): boxes of activations, and of every panel its header and codes as they lie. Each of eight
// warps owns a panel (or with SiLU one of gate and the same one of up): while the tensor cores multiply a group of 32
// inputs, it unpacks the next one. Lane 4 g + t unpacks rows 4 g .. 4 g + 3 and inputs 8 t .. 8 t + 7, the same bytes
// that it would have to pass on otherwise (cuda/packed_words.h); the activations' columns are ordered to suit that, by
// packed_operand or by the product before. Every output is one sum over k in steps of 16, in order, whatever the tile.
#include <cuda_bf16.h>

#include "cuda/kernels/hopper.cuh"
#include "cuda/kernels/loads.cuh"
#include "cuda/kernels/packed.cuh"
#include "cuda/kernels/product_taken.cuh"
#include "cuda/kernels/product_tiles.cuh"
#include "cuda/kernels/tensor_map.cuh"

namespace minimax::cuda {
namespace {

using namespace packed;

constexpr int kPanels = 8, kOutputs = kPanels * kPanel;
constexpr int kThreads = 384;  // a warpgroup that loads, two that compute
constexpr int kHalf = kHalfGroups * kGroup;

template <Format kFormat, int kN, int kMatrices>
struct Shared {
  using L = Layout<kFormat>;
  static constexpr int kX = kN * kHalf * 2;  // two boxes of 64 columns
  static constexpr int kCodes = (L::kBlockHeader + 127) / 128 * 128;
  static constexpr int kPanelBytes = kCodes + kHalfGroups * L::kGroupBytes;
  static constexpr int kStage = (kX + kMatrices * kPanels * kPanelBytes + 1023) / 1024 * 1024;
  static constexpr int kMost = 226 * 1024 - 1024 - 256;
  static constexpr int kStages = kMost / kStage > 4 ? 4 : kMost / kStage;
  static_assert(kStages >= 2);
  static constexpr int kBarriers = kStages * kStage;
  static constexpr int kTaken = kBarriers + (2 * kStages + 4) * 8;  // indices of the block's tiles
  static constexpr int kAllocated = kTaken + 2 * 8 + 1024;          // the stages start at a multiple of 1024
};

/// Half blocks of a tile's sums: of each part of x, the matrix's from the first on.
struct Halves {
  int64_t groups, halves, all;
  __device__ explicit Halves(const ProductArgs& args)
      : groups((args.k + kGroup - 1) / kGroup),
        halves((groups + kHalfGroups - 1) / kHalfGroups),
        all(halves * args.a_parts) {}
  __device__ int there(int64_t half) const {
    return static_cast<int>(min(static_cast<int64_t>(kHalfGroups), groups - half * kHalfGroups));
  }
};

/// Loads the operands of all tiles; a warp.
template <Format kFormat, int kN, int kMatrices>
__device__ void load_tiles(const CUtensorMap* x, const ProductArgs& args, uint32_t shared, uint32_t full,
                           uint32_t empty, Taken taken) {
  using S = Shared<kFormat, kN, kMatrices>;
  using L = Layout<kFormat>;
  const int lane = threadIdx.x % 32;
  const Tiles<kN> tiles(args, kOutputs);
  const Halves halves(args);
  const int64_t panel_bytes = L::panel_bytes(args.k);
  Tile tile;
  int stage = 0;
  uint32_t phase = 0;
  for (;;) {
    int64_t at = lane == 0 ? taken.take() : 0;
    at = __shfl_sync(0xffffffffu, at, 0);
    if (!tiles.find(at, tile)) return;
    // Lanes 0 .. 7 copy a panel of b each, lanes 8 .. 15 of b2.
    const int panels =
        static_cast<int>(min(static_cast<int64_t>(kPanels), (args.n - tile.column + kPanel - 1) / kPanel));
    const int matrix = lane / kPanels, panel = lane % kPanels;
    const bool copies = matrix < kMatrices && panel < panels;
    const unsigned char* from = static_cast<const unsigned char*>(matrix == 0 ? args.b : args.b2) +
                                tile.group * (matrix == 0 ? args.b_group_stride : args.b2_group_stride) +
                                (tile.column / kPanel + panel) * panel_bytes;
    for (int64_t step = 0; step < halves.all; ++step) {
      const int64_t half = step % halves.halves, part = step / halves.halves;
      const int there = halves.there(half);
      const auto codes_bytes = static_cast<uint32_t>(there * L::kGroupBytes);
      const uint32_t to_x = shared + stage * S::kStage, done = full + stage * 8;
      barrier_wait(empty + stage * 8, phase ^ 1);  // each lane for itself: all of them write there
      if (lane == 0) {
        const int boxes = there > 2 ? 2 : 1;
        barrier_expect(done, boxes * kN * 128 + kMatrices * panels * (L::kBlockHeader + codes_bytes));
        for (int box = 0; box < boxes; ++box)
          copy_box(to_x + box * kN * 128, x, static_cast<int>(part * args.a_part_columns + half * kHalf + box * 64),
                   static_cast<int>(tile.row), done);
      }
      __syncwarp();
      if (copies) {
        const uint32_t to = to_x + S::kX + lane * S::kPanelBytes;
        const unsigned char* header = from + L::block_offset(half / 2);
        if constexpr (L::kBlockHeader > 0) copy_flat(to, header, L::kBlockHeader, done);
        copy_flat(to + S::kCodes, header + L::kBlockHeader + half % 2 * kHalfGroups * L::kGroupBytes, codes_bytes,
                  done);
      }
      __syncwarp();
      if (++stage == S::kStages) stage = 0, phase ^= 1;
    }
  }
}

/// A group's weights of the lane as operands: [pair][step][register].
template <Format kFormat>
__device__ __forceinline__ void unpack(uint32_t (&a)[2][2][4], const unsigned char* codes_at,
                                       const Scales<kFormat>& scales, int group, int g, int t) {
  Codes<kFormat> codes;
#pragma unroll
  for (int piece = 0; piece < Codes<kFormat>::kPieces; ++piece) {
    const uint4 words = *reinterpret_cast<const uint4*>(codes_at + group * Layout<kFormat>::kGroupBytes +
                                                        Codes<kFormat>::place(piece, g, t));
    uint32_t* to = codes.words(piece);
    to[0] = words.x, to[1] = words.y, to[2] = words.z, to[3] = words.w;
  }
#pragma unroll
  for (int row = 0; row < 4; ++row) {
    const int zero = scales.zero(group, row);
    const float factor = scales.scale(group, row) * static_cast<float>(scales.step(group, row));
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      const uint32_t quad = codes.quad(row, step, t);
      float numbers[4];
#pragma unroll
      for (int place = 0; place < 4; ++place) numbers[place] = weight_of(quad, place, 1, zero) * factor;
#pragma unroll
      for (int high = 0; high < 2; ++high) {
        constexpr OperandPlace kFirst = operand_place(0, 0, 0), kSecond = operand_place(0, 0, 2);
        const int first = high == 0 ? kFirst.places[0] : kSecond.places[0];
        const int second = high == 0 ? kFirst.places[1] : kSecond.places[1];
        a[row / 2][step][row % 2 + 2 * high] = pack_bf16(numbers[first], numbers[second]);
      }
    }
  }
}

/// Computes the outputs of its warps' panels of each tile; a warpgroup.
template <Format kFormat, int kN, int kMatrices>
__device__ void multiply_tiles(const ProductArgs& args, int part, const unsigned char* memory, uint32_t shared,
                               uint32_t full, uint32_t empty, Taken taken) {
  using S = Shared<kFormat, kN, kMatrices>;
  using L = Layout<kFormat>;
  const Tiles<kN> tiles(args, kOutputs);
  const Halves halves(args);
  const int64_t panel_bytes = L::panel_bytes(args.k), padded_n = packed_columns(args.n);
  const int lane = threadIdx.x % 32, own = part * 4 + threadIdx.x / 32 % 4, g = lane / 4, t = lane % 4;
  Tile tile;
  int stage = 0;
  uint32_t phase = 0;
  while (tiles.find(taken.hear(), tile)) {
    const int64_t first = tile.column + own * kPanel;  // output
    float sums[kMatrices][2][kN / 2];
    Scales<kFormat> scales[kMatrices];
    // experts-int8 has its scales at the start of the panel. A panel that is not there has none, and no output.
    if constexpr (kFormat == Format::kExpertsInt8) {
#pragma unroll
      for (int matrix = 0; matrix < kMatrices; ++matrix)
        if (first < args.n)
          scales[matrix].load(static_cast<const unsigned char*>(matrix == 0 ? args.b : args.b2) +
                                  tile.group * (matrix == 0 ? args.b_group_stride : args.b2_group_stride) +
                                  first / kPanel * panel_bytes,
                              nullptr, 0, g);
        else
          scales[matrix] = {};
    }
    for (int64_t step = 0; step < halves.all; ++step) {
      const int64_t half = step % halves.halves;
      const int there = halves.there(half);
      barrier_wait(full + stage * 8, phase);
      const unsigned char* panels = memory + stage * S::kStage + S::kX + own * S::kPanelBytes;
      if constexpr (kFormat != Format::kExpertsInt8)
#pragma unroll
        for (int matrix = 0; matrix < kMatrices; ++matrix)
          scales[matrix].load(nullptr, panels + matrix * kPanels * S::kPanelBytes, static_cast<int>(half % 2), g);
      // Two sets of operands: one is multiplied while the other is made.
      uint32_t a[2][2][2][4];
      const uint64_t x = operand(shared + stage * S::kStage, 8192);
#pragma unroll
      for (int unit = 0; unit < kHalfGroups * kMatrices; ++unit) {
        const int group = unit / kMatrices, matrix = unit % kMatrices;
        if (group >= there) break;
        products_wait<1>();  // those of the unit before last, whose registers are next
        unpack<kFormat>(a[unit % 2], panels + matrix * kPanels * S::kPanelBytes + S::kCodes, scales[matrix], group, g,
                        t);
        products_begin();
#pragma unroll
        for (int sixteen = 0; sixteen < 2; ++sixteen)
#pragma unroll
          for (int pair = 0; pair < 2; ++pair)
            product_any(sums[matrix][pair], a[unit % 2][pair][sixteen],
                        further(x, group / 2 * kN * 128 + group % 2 * 64 + sixteen * 32),
                        sixteen > 0 || group > 0 || step > 0);
        products_commit();
      }
      products_wait<0>();
      __syncwarp();
      if (lane == 0) barrier_arrive(empty + stage * 8);
      if (++stage == S::kStages) stage = 0, phase ^= 1;
    }
#pragma unroll
    for (int matrix = 0; matrix < kMatrices; ++matrix)
#pragma unroll
      for (int pair = 0; pair < 2; ++pair) pin(sums[matrix][pair]);

    if (first >= (kMatrices == 2 ? padded_n : args.n)) continue;
#pragma unroll
    for (int eight = 0; eight < kN / 8; ++eight)
#pragma unroll
      for (int odd = 0; odd < 2; ++odd) {
        const int64_t row = tile.row + eight * 8 + t * 2 + odd;
        if (row >= tile.row_end) continue;
        float values[4];  // outputs first + 4 g ..
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          values[i] = sums[0][i / 2][eight * 4 + i % 2 * 2 + odd];
          if constexpr (kMatrices == 2) {
            values[i] = values[i] / (1.0f + __expf(-values[i])) * sums[1][i / 2][eight * 4 + i % 2 * 2 + odd];
            if (first + 4 * g + i >= args.n) values[i] = 0;
          }
        }
        if constexpr (kMatrices == 2) {
          auto* out = static_cast<__nv_bfloat16*>(args.out) + row * padded_n + first;
          // As columns of the next product's operand: 4 g and 4 g + 2 are neighbours, 4 g + 1 and 4 g + 3 too.
          *reinterpret_cast<uint32_t*>(out + column_of_input(4 * g)) = pack_bf16(values[0], values[2]);
          *reinterpret_cast<uint32_t*>(out + column_of_input(4 * g + 1)) = pack_bf16(values[1], values[3]);
        } else {
          const int64_t output = first + 4 * g, left = args.n - output;
          float* out = static_cast<float*>(args.out) + row * args.n + output;
          if (left >= 4 && args.n % 4 == 0)
            *reinterpret_cast<float4*>(out) = {values[0], values[1], values[2], values[3]};
          else
#pragma unroll
            for (int i = 0; i < 4; ++i)
              if (i < left) out[i] = values[i];
        }
      }
  }
}

template <Format kFormat, int kN, int kMatrices>
__global__ void __launch_bounds__(kThreads, 1)
    packed_product_kernel(const __grid_constant__ CUtensorMap x, const __grid_constant__ ProductArgs args) {
#if MINIMAX_HOPPER
  using S = Shared<kFormat, kN, kMatrices>;
  extern __shared__ unsigned char memory[];
  const uint32_t shared = (shared_address(memory) + 1023) / 1024 * 1024;
  unsigned char* start = memory + (shared - shared_address(memory));
  const uint32_t full = shared + S::kBarriers, empty = full + S::kStages * 8, told = empty + S::kStages * 8;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < S::kStages; ++stage) {
      barrier_init(full + stage * 8, 1);
      barrier_init(empty + stage * 8, 8);  // a warp each: every one reads codes for itself
    }
    for (int slot = 0; slot < 2; ++slot) {
      barrier_init(told + slot * 8, 1);
      barrier_init(told + 16 + slot * 8, 8);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  const Taken taken(args, told, reinterpret_cast<int64_t*>(start + S::kTaken));
  __syncthreads();
  if (threadIdx.x < 128) {
    fewer_registers<56>();
    if (threadIdx.x < 32) load_tiles<kFormat, kN, kMatrices>(&x, args, shared, full, empty, taken);
  } else {
    more_registers<224>();
    multiply_tiles<kFormat, kN, kMatrices>(args, threadIdx.x / 128 - 1, start, shared, full, empty, taken);
  }
#endif
}

template <Format kFormat, int kN, int kMatrices>
Failure launch(const ProductArgs& args, Stream stream) {
  using S = Shared<kFormat, kN, kMatrices>;
  CUtensorMap x{};
  if (!describe(&x, args.a, args.m, args.a_parts * args.a_part_columns, 1, 0, kN, true))
    return "packed_product: the activations cannot be described to the copy engine";
  auto* kernel = packed_product_kernel<kFormat, kN, kMatrices>;
  if (Failure wrong = failure(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, S::kAllocated)))
    return wrong;
  kernel<<<static_cast<unsigned>(multiprocessors()), kThreads, S::kAllocated, stream_of(stream)>>>(x, args);
  return launched();
}

}  // namespace

Failure packed_product(const PackedProductArgs& packed, Stream stream) {
  const ProductArgs& args = packed.product;
  if (args.m == 0 || args.n == 0) return nullptr;
  if (args.groups > kMaxGroups) return "packed_product: more groups than kMaxGroups";
  if (args.a_type != Type::kBFloat16 || !on_hopper()) return packed_product_simple(packed, stream);
  if (!aligned(args.a) || !aligned(args.b) || !aligned(args.b2) || !aligned(args.out) ||
      args.b_group_stride % 64 != 0 || args.b2_group_stride % 64 != 0 ||
      args.a_part_columns != packed_columns(args.k) || args.accumulate)
    return "packed_product: an operand does not lie as it must";
  if (args.b2 && args.a_parts != 1) return "packed_product: a gated product takes its rows in one part";
  // Rows of x that a tile takes: wide ones where groups are large enough to fill them.
  const bool wide = args.m > 64 * (args.groups ? args.groups : 1);
  return with_format(packed.format, [&]<Format kFormat>() -> Failure {
    if (args.b2) return launch<kFormat, 64, 2>(args, stream);
    return wide ? launch<kFormat, 128, 1>(args, stream) : launch<kFormat, 64, 1>(args, stream);
  });
}

}  // namespace minimax::cuda
