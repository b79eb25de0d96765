// What attention.cu computes, on Hopper's warpgroup products: head_dim 128 and pages of bfloat16.
//
// A block takes 128 rows, each a query head of a token; the heads of one kv head's group lie side by side, so that a
// page is loaded once for all of them. One warp loads 128 keys a stage, two pages, through the copy engine. Two
// warpgroups own 64 rows each. While the tensor cores multiply the next stage's scores and this stage's values, the
// weights of the next stage are made: scores of stage i + 1, then values of stage i, then the softmax of i + 1 beside
// them. Every row walks its keys from position 0 in steps of 128 at absolute positions: neighbours and cuts change none
// of its bits. A page that is not written to its end is loaded row by row, with zeros behind it, for a weight of zero
// times what happens to lie there could be NaN.
//
// Letting the warpgroups take turns with the tensor cores, so that one makes weights while the other multiplies, was no
// faster: 117.4 ms against 115.8 for 65,536 tokens of 64 heads on an H200. They fall into step by themselves.
//
// Flops: 4 * 128 a key and row; bytes from L2: 64 KiB a step of a block, a fifth of what L2 gives in the time that the
// tensor cores take.
#include <cmath>

#include "cuda/kernels/attention_hopper.cuh"
#include "cuda/kernels/hopper.cuh"
#include "cuda/kernels/tensor_map.cuh"

namespace minimax::cuda {
namespace {

constexpr int kDim = 128, kPage = static_cast<int>(kChunk);
constexpr int kRows = 128, kGroupRows = 64;        // of a block; of a warpgroup
constexpr int kPages = 2, kKeys = kPages * kPage;  // a stage
constexpr int kStages = 3;
constexpr int kThreads = 384;
constexpr int kPageBytes = kPage * 128;      // 64 channels of a page
constexpr int kPanelBytes = kKeys * 128;     // 64 channels of a stage
constexpr int kTileBytes = 2 * kPanelBytes;  // k or v of a stage
constexpr int kQueryPanel = kGroupRows * 128, kQueryBytes = 2 * 2 * kQueryPanel;
constexpr float kLog2E = 1.44269504088896340736f;

struct Shared {
  static constexpr int kK = kQueryBytes, kV = kK + kStages * kTileBytes;
  static constexpr int kBarriers = kV + kStages * kTileBytes;
  static constexpr int kBytes = kBarriers + 4 * kStages * 8;
  static constexpr int kAllocated = kBytes + 1024;  // to start at a multiple of 1024
};
static_assert(Shared::kAllocated <= 227 * 1024);

/// What a block computes.
struct Place {
  int64_t seq, kv_head, group, first_token, count, row0, start;
  int steps;
};

__device__ __forceinline__ float power_of_two(float x) {
  float out;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(x));
  return out;
}

/// sums[64, 128] += weights[64, 16] values[16, 128], the weights in registers.
__device__ __forceinline__ void add_values(float (&sums)[64], const uint32_t* weights, uint64_t values, int add) {
#if MINIMAX_HOPPER
  asm volatile(
      "{\n .reg .pred p;\n setp.ne.b32 p, %69, 0;\n"
      " wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " MM_SUMS_64 ", {%64, %65, %66, %67}, %68, p, 1, 1, 1;\n}"
      : MM_32(sums, 0), MM_32(sums, 32)
      : "r"(weights[0]), "r"(weights[1]), "r"(weights[2]), "r"(weights[3]), "l"(values), "r"(add));
#endif
}

/// One warp: half a stage, the keys or the values of its pages.
[[maybe_unused]] __device__ void load_keys(const CUtensorMap* map, const void* pages, const AttentionArgs& args,
                                           const Place& place, const int32_t* table, int step, char* shared,
                                           uint32_t full) {
  const int lane = threadIdx.x % 32;
  const int64_t written = place.start + place.count;  // positions that hold keys
  const uint32_t to = shared_address(shared);
  uint32_t copied = 0;
#pragma unroll
  for (int i = 0; i < kPages; ++i) {
    const int64_t first = (static_cast<int64_t>(step) * kPages + i) * kPage;
    if (first + kPage <= written) {
      copied += 2 * kPageBytes;
      continue;
    }
    const auto* from = static_cast<const __nv_bfloat16*>(pages);
    if (first < written)
      from += (static_cast<int64_t>(table[first / kPage]) * args.kv_heads + place.kv_head) * kPage * kDim;
    for (int item = lane; item < kPage * kDim / 8; item += 32) {
      const int row = item / (kDim / 8), piece = item % (kDim / 8);
      uint4 value = {0, 0, 0, 0};
      if (first + row < written) value = *reinterpret_cast<const uint4*>(from + row * kDim + piece * 8);
      *reinterpret_cast<uint4*>(shared + piece / 8 * kPanelBytes + i * kPageBytes +
                                swizzled(static_cast<uint32_t>(row), static_cast<uint32_t>(piece % 8))) = value;
    }
  }
  fence_async_proxy();
  __syncwarp();
  if (lane == 0) {
    barrier_expect(full, copied);
#pragma unroll
    for (int i = 0; i < kPages; ++i) {
      const int64_t page = static_cast<int64_t>(step) * kPages + i;
      if ((page + 1) * kPage > written) continue;
      const auto row =
          static_cast<int32_t>((static_cast<int64_t>(table[page]) * args.kv_heads + place.kv_head) * kPage);
      copy_box(to + i * kPageBytes, map, 0, row, full);
      copy_box(to + kPanelBytes + i * kPageBytes, map, 64, row, full);
    }
  }
  __syncwarp();
}

/// A warpgroup's rows, rounded, to shared memory.
__device__ void load_queries(const AttentionArgs& args, const Place& place, int part, char* shared) {
  const int thread = threadIdx.x % 128;
#pragma unroll 8
  for (int item = thread; item < kGroupRows * kDim / 4; item += 128) {
    const int tile_row = item / (kDim / 4), column = item % (kDim / 4) * 4;
    const int64_t row = min(place.row0 + part * kGroupRows + tile_row, place.count * place.group - 1);
    const int64_t token = place.first_token + row / place.group, head = place.kv_head * place.group + row % place.group;
    const float4 v = *reinterpret_cast<const float4*>(args.q + (token * args.heads + head) * kDim + column);
    *reinterpret_cast<uint2*>(shared + column / 64 * kQueryPanel +
                              swizzled(static_cast<uint32_t>(tile_row), static_cast<uint32_t>(column % 64 / 8)) +
                              column % 8 * 2) = {pack_bf16(v.x, v.y), pack_bf16(v.z, v.w)};
  }
  fence_async_proxy();
}

/// What a row's softmax is at so far; of this thread's two rows.
struct Softmax {
  float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0}, keep[2];
  float scale;  // of scores, as a power of two's exponent

