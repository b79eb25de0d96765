// Products with packed weights, y = x W^T: 8-bit activations, exact integer sums within a block of 256 of k, and blocks
// added in order in float32. What one block adds does not depend on how many rows are computed together, so neither
// does any bit of y.
//
// Few rows read the codes as they lie: memory takes the time. Many rows first widen a block of a panel to signed bytes,
// which stay in the first cache while all rows pass by; then multiply-adds take the time.
#include "cpu/kernel_text/packed_formats.h"
#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::MM_ISA {
namespace {

/// How far ahead of its use a stream of weights is asked for. Zen 5, one row, one thread, with 2, 4 and 8 KiB: q4
/// 33, 36 and 38 GB/s; q8 34, 36 and 35.
template <typename Format>
constexpr int64_t kAheadBytes = Format::kInPlace ? 4096 : 8192;
/// Rows of a tile: with one scale a block, the sums of a tile fill the registers; with one a group there are as many
/// float sums beside them.
/// kFewRows share one reading of the codes.
#if defined(__AVX512F__)
constexpr int kFewRows = 4, kBlockTileRows = 8, kGroupTileRows = 6;
#elif defined(__AVX2__)
constexpr int kFewRows = 2, kBlockTileRows = 3, kGroupTileRows = 2;
#else
constexpr int kFewRows = 1, kBlockTileRows = 1, kGroupTileRows = 1;
#endif
/// Rows whose sums wait in the scratch memory while the blocks of a panel pass by.
constexpr int64_t kWaitingRows = 1024;

template <typename Format>
constexpr bool kScaleOfBlock = false;
template <>
constexpr bool kScaleOfBlock<Q4> = true;
template <>
constexpr bool kScaleOfBlock<Q5> = true;
template <>
constexpr bool kScaleOfBlock<Q6> = true;
template <>
constexpr bool kScaleOfBlock<ExpertsInt8> = true;

/// In what the groups of a block are added up.
template <bool kIntegers>
struct SumOfBlock {
  using Type = F32;
};
template <>
struct SumOfBlock<true> {
  using Type = I32;
};

MM_INLINE int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/// Where the blocks of a weight begin.
template <typename Format>
struct Layout {
  explicit Layout(int64_t k)
      : groups((k + kGroup - 1) / kGroup),
        blocks((groups + kGroupsOfBlock - 1) / kGroupsOfBlock),
        panel_bytes(Format::kPanelHeader + blocks * Format::kBlockHeader + groups * Format::kGroupBytes) {}
  int64_t groups, blocks, panel_bytes;
  int64_t groups_of(int64_t block) const { return least(kGroupsOfBlock, groups - block * kGroupsOfBlock); }
  static int64_t begin_of(int64_t block) {
    return Format::kPanelHeader + block * (Format::kBlockHeader + kGroupsOfBlock * Format::kGroupBytes);
  }
};

/// What a format with one scale for each row and block has there.
template <typename Format>
MM_INLINE F32 scale_of_block(const uint8_t* panel, const uint8_t* block, int vector) {
  if constexpr (Format::kStepped)
    return load_f16((const uint16_t*)block + vector * kLanes);
  else
    return load((const float*)panel + vector * kLanes);
}

/// A group's steps, whatever its number.
template <typename Format>
MM_INLINE I32 step_of(const uint8_t* block, int64_t group, int vector) {
  return group % 2 ? Format::template step_of<true>(block, group, vector)
                   : Format::template step_of<false>(block, group, vector);
}

// ---- Few rows ------------------------------------------------------------------------------------------------------

/// One group's products of kRows rows: sums of code * x, in 8-bit formats of (code - kWideOffset) * x.
template <typename Format, int kRows>
MM_INLINE void dot_group(const uint8_t* group, const int8_t* x, int64_t x_stride, const int32_t* x_sums,
                         I32 (&sums)[kRows][kPanelVectors]) {
  I32 odd[kRows][kPanelVectors] = {};
  MM_UNROLL for (int row = 0; row < kRows; ++row) {
    const I32 start = broadcast_int(Format::kStepped ? 0 : -kWideOffset * x_sums[row]);
    MM_UNROLL for (int v = 0; v < kPanelVectors; ++v) sums[row][v] = start;
  }
  MM_UNROLL for (int line = 0; line < Format::kGroupBytes / 64; ++line)
      __builtin_prefetch(group + kAheadBytes<Format> + line * 64);
  MM_UNROLL for (int quad = 0; quad < kQuadsOfGroup; quad += 2) {
    MM_UNROLL for (int v = 0; v < kPanelVectors; ++v) {
      const Bytes first = Format::codes(group, quad, v), second = Format::codes(group, quad + 1, v);
      MM_UNROLL for (int row = 0; row < kRows; ++row) {
        sums[row][v] = dot(sums[row][v], first, load_quad(x + row * x_stride + quad * 4));
        odd[row][v] = dot(odd[row][v], second, load_quad(x + row * x_stride + quad * 4 + 4));
      }
    }
  }
  MM_UNROLL for (int row = 0; row < kRows; ++row) {
    MM_UNROLL for (int v = 0; v < kPanelVectors; ++v) sums[row][v] += odd[row][v];
  }
}

/// x_blocks: row r's at x_blocks[r * blocks].
template <typename Format, int kRows>
MM_INLINE void add_block(const uint8_t* panel, const uint8_t* block, int64_t groups, const int8_t* x, int64_t x_stride,
                         const QuantizedBlock* x_blocks, int64_t blocks, F32 (&y)[kRows][kPanelVectors]) {
  I32 sums[kRows][kPanelVectors];
  int32_t x_sums[kRows];
  const uint8_t* group = block + Format::kBlockHeader;
  typename SumOfBlock<kScaleOfBlock<Format>>::Type total[kRows][kPanelVectors] = {};
  MM_UNROLL for (int line = 0; line < Format::kBlockHeader / 64; ++line)
      __builtin_prefetch(block + kAheadBytes<Format> + line * 64);
  for (int64_t g = 0; g < groups; ++g) {
    MM_UNROLL for (int row = 0; row < kRows; ++row) x_sums[row] = x_blocks[row * blocks].sums[g];
    dot_group<Format, kRows>(group + g * Format::kGroupBytes, x + g * kGroup, x_stride, x_sums, sums);
    MM_UNROLL for (int v = 0; v < kPanelVectors; ++v) {
      if constexpr (Format::kStepped) {
        const I32 step = step_of<Format>(block, g, v), zero = Format::zero(block, g, v);
        MM_UNROLL for (int row = 0; row < kRows; ++row) total[row][v] += (sums[row][v] - zero * x_sums[row]) * step;
      } else if constexpr (kScaleOfBlock<Format>) {
        MM_UNROLL for (int row = 0; row < kRows; ++row) total[row][v] += sums[row][v];
      } else {
        const F32 scale = Format::scale(block, g, v);
        MM_UNROLL for (int row = 0; row < kRows; ++row) total[row][v] =
            fma(to_floats(sums[row][v]), scale, total[row][v]);
      }
    }
  }
  MM_UNROLL for (int v = 0; v < kPanelVectors; ++v) {
    F32 scale{};
    if constexpr (kScaleOfBlock<Format>) scale = scale_of_block<Format>(panel, block, v);
    MM_UNROLL for (int row = 0; row < kRows; ++row) {
      const F32 x_scale = broadcast(x_blocks[row * blocks].scale);
      if constexpr (kScaleOfBlock<Format>)
        y[row][v] = fma(to_floats(total[row][v]), scale * x_scale, y[row][v]);
      else
        y[row][v] = fma(total[row][v], x_scale, y[row][v]);
    }
  }
}

/// A panel's outputs of one row, of which `outputs` are real.
MM_INLINE void put(float* y, const F32 (&sums)[kPanelVectors], int64_t outputs) {
  if (outputs >= kPanelRows) {
    MM_UNROLL for (int v = 0; v < kPanelVectors; ++v) store(y + v * kLanes, sums[v]);
    return;
  }
  float all[kPanelRows];
  MM_UNROLL for (int v = 0; v < kPanelVectors; ++v) store(all + v * kLanes, sums[v]);
  __builtin_memcpy(y, all, (uint64_t)outputs * sizeof(float));
}

template <typename Format, int kRows>
void few_rows(const PackedArgs& args, int64_t first_row) {
  const Layout<Format> layout(args.k);
  const int8_t* x = args.x + first_row * args.x_stride;
  const QuantizedBlock* x_blocks = args.x_blocks + first_row * layout.blocks;
  for (int64_t p = 0; p * kPanelRows < args.outputs; ++p) {
    const auto* panel = static_cast<const uint8_t*>(args.w) + p * layout.panel_bytes;
    F32 sums[kRows][kPanelVectors] = {};
    for (int64_t b = 0; b < layout.blocks; ++b)
      add_block<Format, kRows>(panel, panel + layout.begin_of(b), layout.groups_of(b), x + b * kBlock, args.x_stride,
                               x_blocks + b, layout.blocks, sums);
    MM_UNROLL for (int row = 0; row < kRows; ++row)
        put(args.y + (first_row + row) * args.y_stride + p * kPanelRows, sums[row], args.outputs - p * kPanelRows);
  }
}

template <typename Format, int kRows = kFewRows>
void few_rows_of(const PackedArgs& args) {
  if constexpr (kRows > 1)
    if (args.rows < kRows) return few_rows_of<Format, kRows - 1>(args);
  few_rows<Format, kRows>(args, 0);
}

// ---- Many rows -----------------------------------------------------------------------------------------------------

/// Working memory of a product of many rows.
struct Waiting {
  uint8_t wide[kBlock * kPanelRows];         ///< a block's codes as bytes, kWideOffset added: [quads][rows][4]
  float scales[kGroupsOfBlock][kPanelRows];  ///< where each group has its own
  float sums[kWaitingRows][kPanelRows];
};
static_assert(sizeof(Waiting) <= kMatmulScratchBytes);

/// Brings what comes next nearer while a tile computes: with each group one row of the next tile, and some lines of the
/// next block's weights.
struct Ahead {
  const uint8_t* weights;
  int64_t lines_a_step;
  const int8_t* x;  ///< 256 bytes of each row
  int64_t x_stride;
  const QuantizedBlock* x_blocks;
  int64_t blocks;

