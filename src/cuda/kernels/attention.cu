// Causal grouped-query attention of any number of tokens over paged keys, with a running softmax over pages.
//
// A block of eight warps takes 128 rows, each a query head of a token; the heads of one kv head's group lie side by
// side, so that a page is loaded once for all of them. Warp w owns rows 16 w .. 16 w + 15 with the m16n8k16 products of
// tensor cores. Every row walks the pages from position 0 in order: neighbours and cuts change none of its bits.
#include <cuda_bf16.h>

#include <cmath>

#include "cuda/kernels/attention_hopper.cuh"
#include "cuda/kernels/loads.cuh"
#include "cuda/kernels/mma.cuh"

namespace minimax::cuda {
namespace {

constexpr int kPage = static_cast<int>(kChunk);
constexpr int kWarps = 8, kThreads = kWarps * 32, kRows = kWarps * 16;
constexpr float kLog2E = 1.44269504088896340736f;

// Grid: kv_heads * head_dim / 8 pieces of all tokens; one thread copies eight numbers.
template <typename T>
__global__ void store_kv_kernel(const float* k, const float* v, const int32_t* positions, const int32_t* cu_seqlens,
                                const int32_t* page_table, T* k_pages, T* v_pages, int64_t tokens, int64_t seqs,
                                int64_t kv_heads, int64_t head_dim, int64_t max_pages) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x, width = kv_heads * head_dim;
  if (at >= tokens * width) return;
  const int64_t token = at / width, head = at % width / head_dim, channel = at % head_dim;
  int64_t low = 0, high = seqs;  // the sequence that owns the token
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (cu_seqlens[middle] <= token ? low : high) = middle;
  }
  const int64_t position = positions[token], page = page_table[low * max_pages + position / kPage];
  const int64_t to = ((page * kv_heads + head) * kPage + position % kPage) * head_dim + channel;
  put(k_pages + to, k[at]);
  put(v_pages + to, v[at]);
}

/// 16 bytes to shared memory, zeros when they are not `there`.
__device__ __forceinline__ void copy16(void* to, const void* from, bool there) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(to))),
      "l"(from), "r"(there ? 16 : 0)
      : "memory");
}

template <int kDim>
struct Layout {
  using Rows = SharedTile<kDim>;
  static constexpr int kTile = Rows::kRowBytes * kPage;
  static constexpr int kBytes = 4 * kTile;  // two pages of k and v
};

