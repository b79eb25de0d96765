// The walk of lightning attention over a sequence's chunks on Hopper's tensor cores (docs/design.md, P3): the forward
// pass, and its gradients, which are the same walk with the operands in other places.
//
// A block owns one head of one sequence and 64 of its 128 value channels, and walks the chunks of 64 positions in
// order. With S the state at the chunk's start, c the chunk length and r, j rows of the chunk:
//   O = diag(lambda^(r+1)) Q S + P V,  P[r][j] = lambda^(r-j) (q_r . k_j) for j <= r
//   S <- lambda^c S + sum over j of k_j^T (lambda^(c-1-j) v_j)
// Everything is computed transposed, O^T = S^T Q^T + V^T P^T and S^T += V^T K, because then the state's sums, which
// live in registers for the whole sequence, are at once the left operand of the next chunk's product: they never pass
// through memory. They are float32; as operands of a product they are split into two bfloat16, which keep 16 bits, and
// so are the weighted values of the state's update. P is rounded to bfloat16.
//
// Three warpgroups: of the first one warp loads tiles (bulk tensor copies, four chunks ahead) and one stores finished
// rows, the second makes P and the weighted values, the third has the state. A chunk's first rows may come from the
// window and its last rows may not exist yet; such a chunk, at most two in a pass, is loaded and stored row by row,
// with zeros where there is nothing.
//
// Bytes: 2 * tokens * heads * (3 + 1) * head_dim. q and k are wanted by both blocks of a head, which run side by side,
// so the second reading comes from L2; one multicast copy for the two was slower (4.97 ms against 3.34 at 131,072
// tokens on an H200). Flops per chunk and block: 11 * 2 * 64^3 with the splits, 1408 cycles of tensor core
// of the 2300 or so that a chunk takes: the rest is the state's warpgroup splitting and updating it.
//
// With dO the gradient of O, dQ is the walk of (dO, V, K) in the place of (Q, K, V); dK is that of (V, dO, Q) and dV
// that of (K, Q, dO) through the sequence from its end to its start, where row r stands as far from the state as row
// 63 - r does on the way there. On the way back a sequence's last, shorter chunk comes first: its missing rows are
// zeros and the state is zero, so it counts as a whole one.
#pragma once

#include "cuda/kernels/hopper.cuh"
#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/tensor_map.cuh"

