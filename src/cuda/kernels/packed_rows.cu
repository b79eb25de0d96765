// Products of a few rows with packed panels, as in decode: the packed bytes are the cost. Activations become integers
// of 15 bits, weights are integers as they lie, and warp products of bytes add them up exactly; scales are applied once
// for 128 inputs, to float32 sums.
//
// A block owns a panel, 32 outputs; its warps take half blocks (128 inputs) in turns. Columns 2 r and 2 r + 1 of a warp
// product are the high and the low part of row r of x: four rows cost as much as one. Codes never become floats, which
// would take four instructions each, more than there is time for at the speed of the memory: 1.5 do.
#include "cuda/kernels/loads.cuh"
#include "cuda/kernels/packed.cuh"

namespace minimax::cuda {
namespace {

using namespace packed;

// 48 and 72 half blocks are what 6144 and 9216 inputs have.
constexpr int kWarps = 12, kThreads = kWarps * 32;
constexpr int kTileRows = 4;  // rows of x that a warp product takes

/// sums[16, 8] += a[16, 32] (unsigned) b[32, 8] (signed).
__device__ __forceinline__ void multiply_bytes(int (&sums)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                                               uint2 b) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b.x), "r"(b.y));
}

/// Rows first .. first + rows - 1 of the activations.
struct Activations {
  const QuantizedRows& of;
  int64_t first;
  int rows;
  int64_t k;
};

/// totals[matrix][tile][row] += of the warp's half blocks, for row 4 g + row of the panels and row 4 tile + t of x,
/// times `factor`.
template <Format kFormat, int kTiles, int kMatrices>
__device__ __forceinline__ void add_panels(const Activations& x, const unsigned char* const (&panels)[kMatrices],
                                           float factor, float (&totals)[kMatrices][kTiles][4]) {
  using L = Layout<kFormat>;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
  const int groups = static_cast<int>((x.k + kGroup - 1) / kGroup), halves = (groups + kHalfGroups - 1) / kHalfGroups;
  const int64_t padded = static_cast<int64_t>(groups) * kGroup, blocks = (groups + kBlockGroups - 1) / kBlockGroups;
  for (int half = warp; half < halves; half += kWarps) {
    const int there = min(kHalfGroups, groups - half * kHalfGroups);
    Codes<kFormat> codes[kMatrices][kHalfGroups];
    Scales<kFormat> scales[kMatrices];
#pragma unroll
    for (int matrix = 0; matrix < kMatrices; ++matrix) {
      const unsigned char* header = panels[matrix] + L::block_offset(half / 2);
      const unsigned char* from = header + L::kBlockHeader + half % 2 * kHalfGroups * L::kGroupBytes;
#pragma unroll
      for (int group = 0; group < kHalfGroups; ++group)
        if (group < there)
#pragma unroll
          for (int piece = 0; piece < Codes<kFormat>::kPieces; ++piece)
            stream16(*reinterpret_cast<uint32_t(*)[4]>(codes[matrix][group].words(piece)),
                     from + group * L::kGroupBytes + Codes<kFormat>::place(piece, g, t));
      scales[matrix].load(panels[matrix], header, half % 2, g);
    }
    HalfSums<kFormat> sums[kMatrices][kTiles];
#pragma unroll
    for (int group = 0; group < kHalfGroups; ++group) {
      if (group >= there) break;
      const int at = half * kHalfGroups + group;
      uint2 b[kTiles];
      int x_sum[kTiles];
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        const int column_row = tile * kTileRows + g / 2, own = tile * kTileRows + t;
        b[tile] = {0, 0};
        if (column_row < x.rows)
          b[tile] = *reinterpret_cast<const uint2*>(x.of.codes + ((x.first + column_row) * 2 + g % 2) * padded +
                                                    at * kGroup + 8 * t);
        x_sum[tile] = own < x.rows ? x.of.sums[(x.first + own) * groups + at] : 0;
      }
#pragma unroll
      for (int matrix = 0; matrix < kMatrices; ++matrix)
#pragma unroll
        for (int pair = 0; pair < 2; ++pair) {
          const Codes<kFormat>& from = codes[matrix][group];
          const uint32_t a0 = from.quad(2 * pair, 0, t), a1 = from.quad(2 * pair + 1, 0, t);
          const uint32_t a2 = from.quad(2 * pair, 1, t), a3 = from.quad(2 * pair + 1, 1, t);
#pragma unroll
          for (int tile = 0; tile < kTiles; ++tile) {
            int dots[4] = {};
            multiply_bytes(dots, a0, a1, a2, a3, b[tile]);
            sums[matrix][tile].add(scales[matrix], group, 2 * pair, dots[0], dots[1], x_sum[tile]);
            sums[matrix][tile].add(scales[matrix], group, 2 * pair + 1, dots[2], dots[3], x_sum[tile]);
          }
        }
    }
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const int own = tile * kTileRows + t;
      const float scale = own < x.rows ? factor * x.of.scales[(x.first + own) * blocks + half / 2] : 0.0f;
#pragma unroll
      for (int matrix = 0; matrix < kMatrices; ++matrix)
#pragma unroll
        for (int row = 0; row < 4; ++row)
          totals[matrix][tile][row] =
              fmaf(scale, sums[matrix][tile].sum(scales[matrix], row), totals[matrix][tile][row]);
    }
  }
}