  MM_INLINE void go_on() {
    MM_UNROLL for (int line = 0; line < kBlock / 64; ++line) __builtin_prefetch(x + line * 64);
    x += x_stride;
    __builtin_prefetch(x_blocks);
    x_blocks += blocks;
    for (int64_t line = 0; line < lines_a_step; ++line) __builtin_prefetch(weights + line * 64);
    weights += lines_a_step * 64;
  }
};

/// The low byte of each lane in all four.
MM_INLINE Bytes in_all_bytes(I32 x) {
  const I32 twice = x | x << 8;
  return (Bytes)(twice | twice << 16);
}

template <typename Format, bool kOdd>
MM_INLINE void widen_group(const uint8_t* block, int64_t g, uint8_t* to) {
  const uint8_t* group = block + Format::kBlockHeader + g * Format::kGroupBytes;
  MM_UNROLL for (int v = 0; v < kPanelVectors; ++v) {
    if constexpr (Format::kStepped) {
      const I32 step = Format::template step_of<kOdd>(block, g, v);
      const Words factor = (Words)(step | step << 16);
      const Bytes offsets = in_all_bytes(kWideOffset - (I32)((Words)Format::zero(block, g, v) * (Words)step));
      // Each byte of code * step stays below 256, so a 16-bit product is that of both its bytes.
      MM_UNROLL for (int quad = 0; quad < kQuadsOfGroup; ++quad) store_bytes(
          to + quad * kQuadBytes + v * kVectorBytes, (Bytes)((Words)Format::codes(group, quad, v) * factor) + offsets);
    } else {
      MM_UNROLL for (int quad = 0; quad < kQuadsOfGroup; ++quad)
          store_bytes(to + quad * kQuadBytes + v * kVectorBytes, Format::codes(group, quad, v));
    }
  }
}

template <typename Format>
void widen_block(const uint8_t* block, int64_t groups, uint8_t* wide) {
  constexpr int64_t kWideGroup = kQuadsOfGroup * kQuadBytes;
  int64_t g = 0;
  for (; g + 2 <= groups; g += 2) {
    widen_group<Format, false>(block, g, wide + g * kWideGroup);
    widen_group<Format, true>(block, g + 1, wide + (g + 1) * kWideGroup);
  }
  if (g < groups) widen_group<Format, false>(block, g, wide + g * kWideGroup);
}

/// Three rows share a pointer: the addresses of the other two are it and once or twice the stride.
template <int kRows>
struct RowPointers {
  const int8_t* at[(kRows + 2) / 3];
  int64_t stride;