namespace minimax::cuda {
namespace {

constexpr int kHeadDim = 128;
constexpr int kValues = 64;  // value channels of a block: one sequence of 64 heads then fills 128 multiprocessors
constexpr int kRows = static_cast<int>(kChunk);
constexpr int kStages = 4;
constexpr int kPanelBytes = kRows * 128;      // 64 rows of 64 channels
constexpr int kStageBytes = 5 * kPanelBytes;  // q: 2 panels, k: 2, v: 1
constexpr int kThreads = 3 * 128;
// Registers of a thread in each warpgroup; 3 x 168 is what a block of 384 threads starts with.
[[maybe_unused]] constexpr int kLoadRegisters = 80, kStateRegisters = 256;

struct Shared {
  static constexpr int kScores = kStages * kStageBytes;
  static constexpr int kWeighted = kScores + 2 * kPanelBytes;
  static constexpr int kOut = kWeighted + 4 * kPanelBytes;
  static constexpr int kDecay = kOut + 2 * kPanelBytes;
  static constexpr int kBarriers = kDecay + (kRows + 2) * 4 + 8;
  static constexpr int kBytes = kBarriers + (2 * kStages + 8) * 8;
  static constexpr int kAllocated = kBytes + 1024;  // to start at a multiple of 1024
};
static_assert(Shared::kBarriers % 8 == 0 && Shared::kAllocated <= 227 * 1024);

/// One matrix of [tokens, ...] bfloat16: head h has the columns from h * head_stride + first on.
struct Operand {
  const void* data = nullptr;
  int64_t columns = 0;  ///< of a row
  int32_t head_stride = 0, first = 0;
  __device__ int32_t column(int64_t head) const { return static_cast<int32_t>(head) * head_stride + first; }
};

struct WalkArgs {
  Operand q = {}, k = {}, v = {};
  Operand out = {};  ///< float32 where the kernel says so; data is written
  const float* decay = nullptr;
  const int32_t* positions = nullptr;  ///< null: all sequences start at position 0
  const int32_t* cu_seqlens = nullptr;
  const int32_t* slots = nullptr;
  float* state = nullptr;
  const void *k_window = nullptr, *v_window = nullptr;
  int64_t tokens = 0, seqs = 0, heads = 0;
};

/// What a block walks.
struct Span {
  int64_t token;       ///< of tile row 0 of chunk 0, were it there: position p is token `token` + p
  int64_t start, end;  ///< positions of this pass
  int64_t slot_head;   ///< slot * heads + head; -1 without a cache
  __device__ int64_t first_chunk() const { return start / kRows; }
  __device__ int64_t chunks() const { return (end - 1) / kRows + 1 - first_chunk(); }
  /// The chunk of a step.
  template <bool kReversed>
  __device__ int64_t chunk(int64_t step) const {
    return kReversed ? (end - 1) / kRows - step : first_chunk() + step;
  }
  /// Rows [first_row, end_row) of a chunk's tile are tokens of this pass.
  __device__ int first_row(int64_t chunk) const { return static_cast<int>(max(start - chunk * kRows, int64_t{0})); }
  __device__ int end_row(int64_t chunk) const {
    return static_cast<int>(min(end - chunk * kRows, static_cast<int64_t>(kRows)));
  }
  __device__ bool whole(int64_t chunk) const { return first_row(chunk) == 0 && end_row(chunk) == kRows; }
};

[[maybe_unused]] __device__ Span span_of(const WalkArgs& args, int64_t seq, int64_t head) {
  const int64_t first = args.cu_seqlens[seq], count = args.cu_seqlens[seq + 1] - first;
  if (count <= 0) return {0, 0, 0, -1};
  const int64_t start = args.positions ? args.positions[first] : 0;
  return {first - start, start, start + count, args.slots ? args.slots[seq] * args.heads + head : -1};
}

/// A stage and the parity of its barriers' phase, counted on.
struct Cursor {
  uint32_t stage = 0, parity = 0;
  __device__ void next(uint32_t stages) {
    if (++stage == stages) stage = 0, parity ^= 1;
  }
};

/// One warp: fills a stage row by row.
__device__ void load_rows(const WalkArgs& args, const Span& span, int64_t chunk, int64_t head, int half, char* stage) {
  const int lane = threadIdx.x % 32;
  const int first = span.first_row(chunk), end = span.end_row(chunk);
  for (int item = lane; item < kRows * 40; item += 32) {
    const int row = item / 40, piece = item % 40, panel = piece / 8;
    // 16-byte pieces of a row: 16 of q, 16 of k, 8 of this block's half of v.
    const int channel = piece * 8 + (panel == 4 ? half * kValues : 0);
    uint4 value = {0, 0, 0, 0};
    if (row >= first && row < end) {
      const int64_t token = span.token + chunk * kRows + row;
      const Operand& from = panel == 4 ? args.v : panel >= 2 ? args.k : args.q;
      value = *reinterpret_cast<const uint4*>(static_cast<const __nv_bfloat16*>(from.data) + token * from.columns +
                                              from.column(head) + channel % kHeadDim);
    } else if (row < first && panel >= 2) {
      const void* window = panel == 4 ? args.v_window : args.k_window;
      value = *reinterpret_cast<const uint4*>(static_cast<const __nv_bfloat16*>(window) +
                                              (span.slot_head * kRows + row) * kHeadDim + channel % kHeadDim);
    }
    *reinterpret_cast<uint4*>(stage + panel * kPanelBytes + swizzled(row, piece % 8)) = value;
  }
}

template <bool kReversed>
__device__ void load_tiles(const CUtensorMap* q_map, const CUtensorMap* k_map, const CUtensorMap* v_map,
                           const WalkArgs& args, const Span& span, int64_t head, int half, char* shared, uint32_t full,
                           uint32_t empty) {
  Cursor at;
  for (int64_t step = 0; step < span.chunks(); ++step, at.next(kStages)) {
    const int64_t chunk = span.chunk<kReversed>(step);
    barrier_wait(empty + at.stage * 8, at.parity ^ 1);
    char* stage = shared + at.stage * kStageBytes;
    if (span.whole(chunk)) {
      if (threadIdx.x == 0) {
        const uint32_t to = shared_address(stage), barrier = full + at.stage * 8;
        barrier_expect(barrier, kStageBytes);
        const int32_t row = static_cast<int32_t>(span.token + chunk * kRows);
        for (int panel = 0; panel < 2; ++panel) {
          copy_box(to + panel * kPanelBytes, q_map, args.q.column(head) + panel * 64, row, barrier);
          copy_box(to + (2 + panel) * kPanelBytes, k_map, args.k.column(head) + panel * 64, row, barrier);
        }
        copy_box(to + 4 * kPanelBytes, v_map, args.v.column(head) + half * kValues, row, barrier);
      }
    } else {
      load_rows(args, span, chunk, head, half, stage);
      fence_async_proxy();
      __syncwarp();
      if (threadIdx.x == 0) barrier_arrive(full + at.stage * 8);
    }
    __syncwarp();
  }
}

/// One warp: brings finished rows out.
template <bool kReversed>
__device__ void store_tiles(const CUtensorMap* map, const WalkArgs& args, const Span& span, int64_t head, int half,
                            const char* shared, uint32_t out_full, uint32_t out_empty) {
  const int lane = threadIdx.x % 32;
  const int64_t column = args.out.column(head) + half * kValues;
  Cursor at;
  for (int64_t step = 0; step < span.chunks(); ++step, at.next(2)) {
    const int64_t chunk = span.chunk<kReversed>(step);
    barrier_wait(out_full + at.stage * 8, at.parity);
    const char* rows = shared + Shared::kOut + at.stage * kPanelBytes;
    if (span.whole(chunk)) {
      if (lane == 0) {
        store_box(map, static_cast<int32_t>(column), static_cast<int32_t>(span.token + chunk * kRows),
                  shared_address(rows));
        stores_wait<0>();
      }
    } else {
      for (int item = lane; item < kRows * 8; item += 32) {
        const int row = item / 8, piece = item % 8;
        if (row >= span.first_row(chunk) && row < span.end_row(chunk))
          *reinterpret_cast<uint4*>(static_cast<__nv_bfloat16*>(const_cast<void*>(args.out.data)) +
                                    (span.token + chunk * kRows + row) * args.out.columns + column + piece * 8) =
              *reinterpret_cast<const uint4*>(rows + swizzled(row, piece));
      }
    }
    __syncwarp();
    if (lane == 0) barrier_arrive(out_empty + at.stage * 8);
  }
}

/// Two floats as two pairs of bfloat16: high + low keeps 16 bits of each. The high parts are cut off, not rounded: the
/// low ones make up for it, and cutting is one instruction for two.
__device__ __forceinline__ void split(float a, float b, uint32_t& high, uint32_t& low) {
  high = __byte_perm(__float_as_uint(a), __float_as_uint(b), 0x7632);
  low = pack_bf16(a - __uint_as_float(__float_as_uint(a) & 0xffff0000u),
                  b - __uint_as_float(__float_as_uint(b) & 0xffff0000u));
}

/// One warpgroup: P of every chunk, weighted, masked and rounded, and the weighted values, to shared memory.
template <bool kReversed>
__device__ void make_scores(const Span& span, char* shared, const float* decay, uint32_t full, uint32_t empty,
                            uint32_t scores_full, uint32_t scores_empty) {
  const int thread = threadIdx.x % 128, warp = thread / 32, lane = thread % 32;
  const int row = warp * 16 + lane / 4;  // and row + 8
  float weight[32];
#pragma unroll
  for (int i = 0; i < 32; ++i) {
    const int ahead = row + (i & 2 ? 8 : 0) - ((i / 4) * 8 + (lane % 4) * 2 + (i & 1));
    const int distance = kReversed ? -ahead : ahead;
    weight[i] = distance >= 0 ? decay[distance] : 0.0f;
  }
  float value_weight[4];
#pragma unroll
  for (int part = 0; part < 4; ++part) {
    const int value_row = part * 16 + thread / 8;
    value_weight[part] = decay[kReversed ? value_row : kRows - 1 - value_row];
  }
  const uint32_t store_row = warp * 16 + lane % 16, store_piece = lane / 16;
  Cursor at, scores_at;
  for (int64_t step = 0; step < span.chunks(); ++step) {
    const uint32_t q =
        __shfl_sync(~0u, shared_address(shared + at.stage * kStageBytes), 0);  // the same for all: say so
    const uint64_t q_operand = operand(q, 0), k_operand = operand(q + 2 * kPanelBytes, 0);
    barrier_wait(full + at.stage * 8, at.parity);
    const char* values = shared + at.stage * kStageBytes + 4 * kPanelBytes;
    uint4 loaded[4];
#pragma unroll
    for (int part = 0; part < 4; ++part)
      loaded[part] = *reinterpret_cast<const uint4*>(values + swizzled(part * 16 + thread / 8, thread % 8));
    float sums[32];
    products_begin();
#pragma unroll
    for (int part = 0; part < 8; ++part) {
      const uint32_t offset = (part / 4) * kPanelBytes + (part % 4) * 32;
      product_64x64<0, 0>(sums, further(q_operand, offset), further(k_operand, offset), part);
    }
    products_commit();
    barrier_wait(scores_empty + scores_at.stage * 8, scores_at.parity ^ 1);
    char* weighted = shared + Shared::kWeighted + scores_at.stage * 2 * kPanelBytes;
#pragma unroll
    for (int part = 0; part < 4; ++part) {
      const uint32_t place = swizzled(part * 16 + thread / 8, thread % 8);
      const uint32_t words[4] = {loaded[part].x, loaded[part].y, loaded[part].z, loaded[part].w};
      uint32_t high[4], low[4];
#pragma unroll
      for (int i = 0; i < 4; ++i)
        split(low_bf16(words[i]) * value_weight[part], high_bf16(words[i]) * value_weight[part], high[i], low[i]);
      *reinterpret_cast<uint4*>(weighted + place) = {high[0], high[1], high[2], high[3]};
      *reinterpret_cast<uint4*>(weighted + kPanelBytes + place) = {low[0], low[1], low[2], low[3]};
    }
    products_wait<0>();
    pin(sums);
    __syncwarp();
    if (elected()) barrier_arrive(empty + at.stage * 8);
    // A weight of zero also drops what is not there: zero times infinity would be NaN.
#pragma unroll
    for (int i = 0; i < 32; ++i) sums[i] = weight[i] == 0 ? 0 : sums[i] * weight[i];
    const uint32_t to = shared_address(shared + Shared::kScores + scores_at.stage * kPanelBytes);
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {
      const float* tile = sums + pair * 8;
      store_matrices(to + swizzled(store_row, pair * 2 + store_piece), pack_bf16(tile[0], tile[1]),
                     pack_bf16(tile[2], tile[3]), pack_bf16(tile[4], tile[5]), pack_bf16(tile[6], tile[7]));
    }
    fence_async_proxy();
    __syncwarp();
    if (elected()) barrier_arrive(scores_full + scores_at.stage * 8);
    at.next(kStages);
    scores_at.next(2);
  }
}

/// One warpgroup: the state, and the output.
template <bool kReversed, bool kFloatOut>
__device__ void advance_state(const WalkArgs& args, const Span& span, int64_t head, int half, char* shared,
                              const float* decay, uint32_t full, uint32_t empty, uint32_t scores_full,
                              uint32_t scores_empty, uint32_t out_full, uint32_t out_empty) {
  const int thread = threadIdx.x % 128, warp = thread / 32, lane = thread % 32;
  const int value = half * kValues + warp * 16 + lane / 4;  // and value + 8
  const int pair = (lane % 4) * 2;                          // the thread's two columns of eight
  float* global_state = span.slot_head >= 0 ? args.state + span.slot_head * kHeadDim * kHeadDim : nullptr;

  // state[i] is element (value + 8 * (i & 2 ? 1 : 0), key 8 * (i / 4) + pair + (i & 1)) of S^T.
  float state[64];
#pragma unroll
  for (int i = 0; i < 64; ++i)
    state[i] = global_state && span.start >= kRows
                   ? global_state[((i / 4) * 8 + pair + (i & 1)) * kHeadDim + value + (i & 2 ? 8 : 0)]
                   : 0.0f;
  const float carry = decay[kRows], carry_low = decay[kRows + 1];

  const uint32_t store_token = lane % 8 + (lane / 16) * 8, store_piece = 2 * warp + (lane / 8) % 2;
  const uint32_t stages = shared_address(shared);
  float chunk_sum[64], sums[32];
  // The chunk's own sum, added to the state once: adding row by row would round at the state's magnitude each time.
  auto begin_chunk_sum = [&](const Cursor& at, const Cursor& scores_at) {
    const uint64_t k = operand(stages + at.stage * kStageBytes + 2 * kPanelBytes, kPanelBytes);
    const uint64_t weighted = operand(stages + Shared::kWeighted + scores_at.stage * 2 * kPanelBytes, 0);
    products_begin();
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      product_64x128(chunk_sum, further(weighted, step * 2048), further(k, step * 2048), step);
      product_64x128(chunk_sum, further(weighted, kPanelBytes + step * 2048), further(k, step * 2048), 1);
    }
    products_commit();
  };

