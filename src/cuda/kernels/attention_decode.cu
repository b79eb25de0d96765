// Grouped-query attention of one new token of each sequence against its paged keys, in fixed splits (docs/design.md,
// P2).
//
// Blocks of four warps own kAttentionSplitKeys keys at absolute positions, for one kv head and its 8 query heads; warp
// w takes pages w, w + 4, ... of the split with a running softmax of its own, half a page at a time. The four are
// combined in order, then a second kernel combines the splits in order: nothing depends on the batch.
//
// Products run on tensor cores (m16n8k16, float32 sums) straight from registers. S = Q K^T has the 8 heads as rows; its
// thread layout is that of the right operand of O^T = V^T P^T. Loads are 16 bytes a thread; the channels of a product
// are taken in the order in which they then lie in registers, which is the same for q and k.
//
// Memory bound: 2 * 2 * keys * kv_heads * head_dim bytes.
#include <cuda_bf16.h>

#include <algorithm>

#include "cuda/kernels/launch.cuh"

namespace minimax::cuda {
namespace {

constexpr int kHeadDim = 128, kGroup = 8;
constexpr int kWarps = 4, kThreads = kWarps * 32;
constexpr int kTile = 32;  // keys a warp takes at a time: 16 KiB of k and v under way
constexpr int kPage = static_cast<int>(kChunk);
constexpr int kSplitPages = static_cast<int>(kAttentionSplitKeys) / kPage;
constexpr int kMergeGroups = 16, kMergeChannels = 32;
constexpr int64_t kManySplits = 64;  // from here on each group of a merge has a warp of its own

__device__ __forceinline__ void multiply_add(float (&sums)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                                             uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

__device__ __forceinline__ uint32_t pack(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

__device__ __forceinline__ uint4 load_or_zero(const __nv_bfloat16* from, bool there) {
  uint4 out = {0, 0, 0, 0};
  if (there)
    asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out.x), "=r"(out.y), "=r"(out.z), "=r"(out.w)
                 : "l"(from));
  return out;
}

__device__ __forceinline__ uint32_t word(const uint4& four, int i) {
  return i == 0 ? four.x : i == 1 ? four.y : i == 2 ? four.z : four.w;
}

/// One tile's keys: row 8 * tile + lane / 4, 16-byte pieces lane % 4 + 4 * i.
__device__ __forceinline__ void load_keys(uint4 (&keys)[kTile / 8][4], const __nv_bfloat16* base, int visible) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int tile = 0; tile < kTile / 8; ++tile)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int key = tile * 8 + lane / 4;
      keys[tile][i] = load_or_zero(base + key * kHeadDim + (i * 4 + lane % 4) * 8, key < visible);
    }
}

/// One tile's values: keys 16 * step + 2 * (lane % 4) + {0, 1, 8, 9}, pieces lane / 4 and lane / 4 + 8. Zero where the
/// token may not look: weight 0 would not do, 0 times infinity is NaN.
__device__ __forceinline__ void load_values(uint4 (&values)[kTile / 16][4][2], const __nv_bfloat16* base, int visible) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int step = 0; step < kTile / 16; ++step)
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int key = step * 16 + (lane % 4) * 2 + (i & 1) + (i & 2) * 4;
        values[step][i][half] = load_or_zero(base + key * kHeadDim + (lane / 4 + half * 8) * 8, key < visible);
      }
}

struct Running {
  float out[8][4];        ///< O^T: tile e: channels 8 * (lane / 4) + e and + 64, heads 2 * (lane % 4) + {0, 1}
  float max = -INFINITY;  ///< of head lane / 4, in units of log 2
  float sum = 0;          ///< this thread's part of that head's
};

__device__ __forceinline__ void take_tile(Running& run, const uint4 (&q)[4], const uint4 (&keys)[kTile / 8][4],
                                          int visible, float scale, uint32_t (&weights)[kTile / 8]) {
  const int lane = threadIdx.x % 32;
  float scores[kTile / 8][4];
#pragma unroll
  for (int tile = 0; tile < kTile / 8; ++tile) {
    scores[tile][0] = scores[tile][1] = scores[tile][2] = scores[tile][3] = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      multiply_add(scores[tile], q[i].x, 0, q[i].y, 0, keys[tile][i].x, keys[tile][i].y);
      multiply_add(scores[tile], q[i].z, 0, q[i].w, 0, keys[tile][i].z, keys[tile][i].w);
    }
  }
  float largest = run.max;