// Grid: row tiles (last first: they take longest) x kv heads x seqs.
template <int kDim>
__global__ void __launch_bounds__(kThreads) attention_kernel(const AttentionArgs args) {
  extern __shared__ __align__(16) unsigned char shared[];
  using L = Layout<kDim>;
  using Rows = typename L::Rows;
  const int64_t seq = blockIdx.z, kv_head = blockIdx.y, group = args.heads / args.kv_heads;
  const int64_t first_token = args.cu_seqlens[seq], count = args.cu_seqlens[seq + 1] - first_token;
  const int64_t row0 = static_cast<int64_t>(gridDim.x - 1 - blockIdx.x) * kRows;
  if (row0 >= count * group) return;
  const int64_t start = args.positions[first_token];
  const int64_t last_written = start + count - 1;
  const int64_t last_token = min(count - 1, (row0 + kRows - 1) / group);
  const int pages = static_cast<int>((start + last_token) / kPage + 1);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int32_t* table = args.page_table + seq * args.max_pages;

  // This thread's two rows: g and g + 8 of the warp's sixteen. Rows behind the last one repeat it and are not stored.
  int64_t token[2], head[2];
  int position[2];
  bool stored[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int64_t row = row0 + warp * 16 + lane / 4 + half * 8;
    stored[half] = row < count * group;
    const int64_t kept = stored[half] ? row : count * group - 1;
    token[half] = first_token + kept / group;
    head[half] = kv_head * group + kept % group;
    position[half] = static_cast<int>(start + kept / group);
  }
  uint32_t q[kDim / 16][4];
#pragma unroll
  for (int step = 0; step < kDim / 16; ++step)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float2 pair = *reinterpret_cast<const float2*>(args.q + (token[i % 2] * args.heads + head[i % 2]) * kDim +
                                                           step * 16 + i / 2 * 8 + lane % 4 * 2);
      q[step][i] = pair_of(pair.x, pair.y);
    }

  auto load_page = [&](int page) {
    const auto* k = static_cast<const __nv_bfloat16*>(args.k_pages);
    const auto* v = static_cast<const __nv_bfloat16*>(args.v_pages);
    const int64_t from = (static_cast<int64_t>(table[page]) * args.kv_heads + kv_head) * kPage * kDim;
    const Rows k_tile{reinterpret_cast<__nv_bfloat16*>(shared + page % 2 * 2 * L::kTile)};
    const Rows v_tile{reinterpret_cast<__nv_bfloat16*>(shared + (page % 2 * 2 + 1) * L::kTile)};
    for (int piece = threadIdx.x; piece < kPage * kDim / 8; piece += kThreads) {
      const int row = piece / (kDim / 8), column = piece % (kDim / 8) * 8;
      const bool there = static_cast<int64_t>(page) * kPage + row <= last_written;
      copy16(k_tile.at(row, column), k + from + row * kDim + column, there);
      copy16(v_tile.at(row, column), v + from + row * kDim + column, there);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  };

  float out[kDim / 8][4];
#pragma unroll
  for (int tile = 0; tile < kDim / 8; ++tile) out[tile][0] = out[tile][1] = out[tile][2] = out[tile][3] = 0;
  float largest[2] = {-INFINITY, -INFINITY}, weight[2] = {0, 0};
  const float scale = args.scale * kLog2E;

  load_page(0);
  for (int page = 0; page < pages; ++page) {
    if (page + 1 < pages) {
      load_page(page + 1);
      asm volatile("cp.async.wait_group 1;" ::: "memory");
    } else {
      asm volatile("cp.async.wait_group 0;" ::: "memory");
    }
    __syncthreads();
    const Rows k_tile{reinterpret_cast<__nv_bfloat16*>(shared + page % 2 * 2 * L::kTile)};
    const Rows v_tile{reinterpret_cast<__nv_bfloat16*>(shared + (page % 2 * 2 + 1) * L::kTile)};

    float scores[kPage / 8][4];
#pragma unroll
    for (int tile = 0; tile < kPage / 8; tile += 2) {
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[tile][i] = scores[tile + 1][i] = 0;
#pragma unroll
      for (int step = 0; step < kDim / 16; ++step) {
        uint32_t b[4];
        k_tile.load_b(b, tile * 8, step * 16);
        multiply_add_16x8(scores[tile], q[step], b[0], b[1]);
        multiply_add_16x8(scores[tile + 1], q[step], b[2], b[3]);
      }
    }
    const int key0 = page * kPage;
    const bool whole = key0 + kPage - 1 <= position[0] && key0 + kPage - 1 <= position[1];
    float new_largest[2] = {largest[0], largest[1]};
#pragma unroll
    for (int tile = 0; tile < kPage / 8; ++tile)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int key = key0 + tile * 8 + lane % 4 * 2 + i % 2;
        scores[tile][i] = whole || key <= position[i / 2] ? scores[tile][i] * scale : -INFINITY;
        new_largest[i / 2] = fmaxf(new_largest[i / 2], scores[tile][i]);
      }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      new_largest[half] = fmaxf(new_largest[half], __shfl_xor_sync(0xffffffffu, new_largest[half], 1));
      new_largest[half] = fmaxf(new_largest[half], __shfl_xor_sync(0xffffffffu, new_largest[half], 2));
      const float keep = exp2f(largest[half] - new_largest[half]);
      largest[half] = new_largest[half];
      weight[half] *= keep;
#pragma unroll
      for (int tile = 0; tile < kDim / 8; ++tile) {
        out[tile][half * 2] *= keep;
        out[tile][half * 2 + 1] *= keep;
      }
    }