  // Q S of a chunk whose sum is under way; then the state moves past that chunk, if it is a full one.
  auto take_state = [&](const Cursor& at, bool commit) {
    const uint64_t q = operand(stages + at.stage * kStageBytes, 0);
    uint32_t high[8][4], low[8][4];
#pragma unroll
    for (int step = 0; step < 8; ++step)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        split(state[step * 8 + 2 * i], state[step * 8 + 2 * i + 1], high[step][i], low[step][i]);
    products_begin();
#pragma unroll
    for (int step = 0; step < 8; ++step) {
      const uint64_t b = further(q, (step / 4) * kPanelBytes + (step % 4) * 32);
      product_64x64(sums, high[step], b, step);
      product_64x64(sums, low[step], b, 1);
    }
    products_commit();
    products_wait<1>();
    pin(chunk_sum);
    if (commit) {
#pragma unroll
      for (int i = 0; i < 64; ++i) state[i] = fmaf(state[i], carry, fmaf(state[i], carry_low, chunk_sum[i]));
    }
    float even[8], odd[8];
#pragma unroll
    for (int tile = 0; tile < 8; ++tile)
      if constexpr (kReversed)
        even[tile] = decay[kRows - tile * 8 - pair], odd[tile] = decay[kRows - tile * 8 - pair - 1];
      else
        even[tile] = decay[tile * 8 + pair + 1], odd[tile] = decay[tile * 8 + pair + 2];
    products_wait<0>();
    pin(sums);
#pragma unroll
    for (int tile = 0; tile < 8; ++tile) {
      sums[tile * 4] *= even[tile], sums[tile * 4 + 1] *= odd[tile];
      sums[tile * 4 + 2] *= even[tile], sums[tile * 4 + 3] *= odd[tile];
    }
  };