#pragma unroll
  for (int tile = 0; tile < kTile / 8; ++tile)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int key = tile * 8 + (lane % 4) * 2 + i;
      scores[tile][i] = key < visible ? scores[tile][i] * scale : -INFINITY;
      largest = fmaxf(largest, scores[tile][i]);
    }
  largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 1));
  largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 2));
  if (__any_sync(~0u, largest > run.max)) {
    const float rescale = exp2f(run.max - largest);
    const float even = __shfl_sync(~0u, rescale, (lane % 4) * 8), odd = __shfl_sync(~0u, rescale, (lane % 4) * 8 + 4);
#pragma unroll
    for (int e = 0; e < 8; ++e)
      run.out[e][0] *= even, run.out[e][1] *= odd, run.out[e][2] *= even, run.out[e][3] *= odd;
    run.sum *= rescale;
    run.max = largest;
  }
#pragma unroll
  for (int tile = 0; tile < kTile / 8; ++tile) {
    const float a = exp2f(scores[tile][0] - run.max), b = exp2f(scores[tile][1] - run.max);
    run.sum += a + b;
    weights[tile] = pack(a, b);
  }
}

__device__ __forceinline__ void add_values(Running& run, const uint32_t (&weights)[kTile / 8],
                                           const uint4 (&values)[kTile / 16][4][2]) {
#pragma unroll
  for (int step = 0; step < kTile / 16; ++step)
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      const uint32_t pick = e % 2 ? 0x7632 : 0x5410;
      const auto& v = values[step];
      multiply_add(run.out[e], __byte_perm(word(v[0][0], e / 2), word(v[1][0], e / 2), pick),
                   __byte_perm(word(v[0][1], e / 2), word(v[1][1], e / 2), pick),
                   __byte_perm(word(v[2][0], e / 2), word(v[3][0], e / 2), pick),
                   __byte_perm(word(v[2][1], e / 2), word(v[3][1], e / 2), pick), weights[step * 2],
                   weights[step * 2 + 1]);
    }
}

/// Where a split's results lie: sums [seqs, splits, heads, head_dim], then maximum and weight [seqs, splits, heads, 2].
struct Workspace {
  float* sums;
  float2* scalars;
  __device__ Workspace(const AttentionDecodeArgs& args, int64_t splits, int64_t seq, int64_t split, int64_t head) {
    const int64_t row = (seq * splits + split) * args.heads + head;
    sums = args.workspace + row * kHeadDim;
    scalars = reinterpret_cast<float2*>(args.workspace + args.seqs * splits * args.heads * kHeadDim) + row;
  }
};

// Grid: splits x kv_heads x seqs. A split beyond the sequence's end ends at once.
__global__ void __launch_bounds__(kThreads, 2)
    attention_decode_kernel(const AttentionDecodeArgs args, float scale_log2) {
  __shared__ float warp_sums[kWarps][kGroup][kHeadDim + 4];
  __shared__ float warp_max[kWarps][kGroup], warp_weight[kWarps][kGroup];
  const int64_t split = blockIdx.x, kv_head = blockIdx.y, seq = blockIdx.z;
  const int64_t keys_end = static_cast<int64_t>(args.positions[seq]) + 1;
  if (split * kAttentionSplitKeys >= keys_end) return;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;

  uint4 q[4];
  const __nv_bfloat16* query =
      static_cast<const __nv_bfloat16*>(args.q) + (seq * args.heads + kv_head * kGroup + lane / 4) * kHeadDim;
#pragma unroll
  for (int i = 0; i < 4; ++i) q[i] = *reinterpret_cast<const uint4*>(query + (i * 4 + lane % 4) * 8);

  // Tile i of a warp is half i % 2 of its page i / 2.
  const int32_t* table = args.page_table + seq * args.max_pages + split * kSplitPages;
  const int64_t split_keys = min(keys_end - split * kAttentionSplitKeys, kAttentionSplitKeys);
  constexpr int kPageTiles = kPage / kTile, kTiles = kSplitPages / kWarps * kPageTiles;
  int32_t pages[kSplitPages / kWarps];
#pragma unroll
  for (int i = 0; i < kSplitPages / kWarps; ++i)
    pages[i] = (i * kWarps + warp) * kPage < split_keys ? table[i * kWarps + warp] : 0;
  auto first_key = [&](int tile) { return (tile / kPageTiles * kWarps + warp) * kPage + tile % kPageTiles * kTile; };
  auto offset = [&](int tile) {
    return ((pages[tile / kPageTiles] * args.kv_heads + kv_head) * kPage + tile % kPageTiles * kTile) * kHeadDim;
  };
  const __nv_bfloat16* k_pages = static_cast<const __nv_bfloat16*>(args.k_pages);
  const __nv_bfloat16* v_pages = static_cast<const __nv_bfloat16*>(args.v_pages);

  Running run;
#pragma unroll
  for (int e = 0; e < 8; ++e) run.out[e][0] = run.out[e][1] = run.out[e][2] = run.out[e][3] = 0;
  uint4 keys[kTile / 8][4];
  uint4 values[kTile / 16][4][2];
  load_keys(keys, k_pages + offset(0), static_cast<int>(split_keys) - first_key(0));
  load_values(values, v_pages + offset(0), static_cast<int>(split_keys) - first_key(0));
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile) {
    const int visible = static_cast<int>(split_keys) - first_key(tile);
    if (visible <= 0) break;
    uint32_t weights[kTile / 8];
    take_tile(run, q, keys, visible, scale_log2, weights);
    const int next = tile + 1 < kTiles ? tile + 1 : tile;
    const int next_visible = tile + 1 < kTiles ? static_cast<int>(split_keys) - first_key(next) : 0;
    load_keys(keys, k_pages + offset(next), next_visible);
    add_values(run, weights, values);
    load_values(values, v_pages + offset(next), next_visible);
  }

  run.sum += __shfl_xor_sync(~0u, run.sum, 1);
  run.sum += __shfl_xor_sync(~0u, run.sum, 2);
  if (lane % 4 == 0) warp_max[warp][lane / 4] = run.max, warp_weight[warp][lane / 4] = run.sum;