#pragma unroll
    for (int tile = 0; tile < kPage / 8; ++tile)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        scores[tile][i] = exp2f(scores[tile][i] - largest[i / 2]);
        weight[i / 2] += scores[tile][i];
      }
#pragma unroll
    for (int step = 0; step < kPage / 16; ++step) {
      const uint32_t p[4] = {pair_of(scores[2 * step][0], scores[2 * step][1]),
                             pair_of(scores[2 * step][2], scores[2 * step][3]),
                             pair_of(scores[2 * step + 1][0], scores[2 * step + 1][1]),
                             pair_of(scores[2 * step + 1][2], scores[2 * step + 1][3])};
#pragma unroll
      for (int tile = 0; tile < kDim / 8; tile += 2) {
        uint32_t b[4];
        v_tile.load_b_transposed(b, step * 16, tile * 8);
        multiply_add_16x8(out[tile], p, b[0], b[1]);
        multiply_add_16x8(out[tile + 1], p, b[2], b[3]);
      }
    }
    __syncthreads();
  }

#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float sum = weight[half];
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    if (!stored[half]) continue;
    const int64_t row = token[half] * args.heads + head[half];
#pragma unroll
    for (int tile = 0; tile < kDim / 8; ++tile)
      *reinterpret_cast<float2*>(args.out + row * kDim + tile * 8 + lane % 4 * 2) = {out[tile][half * 2] / sum,
                                                                                     out[tile][half * 2 + 1] / sum};
    if (args.log_sums && lane % 4 == 0) args.log_sums[row] = (largest[half] + log2f(sum)) / kLog2E;
  }
}

// One warp a row; lanes take keys for scores and channels for sums. Grid: tokens / 8 x heads.
constexpr int kSimpleMaxDim = 256;
template <typename T>
__global__ void __launch_bounds__(256) attention_simple_kernel(const AttentionArgs args) {
  extern __shared__ float queries[];  // [8][head_dim], then [8][kPage] weights
  const int64_t dim = args.head_dim, token = static_cast<int64_t>(blockIdx.x) * 8 + threadIdx.x / 32;
  if (token >= args.tokens) return;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t head = blockIdx.y, kv_head = head / (args.heads / args.kv_heads), row = token * args.heads + head;
  float* q = queries + warp * dim;
  float* weights = queries + 8 * dim + warp * kPage;
  int64_t low = 0, high = args.seqs;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (args.cu_seqlens[middle] <= token ? low : high) = middle;
  }
  const int32_t* table = args.page_table + low * args.max_pages;
  const int64_t position = args.positions[token];
  for (int64_t d = lane; d < dim; d += 32) q[d] = args.q[row * dim + d];
  __syncwarp();
  float out[kSimpleMaxDim / 32] = {}, largest = -INFINITY, sum = 0;
  for (int64_t page = 0; page <= position / kPage; ++page) {
    const int64_t from = (static_cast<int64_t>(table[page]) * args.kv_heads + kv_head) * kPage * dim;
    const T *k = static_cast<const T*>(args.k_pages) + from, *v = static_cast<const T*>(args.v_pages) + from;
    const int visible = static_cast<int>(min(static_cast<int64_t>(kPage), position - page * kPage + 1));
    float scores[2], page_largest = -INFINITY;
    for (int i = 0; i < 2; ++i) {
      const int key = lane + 32 * i;
      scores[i] = -INFINITY;
      if (key < visible) {
        float dot = 0;
        for (int64_t d = 0; d < dim; ++d) dot = fmaf(q[d], number(k[key * dim + d]), dot);
        scores[i] = dot * args.scale;
      }
      page_largest = fmaxf(page_largest, scores[i]);
    }
    const float new_largest = fmaxf(largest, warp_max(page_largest));
    const float keep = expf(largest - new_largest);
    largest = new_largest;
    float page_sum = 0;
    for (int i = 0; i < 2; ++i) {
      const float w = expf(scores[i] - largest);
      weights[lane + 32 * i] = w;
      page_sum += w;
    }
    sum = sum * keep + warp_sum(page_sum);
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kSimpleMaxDim / 32; ++i) {
      const int64_t d = lane + 32 * i;
      if (d >= dim) continue;
      float total = out[i] * keep;
      for (int key = 0; key < visible; ++key) total = fmaf(weights[key], number(v[key * dim + d]), total);
      out[i] = total;
    }
    __syncwarp();
  }