  // Whether the state moves past the chunk of a step: on the way there a shorter one has no end yet.
  const auto commits = [&](int64_t step) { return kReversed || span.end_row(span.first_chunk() + step) == kRows; };
  [[maybe_unused]] float* float_out =
      static_cast<float*>(const_cast<void*>(args.out.data)) + args.out.column(head) + value;

  Cursor at, scores_at;
  const int64_t last_step = span.chunks() - 1;
  barrier_wait(full, 0);
  barrier_wait(scores_full, 0);
  begin_chunk_sum(at, scores_at);
  take_state(at, commits(0));
  // No product is under way where the loop turns, nor hangs on a branch: the compiler would wait for each. So a chunk
  // past the last is begun too, with what lies in its stages, and dropped.
  for (int64_t step = 0; step <= last_step; ++step) {
    const uint64_t v = operand(stages + at.stage * kStageBytes + 4 * kPanelBytes, 0);
    const uint64_t scores = operand(stages + Shared::kScores + scores_at.stage * kPanelBytes, 0);
    Cursor next = at, scores_next = scores_at;
    next.next(kStages);
    scores_next.next(2);
    if (step < last_step) {
      barrier_wait(full + next.stage * 8, next.parity);
      barrier_wait(scores_full + scores_next.stage * 8, scores_next.parity);
    }
    // + P V
    products_begin();
#pragma unroll
    for (int part = 0; part < 4; ++part)
      product_64x64<1, 0>(sums, further(v, part * 2048), further(scores, part * 32), 1);
    products_commit();
    begin_chunk_sum(next, scores_next);
    products_wait<1>();
    pin(sums);
    if (elected()) {
      barrier_arrive(scores_empty + scores_at.stage * 8);
      barrier_arrive(empty + at.stage * 8);
    }

    if constexpr (kFloatOut) {
      const int64_t chunk = span.chunk<kReversed>(step);
      const int begin = span.first_row(chunk) - pair, end = span.end_row(chunk) - pair;
      float* to = float_out + (span.token + chunk * kRows + pair) * args.out.columns;
#pragma unroll
      for (int tile = 0; tile < 8; ++tile)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int row = tile * 8 + i;
          if (row >= begin && row < end) {
            to[row * args.out.columns] = sums[tile * 4 + i];
            to[row * args.out.columns + 8] = sums[tile * 4 + 2 + i];
          }
        }
    } else {
      // O^T, turned, to rows of shared memory; another warp brings them out.
      barrier_wait(out_empty + scores_at.stage * 8, scores_at.parity ^ 1);
      const uint32_t rows = stages + Shared::kOut + scores_at.stage * kPanelBytes;
#pragma unroll
      for (int tile = 0; tile < 8; tile += 2) {
        const float* s = sums + tile * 4;
        store_matrices_transposed(rows + swizzled(tile * 8 + store_token, store_piece), pack_bf16(s[0], s[1]),
                                  pack_bf16(s[2], s[3]), pack_bf16(s[4], s[5]), pack_bf16(s[6], s[7]));
      }
      fence_async_proxy();
      __syncwarp();
      if (elected()) barrier_arrive(out_full + scores_at.stage * 8);
    }
    at = next;
    scores_at = scores_next;
    take_state(at, step < last_step && commits(step + 1));
  }
  if (global_state && span.end >= kRows)
#pragma unroll
    for (int i = 0; i < 64; ++i)
      global_state[((i / 4) * 8 + pair + (i & 1)) * kHeadDim + value + (i & 2 ? 8 : 0)] = state[i];
}