/// Sums of all warps, in their order: of row x_row of x and one output of the panel.
template <int kRows>
struct BlockSums {
  float of[kWarps][kRows][kPanel];

  template <int kTiles>
  __device__ void put(const float (&totals)[kTiles][4]) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile)
      if (tile * kTileRows + lane % 4 < kRows)
        *reinterpret_cast<float4*>(&of[warp][tile * kTileRows + lane % 4][lane / 4 * 4]) = {
            totals[tile][0], totals[tile][1], totals[tile][2], totals[tile][3]};
  }
  __device__ float sum(int x_row, int output) const {
    float total = 0;
#pragma unroll
    for (int warp = 0; warp < kWarps; ++warp) total += of[warp][x_row][output];
    return total;
  }
};

// Grid: panels.
template <Format kFormat, int kTiles>
__global__ void __launch_bounds__(kThreads)
    packed_rows_kernel(const QuantizedRows x, const unsigned char* packed, float* out, int rows, int64_t n, int64_t k) {
  __shared__ BlockSums<kTiles * kTileRows> sums;
  const unsigned char* const panels[1] = {packed + blockIdx.x * Layout<kFormat>::panel_bytes(k)};
  float totals[1][kTiles][4] = {};
  add_panels<kFormat, kTiles, 1>({x, 0, rows, k}, panels, 1.0f, totals);
  sums.put(totals[0]);
  __syncthreads();
  const int64_t output = static_cast<int64_t>(blockIdx.x) * kPanel + threadIdx.x % kPanel;
  const int row = threadIdx.x / kPanel;
  if (row < rows && output < n) out[row * n + output] = sums.sum(row, threadIdx.x % kPanel);
}
static_assert(kFewRows <= kWarps, "a warp writes each row");

// Grid: panels of ffn x pairs.
template <Format kFormat>
__global__ void __launch_bounds__(kThreads) packed_gate_up_kernel(const PackedExpertRowsArgs args) {
  __shared__ BlockSums<1> gates, ups;
  const int64_t pair = blockIdx.y, expert = args.chosen[pair];
  const int64_t at = blockIdx.x * Layout<kFormat>::panel_bytes(args.hidden);
  const unsigned char* const panels[2] = {static_cast<const unsigned char*>(args.gate) + expert * args.gate_stride + at,
                                          static_cast<const unsigned char*>(args.up) + expert * args.up_stride + at};
  float totals[2][1][4] = {};
  add_panels<kFormat, 1, 2>({args.x, pair / args.top_k, 1, args.hidden}, panels, 1.0f, totals);
  gates.put(totals[0]);
  ups.put(totals[1]);
  __syncthreads();
  const int64_t output = static_cast<int64_t>(blockIdx.x) * kPanel + threadIdx.x;
  if (threadIdx.x >= kPanel || output >= args.ffn) return;
  const float gate = gates.sum(0, threadIdx.x), up = ups.sum(0, threadIdx.x);
  args.hidden_rows[pair * args.ffn + output] = gate / (1.0f + expf(-gate)) * up;
}

// Grid: panels of hidden x tokens: the weighted sum over the token's experts, best first.
template <Format kFormat>
__global__ void __launch_bounds__(kThreads) packed_down_kernel(const PackedExpertRowsArgs args) {
  __shared__ BlockSums<1> sums;
  const int64_t token = blockIdx.y;
  float totals[1][1][4] = {};
  for (int64_t pair = token * args.top_k; pair < (token + 1) * args.top_k; ++pair) {
    const unsigned char* const panels[1] = {static_cast<const unsigned char*>(args.down) +
                                            args.chosen[pair] * args.down_stride +
                                            blockIdx.x * Layout<kFormat>::panel_bytes(args.ffn)};
    add_panels<kFormat, 1, 1>({args.h, pair, 1, args.ffn}, panels, args.weights[pair], totals);
  }
  sums.put(totals[0]);
  __syncthreads();
  const int64_t output = static_cast<int64_t>(blockIdx.x) * kPanel + threadIdx.x;
  if (threadIdx.x < kPanel && output < args.hidden) args.out[token * args.hidden + output] = sums.sum(0, threadIdx.x);
}