  MM_INLINE RowPointers(const int8_t* x, int64_t x_stride) : stride(x_stride) {
    MM_UNROLL for (int i = 0; i < (kRows + 2) / 3; ++i) at[i] = x + 3 * i * x_stride;
  }
  MM_INLINE Quad quad(int row, int quad) const { return load_quad(at[row / 3] + quad * 4 + row % 3 * stride); }
  /// GCC would keep every sum of the stride and a constant in a register of its own, and has none.
  MM_INLINE void forget() { asm("" : "+r"(stride)); }
  MM_INLINE void next_group() {
    MM_UNROLL for (int i = 0; i < (kRows + 2) / 3; ++i) {
      at[i] += kGroup;
      asm("" : "+r"(at[i]));
    }
  }
};

template <int kRows>
MM_INLINE void dot_wide_group(const uint8_t* wide, RowPointers<kRows>& x, I32 (&sums)[kRows][kPanelVectors]) {
  MM_UNROLL for (int quad = 0; quad < kQuadsOfGroup; ++quad) {
    x.forget();
    Bytes weights[kPanelVectors];
    MM_UNROLL for (int v = 0; v < kPanelVectors; ++v) weights[v] =
        load_bytes(wide + quad * kQuadBytes + v * kVectorBytes);
    MM_UNROLL for (int row = 0; row < kRows; ++row) {
      const Quad values = x.quad(row, quad);
      MM_UNROLL for (int v = 0; v < kPanelVectors; ++v) sums[row][v] = dot(sums[row][v], weights[v], values);
    }
  }
  x.next_group();
}

/// One block of a panel and a few rows: what every tile of them is given.
struct TileArgs {
  const uint8_t* wide;
  int64_t groups;
  const float* scales;  ///< [kPanelRows], or [groups][kPanelRows]
  const int8_t* x;
  int64_t x_stride;
  const QuantizedBlock* x_blocks;  ///< row r's at r * blocks
  int64_t blocks;
  float* sums;  ///< [rows][kPanelRows]
  bool first;   ///< block: sums begin at 0
};

/// A row's new sums beside those of the blocks before.
MM_INLINE void add_to_sums(float* to, F32 value, F32 scale, bool first) {
  store(to, fma(value, scale, first ? F32{} : load(to)));
}

template <int kRows>
void tile_of_block(const TileArgs& args, const Ahead& given) {
  Ahead ahead = given;
  const QuantizedBlock* const x_blocks = args.x_blocks;
  const int64_t blocks = args.blocks;
  I32 sums[kRows][kPanelVectors];
  MM_UNROLL for (int row = 0; row < kRows; ++row) {
    const I32 start = broadcast_int(x_blocks[row * blocks].wide_start);
    MM_UNROLL for (int v = 0; v < kPanelVectors; ++v) sums[row][v] = start;
  }
  RowPointers<kRows> x(args.x, args.x_stride);
  const uint8_t* wide = args.wide;
  float* const to = args.sums;
  const float* waiting = to;
  for (int64_t g = 0; g < args.groups; ++g) {
    __builtin_prefetch(waiting);
    __builtin_prefetch(waiting + 16);
    waiting += kPanelRows;
    dot_wide_group<kRows>(wide, x, sums);
    wide += kQuadsOfGroup * kQuadBytes;
    ahead.go_on();
  }
  const bool first = args.first;
  F32 scale[kPanelVectors];
  MM_UNROLL for (int v = 0; v < kPanelVectors; ++v) scale[v] = load(args.scales + v * kLanes);
  MM_UNROLL for (int row = 0; row < kRows; ++row) {
    const F32 x_scale = broadcast(x_blocks[row * blocks].scale);
    MM_UNROLL for (int v = 0; v < kPanelVectors; ++v)
        add_to_sums(to + row * kPanelRows + v * kLanes, to_floats(sums[row][v]), scale[v] * x_scale, first);
  }
}

template <int kRows>
void tile_of_groups(const TileArgs& args, const Ahead& given) {
  Ahead ahead = given;
  const QuantizedBlock* const x_blocks = args.x_blocks;
  const int64_t blocks = args.blocks;
  // Where the sums of each row and group begin, side by side: one pointer finds them all.
  int32_t starts[kRows][kGroupsOfBlock];
  MM_UNROLL for (int row = 0; row < kRows; ++row) {
    MM_UNROLL for (int g = 0; g < kGroupsOfBlock; ++g) starts[row][g] = -kWideOffset * x_blocks[row * blocks].sums[g];
  }
  F32 total[kRows][kPanelVectors] = {};
  RowPointers<kRows> x(args.x, args.x_stride);
  const uint8_t* wide = args.wide;
  const float* scales = args.scales;
  for (int64_t g = 0; g < args.groups; ++g) {
    I32 sums[kRows][kPanelVectors];
    MM_UNROLL for (int row = 0; row < kRows; ++row) {
      const I32 start = broadcast_int(starts[row][g]);
      MM_UNROLL for (int v = 0; v < kPanelVectors; ++v) sums[row][v] = start;
    }
    dot_wide_group<kRows>(wide, x, sums);
    wide += kQuadsOfGroup * kQuadBytes;
    ahead.go_on();
    MM_UNROLL for (int v = 0; v < kPanelVectors; ++v) {
      const F32 scale = load(scales + v * kLanes);
      MM_UNROLL for (int row = 0; row < kRows; ++row) total[row][v] =
          fma(to_floats(sums[row][v]), scale, total[row][v]);
    }
    scales += kPanelRows;
  }
  const bool first = args.first;
  float* const to = args.sums;
  MM_UNROLL for (int row = 0; row < kRows; ++row) {
    const F32 x_scale = broadcast(x_blocks[row * blocks].scale);
    MM_UNROLL for (int v = 0; v < kPanelVectors; ++v)
        add_to_sums(to + row * kPanelRows + v * kLanes, total[row][v], x_scale, first);
  }
}

template <bool kBlockScale, int kRows>
MM_INLINE void tile_of_rows(int64_t rows, const TileArgs& args, const Ahead& ahead) {
  if constexpr (kRows > 1)
    if (rows < kRows) return tile_of_rows<kBlockScale, kRows - 1>(rows, args, ahead);
  if constexpr (kBlockScale)
    tile_of_block<kRows>(args, ahead);
  else
    tile_of_groups<kRows>(args, ahead);
}

template <typename Format>
void many_rows(const PackedArgs& args, int64_t p, int64_t first_row, int64_t rows) {
  constexpr bool kBlockScale = kScaleOfBlock<Format>;
  constexpr int kTileRows = kBlockScale ? kBlockTileRows : kGroupTileRows;
  const Layout<Format> layout(args.k);
  auto& waiting = *static_cast<Waiting*>(args.scratch);
  const auto* panel = static_cast<const uint8_t*>(args.w) + p * layout.panel_bytes;
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  for (int64_t b = 0; b < layout.blocks; ++b) {
    const uint8_t* block = panel + layout.begin_of(b);
    const int64_t groups = layout.groups_of(b);
    const uint8_t* wide = block + Format::kBlockHeader;
    if constexpr (!Format::kInPlace) {
      widen_block<Format>(block, groups, waiting.wide);
      wide = waiting.wide;
    }
    if constexpr (kBlockScale) {
      for (int v = 0; v < kPanelVectors; ++v)
        store(waiting.scales[0] + v * kLanes, scale_of_block<Format>(panel, block, v));
    } else {
      for (int64_t g = 0; g < groups; ++g)
        for (int v = 0; v < kPanelVectors; ++v) store(waiting.scales[g] + v * kLanes, Format::scale(block, g, v));
    }
    const int64_t lines = (Format::kBlockHeader + groups * Format::kGroupBytes) / 64;
    const uint8_t* next_block = block + lines * 64;
    Ahead ahead{.weights = next_block,
                .lines_a_step = (lines + groups * tiles - 1) / (groups * tiles),
                .x = nullptr,
                .x_stride = args.x_stride,
                .x_blocks = nullptr,
                .blocks = layout.blocks};
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t begin = rows * t / tiles, count = rows * (t + 1) / tiles - begin, row = first_row + begin;
      // The last tile is followed by the first of the next block.
      const int64_t next_row = t + 1 < tiles ? row + count : first_row, next_b = t + 1 < tiles ? b : b + 1;
      ahead.x = args.x + next_row * args.x_stride + next_b * kBlock;
      ahead.x_blocks = args.x_blocks + next_row * layout.blocks + next_b;
      if (b + 1 == layout.blocks) {
        // The rows of y are written next, this panel's part and soon that of the next one: lines and pages far from
        // each other (with 32 rows of q4 this is worth 6%).
        ahead.x = reinterpret_cast<const int8_t*>(args.y + row * args.y_stride + p * kPanelRows);
        ahead.x_stride = args.y_stride * (int64_t)sizeof(float);
      }
      tile_of_rows<kBlockScale, kTileRows>(
          count,
          TileArgs{wide, groups, waiting.scales[0], args.x + row * args.x_stride + b * kBlock, args.x_stride,
                   args.x_blocks + row * layout.blocks + b, layout.blocks, waiting.sums[begin], b == 0},
          ahead);
      // The first tiles fetch all of the next block: one more would only push others out of the cache.
      ahead.weights += groups * ahead.lines_a_step * 64;
      if (ahead.weights >= next_block + lines * 64) ahead.lines_a_step = 0;
    }
  }
  const int64_t outputs = least(kPanelRows, args.outputs - p * kPanelRows);
  float* y = args.y + first_row * args.y_stride + p * kPanelRows;
  for (int64_t row = 0; row < rows; ++row, y += args.y_stride) {
    if (outputs == kPanelRows)
      __builtin_memcpy(y, waiting.sums[row], kPanelRows * sizeof(float));
    else
      __builtin_memcpy(y, waiting.sums[row], (uint64_t)outputs * sizeof(float));
  }
}

