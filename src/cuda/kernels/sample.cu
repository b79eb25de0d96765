// Rows of logits become tokens where they lie, with all that engine/sampling/sampler.cpp knows: penalties, bias, bans,
// temperature, top-k, top-p and min-p. Weights are multiples of a quantum and sums are integers of quanta, so the head
// of the ranking and the id that is drawn are the CPU's for the same random number, however the work is divided.
//
// One block a row, which lies in the second-level cache; a dozen passes over it take less than copying it to the host.
#include "cuda/choice_math.h"
#include "cuda/kernels/launch.cuh"
#include "cuda/kernels/loads.cuh"

namespace minimax::cuda {
namespace {

using namespace choice;

constexpr int kThreads = 1024, kWarps = kThreads / 32;
using Quanta = unsigned long long;

struct Bucket {
  int64_t count;
  Quanta mass;
};

/// What the threads of a block share.
struct Shared {
  unsigned counts[kFirstDigits];
  Quanta masses[kFirstDigits];
  Quanta runs[kWarps];
  Bucket before, here;
  int digit, chosen;
};

/// The weights of one row.
struct Row {
  const float* weights;
  int64_t vocab;
  double quantum, inverse;  // powers of two: products with both are exact

  __device__ double mass(Quanta quanta) const { return static_cast<double>(quanta) * quantum; }
  __device__ Quanta quanta(float weight) const { return static_cast<Quanta>(static_cast<double>(weight) * inverse); }
};

/// visit(id, x[id]) of a thread's ids, in order. Eight loads are under way at once: one at a time, each pass over
/// 200,000 would wait 200 times for the second-level cache.
template <typename Visit>
__device__ __forceinline__ void each_id(const float* x, int64_t vocab, const Visit& visit) {
  constexpr int kBatch = 8;
  int64_t id = threadIdx.x;
  for (; id + (kBatch - 1) * kThreads < vocab; id += kBatch * kThreads) {
    float values[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; ++i) values[i] = x[id + i * kThreads];
#pragma unroll
    for (int i = 0; i < kBatch; ++i) visit(id + i * kThreads, values[i]);
  }
  for (; id < vocab; id += kThreads) visit(id, x[id]);
}

__device__ Quanta block_quanta(Quanta x, Shared& shared) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) x += __shfl_xor_sync(0xffffffffu, x, lanes);
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared.runs[threadIdx.x / 32] = x;
  __syncthreads();
  Quanta sum = 0;
  for (int warp = 0; warp < kWarps; ++warp) sum += shared.runs[warp];
  return sum;
}

/// The first id, in order, at which the sum of value(id, weight) over ids before it and itself satisfies past(sum); the
/// last one with a value when none does; -1 when none has. In every thread. The range is divided among the warps, and
/// the part in which the id lies again, until it is short.
template <typename Value, typename Past>
__device__ int first_past(const Row& row, Shared& shared, const Value& value, const Past& past) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  int64_t begin = 0, end = row.vocab;
  Quanta before = 0;
  while (end - begin > 8 * 32) {
    const int64_t length = (end - begin + kThreads - 1) / kThreads * 32;  // whole rows of lanes
    const int64_t run_end = min(end, begin + (warp + 1) * length);
    Quanta sum = 0;
#pragma unroll 8
    for (int64_t id = begin + warp * length + lane; id < run_end; id += 32) sum += value(id, row.weights[id]);
#pragma unroll
    for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
    __syncthreads();
    if (lane == 0) shared.runs[warp] = sum;
    __syncthreads();
    int run = -1;
    Quanta before_run = 0, at = before;
    for (int i = 0; i < kWarps; ++i) {
      if (shared.runs[i] > 0 && (run < 0 || !past(before_run + shared.runs[run]))) {
        run = i;
        before_run = at;
      }
      at += shared.runs[i];
    }
    if (run < 0) return -1;
    end = min(end, begin + (run + 1) * length);
    begin += run * length;
    before = before_run;
  }
  __syncthreads();
  if (warp == 0) {
    int64_t found = -1, last = -1;
    for (int64_t first = begin; first < end && found < 0; first += 32) {
      const Quanta mine = first + lane < end ? value(first + lane, row.weights[first + lane]) : Quanta{0};
      Quanta reached = mine;
#pragma unroll
      for (int distance = 1; distance < 32; distance *= 2) {
        const Quanta left = __shfl_up_sync(0xffffffffu, reached, distance);
        if (lane >= distance) reached += left;
      }
      const unsigned some = __ballot_sync(0xffffffffu, mine > 0);
      const unsigned over = __ballot_sync(0xffffffffu, mine > 0 && past(before + reached));
      if (some) last = first + 31 - __clz(static_cast<int>(some));
      if (over) found = first + __ffs(static_cast<int>(over)) - 1;
      before += __shfl_sync(0xffffffffu, reached, 31);
    }
    if (lane == 0) shared.chosen = static_cast<int>(found < 0 ? last : found);
  }
  __syncthreads();
  return shared.chosen;
}