#pragma unroll
  for (int e = 0; e < 8; ++e)
#pragma unroll
    for (int i = 0; i < 4; ++i) warp_sums[warp][(lane % 4) * 2 + i % 2][lane / 4 * 8 + e + i / 2 * 64] = run.out[e][i];
  __syncthreads();

  for (int head = 0; head < kGroup; ++head) {
    // The split's first page is the first warp's, so this is finite.
    float largest = warp_max[0][head];
#pragma unroll
    for (int w = 1; w < kWarps; ++w) largest = fmaxf(largest, warp_max[w][head]);
    float out = 0, weight = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float rescale = exp2f(warp_max[w][head] - largest);
      out = fmaf(warp_sums[w][head][threadIdx.x], rescale, out);
      weight = fmaf(warp_weight[w][head], rescale, weight);
    }
    const Workspace to(args, gridDim.x, seq, split, kv_head * kGroup + head);
    to.sums[threadIdx.x] = out;
    if (threadIdx.x == 0) *to.scalars = {largest, weight};
  }
}

// Grid: heads x seqs x stretches of 32 channels. Group g takes splits g, g + kMergeGroups, ...; then the groups are
// added in order. A warp has one group or several: the bits are the same.
template <int kMergeWarps>
__global__ void __launch_bounds__(kMergeWarps * 32)
    attention_merge_kernel(const AttentionDecodeArgs args, int64_t splits) {
  __shared__ float sums[kMergeGroups][kMergeChannels], weights[kMergeGroups], maxima[kMergeWarps];
  const int64_t head = blockIdx.x, seq = blockIdx.y;
  const int64_t used = args.positions[seq] / kAttentionSplitKeys + 1;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, channel = blockIdx.z * kMergeChannels + lane;
  float largest = -INFINITY;
  for (int64_t split = threadIdx.x; split < used; split += blockDim.x)
    largest = fmaxf(largest, Workspace(args, splits, seq, split, head).scalars->x);
  for (int distance = 16; distance > 0; distance /= 2)
    largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, distance));
  if (lane == 0) maxima[warp] = largest;
  __syncthreads();
  for (float other : maxima) largest = fmaxf(largest, other);

  for (int group = warp; group < kMergeGroups; group += kMergeWarps) {
    float out = 0, weight = 0;
#pragma unroll 8
    for (int64_t split = group; split < used; split += kMergeGroups) {
      const Workspace from(args, splits, seq, split, head);
      const float2 scalars = *from.scalars;
      const float rescale = exp2f(scalars.x - largest);
      out = fmaf(from.sums[channel], rescale, out);
      weight = fmaf(scalars.y, rescale, weight);
    }
    sums[group][lane] = out;
    if (lane == 0) weights[group] = weight;
  }
  __syncthreads();
  if (warp > 0) return;
  float out = 0, weight = 0;
  for (int group = 0; group < kMergeGroups; ++group) out += sums[group][lane], weight += weights[group];
  static_cast<__nv_bfloat16*>(args.out)[(seq * args.heads + head) * kHeadDim + channel] =
      __float2bfloat16(out / weight);
}