template <typename Format>
void multiply(const PackedArgs& args) {
  if (args.rows <= kFewRows) {
    if (args.rows > 0) few_rows_of<Format>(args);
    return;
  }
  for (int64_t p = 0; p * kPanelRows < args.outputs; ++p)
    for (int64_t row = 0; row < args.rows; row += kWaitingRows)
      many_rows<Format>(args, p, row, least(kWaitingRows, args.rows - row));
}

}  // namespace

void matmul_q4(const PackedArgs& args) {
  multiply<Q4>(args);
}
void matmul_q5(const PackedArgs& args) {
  multiply<Q5>(args);
}
void matmul_q6(const PackedArgs& args) {
  multiply<Q6>(args);
}
void matmul_q8(const PackedArgs& args) {
  multiply<Q8>(args);
}
void matmul_experts_int8(const PackedArgs& args) {
  multiply<ExpertsInt8>(args);
}
void matmul_mxfp4(const PackedArgs& args) {
  multiply<Mxfp4>(args);
}

void quantize_row(const float* x, int64_t k, int8_t* codes, QuantizedBlock* blocks) {
  for (int64_t begin = 0; begin < k; begin += kBlock) {
    const int64_t count = least(kBlock, k - begin);
    const float* values = x + begin;
    float padded[kBlock];
    if (count < kBlock) {
      __builtin_memcpy(padded, values, (uint64_t)count * sizeof(float));
      for (int64_t i = count; i < kBlock; ++i) padded[i] = 0;
      values = padded;
    }
    // As integers, so that a NaN is the largest of all.
    I32 largest{};
    for (int64_t i = 0; i < kBlock; i += kLanes) {
      const I32 magnitude = (I32)(as_bits(load(values + i)) & 0x7fffffffu);
      largest = magnitude > largest ? magnitude : largest;
    }
    const int32_t bits = largest_of_lanes(largest);
    float peak;
    __builtin_memcpy(&peak, &bits, sizeof(peak));
    const bool finite = bits < 0x7f800000;
    // Below this the quotient would not be a float; what is so small is nothing beside any other number here.
    const bool nothing = finite && peak < 1e-30f;
    QuantizedBlock& block = blocks[begin / kBlock];
    block.scale = finite ? (nothing ? 0 : peak / 127.0f) : __builtin_nanf("");
    int32_t total = 0;
    const F32 inverse = broadcast(finite && !nothing ? 127.0f / peak : 0);
    const F32 magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer, to even in the middle
    for (int group = 0; group < kGroupsOfBlock; ++group) {
      block.sums[group] = 0;
      if (group * kGroup >= count) continue;
      I32 sum{};
      for (int i = group * kGroup; i < (group + 1) * kGroup; i += kLanes) {
        const I32 code = finite ? (I32)as_bits(load(values + i) * inverse + magic) - 0x4b400000 : I32{};
        sum += code;
        narrow(code, codes + begin + i);
      }
      block.sums[group] = total_of_lanes(sum);
      total += block.sums[group];
    }
    block.wide_start = -kWideOffset * total;
  }
}

}  // namespace minimax::cpu::MM_ISA