/// Warp 0: the first digit with which the head is long enough; false when none is.
__device__ bool find_digit(const Row& row, Shared& shared, int digits, const Enough& enough) {
  const int lane = threadIdx.x, each = (digits + 31) / 32, begin = lane * each, end = min(digits, begin + each);
  int64_t count = 0;
  Quanta mass = 0;
  for (int digit = begin; digit < end; ++digit) {
    count += shared.counts[digit];
    mass += shared.masses[digit];
  }
  int64_t count_reached = count;
  Quanta mass_reached = mass;
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const int64_t other_count = __shfl_up_sync(0xffffffffu, count_reached, distance);
    const Quanta other_mass = __shfl_up_sync(0xffffffffu, mass_reached, distance);
    if (lane >= distance) {
      count_reached += other_count;
      mass_reached += other_mass;
    }
  }
  const Bucket before = shared.before;
  const unsigned over =
      __ballot_sync(0xffffffffu, enough.reached(before.count + count_reached, row.mass(before.mass + mass_reached)));
  if (!over) return false;
  if (lane == __ffs(static_cast<int>(over)) - 1) {
    Bucket at = {before.count + count_reached - count, before.mass + mass_reached - mass};
    int digit = begin;
    for (; digit + 1 < end; ++digit) {
      const Bucket with = {at.count + shared.counts[digit], at.mass + shared.masses[digit]};
      if (enough.reached(with.count, row.mass(with.mass))) break;
      at = with;
    }
    shared.digit = digit;
    shared.before = at;
    shared.here = {shared.counts[digit], shared.masses[digit]};
  }
  return true;
}

/// The shortest head that is long enough, of ids with at least the weight of `head`. As shortest_head in
/// engine/sampling/weight_ranking.cpp.
__device__ Head shortest_head(const Row& row, Shared& shared, const Head& head, const Enough& enough) {
  uint32_t first_place = 0;
  int digits = kFirstDigits;
  if (threadIdx.x == 0) shared.before = {0, 0};
  for (int level = 0; level < kLevels; ++level) {
    const int shift = level_shift(level);
    for (int digit = threadIdx.x; digit < digits; digit += kThreads) shared.counts[digit] = 0, shared.masses[digit] = 0;
    if (threadIdx.x == 0) shared.digit = -1;
    __syncthreads();
    const uint32_t last_place = min(first_place + (static_cast<uint32_t>(digits) << shift) - 1, place_of(head.weight));
    each_id(row.weights, row.vocab, [&](int64_t, float weight) {
      const uint32_t place = place_of(weight);
      if (!(weight > 0) || place < first_place || place > last_place) return;
      const uint32_t digit = (place - first_place) >> shift;
      atomicAdd(&shared.counts[digit], 1u);
      atomicAdd(&shared.masses[digit], row.quanta(weight));
    });
    __syncthreads();
    if (threadIdx.x < 32) find_digit(row, shared, digits, enough);
    __syncthreads();
    if (shared.digit < 0) return head;  // not even all are enough
    first_place += static_cast<uint32_t>(shared.digit) << shift;
    digits = kLaterDigits;
    __syncthreads();
  }
  // The range is one weight now.
  const Bucket before = shared.before, here = shared.here;
  __syncthreads();  // before the next search writes there
  Head out;
  out.weight = weight_at(first_place);
  const double weight = static_cast<double>(out.weight);
  const int64_t taken = taken_of(enough, before.count, row.mass(before.mass), weight, here.count);
  out.mass = row.mass(before.mass) + static_cast<double>(taken) * weight;
  if (taken < here.count)
    out.last_id = first_past(
        row, shared, [&](int64_t, float weight) -> Quanta { return weight == out.weight; },
        [&](Quanta sum) { return sum >= static_cast<Quanta>(taken); });
  return out;
}

