// Rows of logits become tokens where they lie: what comes back to the host is 8 bytes a row instead of the vocabulary.
// One block a row. The ids' weights are summed in 16 runs of neighbours, one a warp; the run in which the random number
// falls is walked by its warp, so that ids count in their order, as in engine/sampler.cpp.
#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/loads.cuh"

namespace minimax::cuda {
namespace {

constexpr int kThreads = 512, kWarps = kThreads / 32;

__device__ int block_min(int x) {
  __shared__ int parts[kWarps];
  x = __reduce_min_sync(0xffffffffu, x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
  __syncthreads();
  int least = parts[0];
  for (int i = 1; i < kWarps; ++i) least = min(least, parts[i]);
  return least;
}

__global__ void __launch_bounds__(kThreads) choose_kernel(const ChooseArgs args) {
  const ChoiceRow wanted = args.wanted[blockIdx.x];
  const int64_t vocab = args.vocab;
  const float* row = args.logits + wanted.row * vocab;
  const uint32_t* banned = wanted.banned < 0 ? nullptr : args.banned + wanted.banned * ((vocab + 31) / 32);
  const auto open = [&](int64_t id) { return !banned || !(banned[id / 32] >> id % 32 & 1); };
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  Choice* out = args.chosen + blockIdx.x;

  float largest = -INFINITY, best = -INFINITY;
  int32_t best_id = INT32_MAX;
  bool wrong = false;
  for (int64_t id = threadIdx.x; id < vocab; id += kThreads) {
    const float x = row[id];
    wrong = wrong || !(x < INFINITY);
    largest = fmaxf(largest, x);
    if (x > best && open(id)) {
      best = x;
      best_id = static_cast<int32_t>(id);
    }
  }
  wrong = __syncthreads_or(wrong);
  largest = block_max(largest);
  const float top = block_max(best);
  best_id = block_min(best == top ? best_id : INT32_MAX);
  if (wrong || largest == -INFINITY || best_id == INT32_MAX) {
    if (threadIdx.x == 0) *out = {wrong || largest == -INFINITY ? kNotALogit : kNothingLeft, 0.0f};
    return;
  }

  // As in log_probs_kernel (rows.cu): the same bits as the trainer's.
  double sum = 0;
  for (int64_t id = threadIdx.x; id < vocab; id += kThreads) sum += static_cast<double>(expf(row[id] - largest));
  sum = block_sum(sum);
  const double log_sum = static_cast<double>(largest) + log(sum);
  if (wanted.temperature == 0) {
    if (threadIdx.x == 0) *out = {best_id, static_cast<float>(static_cast<double>(top) - log_sum)};
    return;
  }

  const float inverse = fminf(1.0f / wanted.temperature, 3.402823466e38f);
  const auto weight = [&](int64_t id, int64_t end) {
    return id < end && open(id) ? static_cast<double>(expf((row[id] - top) * inverse)) : 0.0;
  };
  __shared__ double masses[kWarps];
  const int64_t length = (vocab + kThreads - 1) / kThreads * 32;  // of a run: whole rows of lanes
  const int64_t begin = min(vocab, warp * length), end = min(vocab, begin + length);
  double mass = 0;
  for (int64_t first = begin; first < end; first += 32) mass += weight(first + lane, end);
  mass = warp_sum(mass);
  if (lane == 0) masses[warp] = mass;
  __syncthreads();
  double total = 0;
  for (int i = 0; i < kWarps; ++i) total += masses[i];
  const double target = wanted.uniform * total;
  int run = -1;
  double before = 0, at = 0;
  for (int i = 0; i < kWarps; ++i) {
    if (masses[i] > 0 && (run < 0 || !(before + masses[run] > target))) {
      run = i;
      before = at;
    }
    at += masses[i];
  }
  if (warp != run) return;
  int64_t chosen = -1;
  for (int64_t first = begin; first < end && chosen < 0; first += 32) {
    const double mine = weight(first + lane, end);
    double reached = mine;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
      const double left = __shfl_up_sync(0xffffffffu, reached, distance);
      if (lane >= distance) reached += left;
    }
    const unsigned past = __ballot_sync(0xffffffffu, mine > 0 && before + reached > target);
    if (past) chosen = first + __ffs(static_cast<int>(past)) - 1;
    before += __shfl_sync(0xffffffffu, reached, 31);
  }
  if (chosen < 0) {  // the sum of the run, in another order, was a rounding larger: its last id
    for (int64_t first = begin; first < end; first += 32) {
      const unsigned some = __ballot_sync(0xffffffffu, weight(first + lane, end) > 0);
      if (some) chosen = first + 31 - __clz(static_cast<int>(some));
    }
  }
  if (lane == 0) *out = {static_cast<int32_t>(chosen), static_cast<float>(static_cast<double>(row[chosen]) - log_sum)};
}

}  // namespace

Failure choose(const ChooseArgs& args, Stream stream) {
  if (args.rows == 0) return nullptr;
  choose_kernel<<<static_cast<unsigned>(args.rows), kThreads, 0, stream_of(stream)>>>(args);
  return launched();
}

}  // namespace minimax::cuda