Failure check(const AttentionDecodeArgs& args) {
  if (args.seqs < 0 || args.kv_heads < 1 || args.heads % args.kv_heads != 0 || args.max_pages < 1)
    return "attention_decode: heads are no multiple of kv_heads, or there are no pages";
  if (args.seqs > 65535 || args.kv_heads > 65535) return "attention_decode: more than 65,535 sequences or kv heads";
  return nullptr;
}

// Grid: heads x seqs, head_dim threads.
__global__ void attention_decode_simple_kernel(const AttentionDecodeArgs args) {
  extern __shared__ double products[];
  const int64_t head = blockIdx.x, seq = blockIdx.y, d = threadIdx.x, head_dim = args.head_dim;
  const int64_t kv_head = head / (args.heads / args.kv_heads);
  const double q = static_cast<double>(
      __bfloat162float(static_cast<const __nv_bfloat16*>(args.q)[(seq * args.heads + head) * head_dim + d]));
  double largest = -INFINITY, weight = 0, out = 0;
  for (int64_t key = 0; key <= args.positions[seq]; ++key) {
    const int64_t page = args.page_table[seq * args.max_pages + key / kChunk];
    const int64_t at = ((page * args.kv_heads + kv_head) * kChunk + key % kChunk) * head_dim + d;
    products[d] = q * static_cast<double>(__bfloat162float(static_cast<const __nv_bfloat16*>(args.k_pages)[at]));
    __syncthreads();
    double score = 0;
    for (int64_t i = 0; i < head_dim; ++i) score += products[i];
    __syncthreads();
    score *= static_cast<double>(args.scale);
    const double new_largest = score > largest ? score : largest;
    const double keep = exp(largest - new_largest), add = exp(score - new_largest);
    out = out * keep + add * static_cast<double>(__bfloat162float(static_cast<const __nv_bfloat16*>(args.v_pages)[at]));
    weight = weight * keep + add;
    largest = new_largest;
  }
  static_cast<__nv_bfloat16*>(args.out)[(seq * args.heads + head) * head_dim + d] = __double2bfloat16(out / weight);
}

}  // namespace

Failure attention_decode(const AttentionDecodeArgs& args, Stream stream) {
  if (Failure wrong = check(args)) return wrong;
  if (args.head_dim != kHeadDim || args.heads != kGroup * args.kv_heads)
    return "attention_decode: head_dim is not 128, or there are not 8 query heads for each kv head";
  if (args.seqs == 0) return nullptr;
  const int64_t splits = (args.max_pages + kSplitPages - 1) / kSplitPages;
  const dim3 grid(static_cast<unsigned>(splits), static_cast<unsigned>(args.kv_heads),
                  static_cast<unsigned>(args.seqs));
  attention_decode_kernel<<<grid, kThreads, 0, stream_of(stream)>>>(args, args.scale * 1.44269504088896340736f);
  if (Failure wrong = launched()) return wrong;
  const dim3 heads(static_cast<unsigned>(args.heads), static_cast<unsigned>(args.seqs), kHeadDim / kMergeChannels);
  if (splits >= kManySplits)
    attention_merge_kernel<kMergeGroups><<<heads, kMergeGroups * 32, 0, stream_of(stream)>>>(args, splits);
  else
    attention_merge_kernel<2><<<heads, 64, 0, stream_of(stream)>>>(args, splits);
  return launched();
}

Failure attention_decode_simple(const AttentionDecodeArgs& args, Stream stream) {
  if (Failure wrong = check(args)) return wrong;
  if (args.head_dim < 1 || args.head_dim > 1024) return "attention_decode_simple: head_dim is above 1024";
  if (args.seqs == 0) return nullptr;
  const dim3 heads(static_cast<unsigned>(args.heads), static_cast<unsigned>(args.seqs));
  attention_decode_simple_kernel<<<heads, static_cast<unsigned>(args.head_dim),
                                   static_cast<size_t>(args.head_dim) * sizeof(double), stream_of(stream)>>>(args);
  return launched();
}

}  // namespace minimax::cuda