// Grid: blocks of 256 / kQuantizeWarps x rows; a warp a block, eight numbers a lane.
constexpr int kQuantizeWarps = 4;
__global__ void __launch_bounds__(kQuantizeWarps * 32)
    quantize_rows_kernel(const float* x, int64_t k, const QuantizedRows out) {
  const int64_t row = blockIdx.y, block = static_cast<int64_t>(blockIdx.x) * kQuantizeWarps + threadIdx.x / 32;
  const int64_t groups = (k + kGroup - 1) / kGroup, blocks = (groups + kBlockGroups - 1) / kBlockGroups;
  if (block >= blocks) return;
  const int lane = threadIdx.x % 32;
  const int64_t at = block * kGroup * kBlockGroups + lane * 8;
  float values[8];
  float largest = 0;
  bool wrong = false;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    values[i] = at + i < k ? x[row * k + at + i] : 0.0f;
    largest = fmaxf(largest, fabsf(values[i]));
    wrong = wrong || isnan(values[i]);
  }
  largest = warp_max(largest);
  wrong = __any_sync(0xffffffffu, wrong);
  const float inverse = largest > 0 ? static_cast<float>(kLargestCode) / largest : 0.0f;
  uint2 high = {0, 0}, low = {0, 0};
  int sum = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int code = max(-kLargestCode, min(kLargestCode, __float2int_rn(values[i] * inverse)));
    sum += code;
    const uint32_t h = static_cast<uint32_t>(high_part(code)) & 0xff, l = static_cast<uint32_t>(low_part(code)) & 0xff;
    (i < 4 ? high.x : high.y) |= h << (i % 4 * 8);
    (i < 4 ? low.x : low.y) |= l << (i % 4 * 8);
  }
  sum += __shfl_xor_sync(0xffffffffu, sum, 1);
  sum += __shfl_xor_sync(0xffffffffu, sum, 2);
  const int64_t group = block * kBlockGroups + lane / 4, padded = groups * kGroup;
  if (group < groups) {
    *reinterpret_cast<uint2*>(out.codes + row * 2 * padded + at) = high;
    *reinterpret_cast<uint2*>(out.codes + (row * 2 + 1) * padded + at) = low;
    if (lane % 4 == 0) out.sums[row * groups + group] = sum;
  }
  if (lane == 0)
    out.scales[row * blocks + block] = wrong ? __int_as_float(0x7fffffff) : largest / static_cast<float>(kLargestCode);
}

}  // namespace

Failure quantize_rows(const float* x, int64_t rows, int64_t k, const QuantizedRows& out, Stream stream) {
  if (rows == 0) return nullptr;
  if (rows > 65535) return "quantize_rows: more than 65,535 rows";
  const int64_t blocks = (k + kGroup * kBlockGroups - 1) / (kGroup * kBlockGroups);
  const dim3 grid(static_cast<unsigned>((blocks + kQuantizeWarps - 1) / kQuantizeWarps), static_cast<unsigned>(rows));
  quantize_rows_kernel<<<grid, kQuantizeWarps * 32, 0, stream_of(stream)>>>(x, k, out);
  return launched();
}

Failure packed_few_rows(const QuantizedRows& x, const void* panels, Format format, float* out, int64_t rows, int64_t n,
                        int64_t k, Stream stream) {
  if (rows == 0 || n == 0) return nullptr;
  if (rows > kFewRows) return "packed_few_rows: more than kFewRows rows";
  return with_format(format, [&]<Format kFormat>() -> Failure {
    const auto* bytes = static_cast<const unsigned char*>(panels);
    const auto count = static_cast<int>(rows);
    if (rows <= kTileRows)
      packed_rows_kernel<kFormat, 1><<<panels_of(n), kThreads, 0, stream_of(stream)>>>(x, bytes, out, count, n, k);
    else
      packed_rows_kernel<kFormat, 2><<<panels_of(n), kThreads, 0, stream_of(stream)>>>(x, bytes, out, count, n, k);
    return launched();
  });
}

Failure packed_expert_rows(const PackedExpertRowsArgs& args, Stream stream) {
  if (args.tokens == 0) return nullptr;
  const auto pairs = static_cast<unsigned>(args.tokens * args.top_k);
  if (pairs > 65535) return "packed_expert_rows: more than 65,535 pairs";
  if (const Failure wrong = with_format(args.format, [&]<Format kFormat>() -> Failure {
        packed_gate_up_kernel<kFormat><<<dim3(panels_of(args.ffn), pairs), kThreads, 0, stream_of(stream)>>>(args);
        return launched();
      }))
    return wrong;
  if (const Failure wrong = quantize_rows(args.hidden_rows, pairs, args.ffn, args.h, stream)) return wrong;
  return with_format(args.down_format, [&]<Format kFormat>() -> Failure {
    const dim3 grid(panels_of(args.hidden), static_cast<unsigned>(args.tokens));
    packed_down_kernel<kFormat><<<grid, kThreads, 0, stream_of(stream)>>>(args);
    return launched();
  });
}

}  // namespace minimax::cuda