#pragma unroll
  for (int i = 0; i < kSimpleMaxDim / 32; ++i)
    if (lane + 32 * i < dim) args.out[row * dim + lane + 32 * i] = out[i] / sum;
  if (args.log_sums && lane == 0) args.log_sums[row] = largest + logf(sum);
}

template <int kDim>
Failure launch_attention(const AttentionArgs& args, Stream stream) {
  const int64_t rows = args.longest * (args.heads / args.kv_heads);
  const dim3 grid(static_cast<unsigned>((rows + kRows - 1) / kRows), static_cast<unsigned>(args.kv_heads),
                  static_cast<unsigned>(args.seqs));
  if (Failure wrong = failure(cudaFuncSetAttribute(attention_kernel<kDim>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                   Layout<kDim>::kBytes)))
    return wrong;
  attention_kernel<kDim><<<grid, kThreads, Layout<kDim>::kBytes, stream_of(stream)>>>(args);
  return launched();
}

}  // namespace

Failure store_kv(const float* k, const float* v, const int32_t* positions, const int32_t* cu_seqlens,
                 const int32_t* page_table, void* k_pages, void* v_pages, Type type, int64_t tokens, int64_t seqs,
                 int64_t kv_heads, int64_t head_dim, int64_t max_pages, Stream stream) {
  const int64_t count = tokens * kv_heads * head_dim;
  if (count == 0) return nullptr;
  return with_type(type, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    store_kv_kernel<<<static_cast<unsigned>((count + 255) / 256), 256, 0, stream_of(stream)>>>(
        k, v, positions, cu_seqlens, page_table, static_cast<T*>(k_pages), static_cast<T*>(v_pages), tokens, seqs,
        kv_heads, head_dim, max_pages);
    return launched();
  });
}

Failure attention(const AttentionArgs& args, Stream stream) {
  if (args.tokens == 0) return nullptr;
  if (args.kv_heads < 1 || args.heads % args.kv_heads != 0 || args.seqs > 65535)
    return "attention: heads are no multiple of kv_heads, or there are more than 65,535 sequences";
  if (attention_hopper_takes(args)) return attention_hopper(args, stream);
  if (args.type == Type::kBFloat16) {
    if (args.head_dim == 128) return launch_attention<128>(args, stream);
    if (args.head_dim == 96) return launch_attention<96>(args, stream);
    if (args.head_dim == 64) return launch_attention<64>(args, stream);
    if (args.head_dim == 48) return launch_attention<48>(args, stream);
    if (args.head_dim == 32) return launch_attention<32>(args, stream);
    if (args.head_dim == 16) return launch_attention<16>(args, stream);
  }
  return attention_simple(args, stream);
}

Failure attention_simple(const AttentionArgs& args, Stream stream) {
  if (args.tokens == 0) return nullptr;
  if (args.head_dim < 1 || args.head_dim > kSimpleMaxDim) return "attention_simple: head_dim is above 256";
  const dim3 grid(static_cast<unsigned>((args.tokens + 7) / 8), static_cast<unsigned>(args.heads));
  const auto shared_bytes = static_cast<size_t>(8 * (args.head_dim + kPage)) * sizeof(float);
  return with_type(args.type, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    attention_simple_kernel<T><<<grid, 256, shared_bytes, stream_of(stream)>>>(args);
    return launched();
  });
}

}  // namespace minimax::cuda