  /// Scores become weights; keep: what sums so far are to be multiplied by.
  template <bool kMasked>
  __device__ __forceinline__ void weigh(float (&scores)[64], int key0, const int (&position)[2]) {
    const int key = key0 + threadIdx.x % 4 * 2;
    if constexpr (kMasked) {
#pragma unroll
      for (int i = 0; i < 64; ++i)
        if (key + i / 4 * 8 + i % 2 > position[i / 2 % 2]) scores[i] = -INFINITY;
    }
    float base[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float top = largest[half];
#pragma unroll
      for (int i = half * 2; i < 64; i += 4) top = fmaxf(top, fmaxf(scores[i], scores[i + 1]));
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
      keep[half] = power_of_two((largest[half] - top) * scale);
      largest[half] = top;
      base[half] = top * scale;
      sum[half] *= keep[half];
    }
#pragma unroll
    for (int i = 0; i < 64; ++i) {
      scores[i] = power_of_two(fmaf(scores[i], scale, -base[i / 2 % 2]));
      sum[i / 2 % 2] += scores[i];
    }
  }
};

/// Rounds the weights of a stage, in the order in which products want them.
__device__ __forceinline__ void round_weights(const float (&scores)[64], uint32_t (&weights)[32]) {
#pragma unroll
  for (int i = 0; i < 32; ++i) weights[i] = pack_bf16(scores[2 * i], scores[2 * i + 1]);
  // In place before products begin: the compiler would wait for each were it to move them in between.
#pragma unroll
  for (uint32_t& pair : weights) asm volatile("" : "+r"(pair)::"memory");
}