// Grid: 2 * heads * seqs blocks, the two halves of a head side by side.
template <bool kReversed, bool kFloatOut>
__global__ void __launch_bounds__(kThreads, 1)
    walk_kernel(const __grid_constant__ CUtensorMap q_map, const __grid_constant__ CUtensorMap k_map,
                const __grid_constant__ CUtensorMap v_map, const __grid_constant__ CUtensorMap out_map,
                const __grid_constant__ WalkArgs args) {
#if MINIMAX_HOPPER
  extern __shared__ char raw[];
  char* shared = raw + (1024 - shared_address(raw) % 1024) % 1024;
  float* decay = reinterpret_cast<float*>(shared + Shared::kDecay);
  const uint32_t full = shared_address(shared + Shared::kBarriers), empty = full + kStages * 8;
  const uint32_t scores_full = empty + kStages * 8, scores_empty = scores_full + 16;
  const uint32_t out_full = scores_empty + 16, out_empty = out_full + 16;
  const int half = blockIdx.x % 2;
  const int64_t head = blockIdx.x / 2 % args.heads, seq = blockIdx.x / 2 / args.heads;
  const Span span = span_of(args, seq, head);
  if (span.end == span.start) return;

  if (threadIdx.x == 0) {
    for (int stage = 0; stage < kStages; ++stage) {
      barrier_init(full + stage * 8, 1);
      barrier_init(empty + stage * 8, 8);  // a warp of each of the two other warpgroups
    }
    for (int i = 0; i < 2; ++i) {
      barrier_init(scores_full + i * 8, 4);
      barrier_init(scores_empty + i * 8, 4);
      barrier_init(out_full + i * 8, 4);
      barrier_init(out_empty + i * 8, 1);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  if (threadIdx.x < kRows + 2) decay[threadIdx.x] = args.decay[head * (kRows + 2) + threadIdx.x];
  __syncthreads();

  if (threadIdx.x < 128) {
    fewer_registers<kLoadRegisters>();
    if (threadIdx.x < 32) load_tiles<kReversed>(&q_map, &k_map, &v_map, args, span, head, half, shared, full, empty);
    if (!kFloatOut && threadIdx.x / 32 == 1)
      store_tiles<kReversed>(&out_map, args, span, head, half, shared, out_full, out_empty);
  } else if (threadIdx.x < 256) {
    make_scores<kReversed>(span, shared, decay, full, empty, scores_full, scores_empty);
  } else {
    more_registers<kStateRegisters>();
    advance_state<kReversed, kFloatOut>(args, span, head, half, shared, decay, full, empty, scores_full, scores_empty,
                                        out_full, out_empty);
  }
#endif
}

/// A [rows, columns] bfloat16 matrix, to be copied in boxes of 64 columns and a chunk's rows, swizzled.
inline bool describe(CUtensorMap* map, const void* matrix, int64_t rows, int64_t columns) {
  static const EncodeTiled encode = encode_tiled();
  const cuuint64_t sizes[2] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[1] = {static_cast<cuuint64_t>(columns) * 2};
  const cuuint32_t box[2] = {64, static_cast<cuuint32_t>(kRows)}, steps[2] = {1, 1};
  return encode && encode(map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<void*>(matrix), sizes, strides, box,
                          steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                          CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

template <bool kReversed, bool kFloatOut>
Failure walk(const WalkArgs& args, Stream stream) {
  CUtensorMap q_map{}, k_map{}, v_map{}, out_map{};
  if (!describe(&q_map, args.q.data, args.tokens, args.q.columns) ||
      !describe(&k_map, args.k.data, args.tokens, args.k.columns) ||
      !describe(&v_map, args.v.data, args.tokens, args.v.columns) ||
      (!kFloatOut && !describe(&out_map, args.out.data, args.tokens, args.out.columns)))
    return "lightning: an operand or the result cannot be described to the copy engine (are they 16-byte aligned?)";
  auto* kernel = walk_kernel<kReversed, kFloatOut>;
  if (Failure wrong =
          failure(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Shared::kAllocated)))
    return wrong;
  kernel<<<static_cast<unsigned>(2 * args.heads * args.seqs), kThreads, Shared::kAllocated, stream_of(stream)>>>(
      q_map, k_map, v_map, out_map, args);
  return launched();
}

}  // namespace
}  // namespace minimax::cuda