__global__ void __launch_bounds__(kThreads) sample_kernel(const SampleArgs args) {
  __shared__ Shared shared;
  const SampleRow wanted = args.wanted[blockIdx.x];
  const int64_t vocab = args.vocab;
  const float* logits = args.logits + wanted.row * vocab;
  float* changed = args.weights + blockIdx.x * vocab;
  Choice* out = args.chosen + blockIdx.x;

  float largest = -INFINITY;
  bool wrong = false;
  each_id(logits, vocab, [&](int64_t id, float x) {
    wrong = wrong || !(x < INFINITY);
    largest = fmaxf(largest, x);
    changed[id] = x;
  });
  wrong = __syncthreads_or(wrong);
  largest = block_max(largest);
  if (wrong || largest == -INFINITY) {
    if (threadIdx.x == 0) *out = {kNotALogit, 0.0f};
    return;
  }
  for (int64_t i = threadIdx.x; i < wanted.edits; i += kThreads) {
    const LogitEdit edit = args.edits[wanted.first_edit + i];
    changed[edit.id] = edited(changed[edit.id], edit, wanted);
  }
  __syncthreads();

  // As in choose.cu: the sum has the trainer's bits.
  double sum = 0;
  each_id(logits, vocab, [&](int64_t, float x) { sum += static_cast<double>(expf(x - largest)); });
  const double log_sum = static_cast<double>(largest) + log(block_sum(sum));

  const uint32_t* banned = wanted.banned < 0 ? nullptr : args.banned + wanted.banned * ((vocab + 31) / 32);
  const uint64_t* allowed = wanted.allowed < 0 ? nullptr : args.allowed + wanted.allowed * ((vocab + 63) / 64);
  float top = -INFINITY;
  each_id(changed, vocab, [&](int64_t id, float x) {
    const bool open = !(banned && banned[id / 32] >> id % 32 & 1) && (!allowed || allowed[id / 64] >> id % 64 & 1);
    if (open)
      top = fmaxf(top, x);
    else
      changed[id] = -INFINITY;
  });
  top = block_max(top);
  if (top == -INFINITY) {
    if (threadIdx.x == 0) *out = {kNothingLeft, 0.0f};
    return;
  }

  const Row row{changed, vocab, static_cast<double>(args.quantum), 1 / static_cast<double>(args.quantum)};
  int chosen;
  if (wanted.temperature == 0 || wanted.top_k == 1) {
    chosen = first_past(
        row, shared, [&](int64_t, float x) -> Quanta { return x == top; }, [](Quanta count) { return count > 0; });
  } else {
    const float inverse = inverse_of(wanted.temperature);
    Quanta mass = 0;
    each_id(changed, vocab, [&](int64_t id, float x) {
      const float weight = weight_of(x, top, inverse, args.quantum);
      changed[id] = weight;
      mass += row.quanta(weight);
    });
    Head head;
    head.mass = row.mass(block_quanta(mass, shared));
    if (wanted.top_k > 0) head = shortest_head(row, shared, head, {wanted.top_k, 0.0});
    const double share = static_cast<double>(wanted.top_p);
    if (share < 1) head = shortest_head(row, shared, head, {0, share * head.mass});
    if (wanted.min_p > head.weight) {
      Quanta left = 0;
      each_id(changed, vocab, [&](int64_t, float weight) {
        if (weight >= wanted.min_p) left += row.quanta(weight);
      });
      head = {};
      head.weight = wanted.min_p;
      head.mass = row.mass(block_quanta(left, shared));
    }
    const double target = wanted.uniform * head.mass;
    chosen = first_past(
        row, shared,
        [&](int64_t id, float weight) -> Quanta {
          return head.has(weight, static_cast<int32_t>(id)) ? row.quanta(weight) : Quanta{0};
        },
        [&](Quanta reached) { return row.mass(reached) > target; });
  }
  if (threadIdx.x == 0) *out = {chosen, static_cast<float>(static_cast<double>(logits[chosen]) - log_sum)};
}

}  // namespace

Failure sample(const SampleArgs& args, Stream stream) {
  if (args.rows == 0) return nullptr;
  sample_kernel<<<static_cast<unsigned>(args.rows), kThreads, 0, stream_of(stream)>>>(args);
  return launched();
}

}  // namespace minimax::cuda