/// One warpgroup: 64 rows.
[[maybe_unused]] __device__ void attend(const AttentionArgs& args, const Place& place, int part, char* shared,
                                        uint32_t barriers) {
  const uint32_t full_k = barriers, full_v = full_k + kStages * 8, empty_k = full_v + kStages * 8,
                 empty_v = empty_k + kStages * 8;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
  const int64_t own = place.row0 + part * kGroupRows, rows = place.count * place.group;
  int position[2];
#pragma unroll
  for (int half = 0; half < 2; ++half)
    position[half] = static_cast<int>(place.start + min(own + warp * 16 + lane / 4 + half * 8, rows - 1) / place.group);
  // Steps from here on hold keys that some row of the warpgroup must not see.
  const int first_position = static_cast<int>(place.start + min(own, rows - 1) / place.group);
  const int masked_from = max(1, min(place.steps, (first_position + 1) / kKeys));

  load_queries(args, place, part, shared + part * 2 * kQueryPanel);
  asm volatile("bar.sync %0, 128;" ::"r"(part + 1) : "memory");
  const uint64_t q = operand(shared_address(shared + part * 2 * kQueryPanel), 0);
  const uint32_t k_tiles = shared_address(shared + Shared::kK), v_tiles = shared_address(shared + Shared::kV);

  float scores[64], out[64];
  uint32_t weights[32];
  Softmax softmax;
  softmax.scale = args.scale * kLog2E;
  const auto multiply_scores = [&](int stage) {
    const uint64_t k = operand(k_tiles + static_cast<uint32_t>(stage) * kTileBytes, 0);
#pragma unroll
    for (int i = 0; i < kDim / 16; ++i)
      product_any<0, 0>(scores, further(q, static_cast<uint32_t>(i / 4 * kQueryPanel + i % 4 * 32)),
                        further(k, static_cast<uint32_t>(i / 4 * kPanelBytes + i % 4 * 32)), i > 0);
    products_commit();
  };
  const auto multiply_values = [&](int stage, bool add) {
    const uint64_t v = operand(v_tiles + static_cast<uint32_t>(stage) * kTileBytes, kPanelBytes);
#pragma unroll
    for (int i = 0; i < kKeys / 16; ++i)
      add_values(out, weights + 4 * i, further(v, static_cast<uint32_t>(i) * 2048), add || i > 0);
    products_commit();
  };

  barrier_wait(full_k, 0);
  products_begin();
  multiply_scores(0);
  products_wait<0>();
  pin(scores);
  __syncwarp();
  if (elected()) barrier_arrive(empty_k);
  softmax.weigh<true>(scores, 0, position);
  round_weights(scores, weights);

  int stage = 0;
  uint32_t phase = 0;
  const auto advance = [&](int step, auto masked) {
    int next = stage + 1;
    uint32_t next_phase = phase;
    if (next == kStages) next = 0, next_phase ^= 1;
    barrier_wait(full_k + next * 8, next_phase);
    barrier_wait(full_v + stage * 8, phase);
    products_begin();
    multiply_scores(next);
    multiply_values(stage, step > 1);
    products_wait<1>();
    pin(scores);
    if (elected()) barrier_arrive(empty_k + next * 8);
    softmax.weigh<decltype(masked)::value>(scores, step * kKeys, position);
    products_wait<0>();
    pin(out);
    pin(scores);
    if (elected()) barrier_arrive(empty_v + stage * 8);
#pragma unroll
    for (int i = 0; i < 64; ++i) out[i] *= softmax.keep[i / 2 % 2];
    round_weights(scores, weights);
    stage = next, phase = next_phase;
  };
  int step = 1;
  for (; step < masked_from; ++step) advance(step, std::false_type());
  for (; step < place.steps; ++step) advance(step, std::true_type());
  barrier_wait(full_v + stage * 8, phase);
  products_begin();
  multiply_values(stage, place.steps > 1);
  products_wait<0>();
  pin(out);

#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float sum = softmax.sum[half];
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    const int64_t row = own + warp * 16 + lane / 4 + half * 8;
    if (row >= rows) continue;
    const int64_t to =
        (place.first_token + row / place.group) * args.heads + place.kv_head * place.group + row % place.group;
    const float factor = 1 / sum;
#pragma unroll
    for (int tile = 0; tile < kDim / 8; ++tile)
      *reinterpret_cast<float2*>(args.out + to * kDim + tile * 8 + lane % 4 * 2) = {
          out[tile * 4 + half * 2] * factor, out[tile * 4 + half * 2 + 1] * factor};
    if (args.log_sums && lane % 4 == 0)
      args.log_sums[to] = (softmax.largest[half] * softmax.scale + log2f(sum)) / kLog2E;
  }
}

// Grid: row tiles (last first: they take longest) x kv heads x seqs.
__global__ void __launch_bounds__(kThreads, 1)
    attention_hopper_kernel(const __grid_constant__ CUtensorMap k_map, const __grid_constant__ CUtensorMap v_map,
                            const __grid_constant__ AttentionArgs args) {
#if MINIMAX_HOPPER
  extern __shared__ char raw[];
  char* shared = raw + (1024 - shared_address(raw) % 1024) % 1024;
  const uint32_t barriers = shared_address(shared + Shared::kBarriers);
  Place place;
  place.seq = blockIdx.z, place.kv_head = blockIdx.y, place.group = args.heads / args.kv_heads;
  place.first_token = args.cu_seqlens[place.seq];
  place.count = args.cu_seqlens[place.seq + 1] - place.first_token;
  place.row0 = static_cast<int64_t>(gridDim.x - 1 - blockIdx.x) * kRows;
  if (place.row0 >= place.count * place.group) return;
  place.start = args.positions[place.first_token];
  const int64_t last_token = min(place.count - 1, (place.row0 + kRows - 1) / place.group);
  place.steps = static_cast<int>((place.start + last_token) / kKeys + 1);

  if (threadIdx.x == 0) {
    for (int i = 0; i < 2 * kStages; ++i) {
      barrier_init(barriers + i * 8, 1);                  // full
      barrier_init(barriers + (2 * kStages + i) * 8, 8);  // empty: a warp each
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  if (threadIdx.x < 128) {
    fewer_registers<40>();
    if (threadIdx.x < 32) {
      const int32_t* table = args.page_table + place.seq * args.max_pages;
      int stage = 0;
      uint32_t phase = 0;
      for (int step = 0; step < place.steps; ++step) {
        const uint32_t full_k = barriers + stage * 8, full_v = full_k + kStages * 8;
        barrier_wait(full_k + 2 * kStages * 8, phase ^ 1);
        load_keys(&k_map, args.k_pages, args, place, table, step, shared + Shared::kK + stage * kTileBytes, full_k);
        barrier_wait(full_v + 2 * kStages * 8, phase ^ 1);
        load_keys(&v_map, args.v_pages, args, place, table, step, shared + Shared::kV + stage * kTileBytes, full_v);
        if (++stage == kStages) stage = 0, phase ^= 1;
      }
    }
  } else {
    more_registers<232>();
    attend(args, place, threadIdx.x / 128 - 1, shared, barriers);
  }
#endif
}

/// Pages as one matrix of keys, copied in boxes of a page's rows of one kv head and 64 channels.
bool describe(CUtensorMap* map, const void* pages) {
  static const EncodeTiled encode = encode_tiled();
  // How many pages there are is the page table's business.
  const cuuint64_t sizes[2] = {kDim, cuuint64_t{1} << 31};
  const cuuint64_t strides[1] = {kDim * 2};
  const cuuint32_t box[2] = {64, kPage}, steps[2] = {1, 1};
  return encode && encode(map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<void*>(pages), sizes, strides, box,
                          steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                          CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

}  // namespace

bool attention_hopper_takes(const AttentionArgs& args) {
  return args.head_dim == kDim && args.type == Type::kBFloat16 && on_hopper();
}

Failure attention_hopper(const AttentionArgs& args, Stream stream) {
  CUtensorMap k_map{}, v_map{};
  if (!describe(&k_map, args.k_pages) || !describe(&v_map, args.v_pages))
    return "attention: pages cannot be described to the copy engine (are they 16-byte aligned?)";
  const int64_t rows = args.longest * (args.heads / args.kv_heads);
  const dim3 grid(static_cast<unsigned>((rows + kRows - 1) / kRows), static_cast<unsigned>(args.kv_heads),
                  static_cast<unsigned>(args.seqs));
  auto* kernel = attention_hopper_kernel;
  if (Failure wrong =
          failure(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Shared::kAllocated)))
    return wrong;
  kernel<<<grid, kThreads, Shared::kAllocated, stream_of(stream)>>>(k_map, v_map, args);
  return launched();
}

}  // namespace minimax::cuda
