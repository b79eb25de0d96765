// Passes over one row of logits: the largest, the sum of exponentials, the weights a token is drawn from.
//
// Log-probs are compared between machines, so these give the same bits for every instruction set: products are never
// fused with sums, and the sums run over sixteen float64 lanes whatever a register holds. Arithmetic is the limit, not
// memory: a row of 200,064 lies in the second-level cache.
#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::MM_ISA {
namespace {

constexpr int kGroup = 16;  // logits taken at a time
constexpr int kVectors = kGroup / kLanes;
constexpr float kInfinity = __builtin_inff();

struct Group {
  F32 part[kVectors];
};

Group load_group(const float* from) {
  Group group;
  for (int v = 0; v < kVectors; ++v) group.part[v] = load(from + v * kLanes);
  return group;
}

/// Calls body(group, place) for every sixteen logits. The last, short group is filled up with -inf, which adds nothing
/// and is no maximum.
template <typename Body>
void for_each_group(const float* logits, int64_t count, const Body& body) {
  int64_t place = 0;
  for (; place + kGroup <= count; place += kGroup) body(load_group(logits + place), place);
  if (place == count) return;
  float tail[kGroup];
  for (int lane = 0; lane < kGroup; ++lane) tail[lane] = place + lane < count ? logits[place + lane] : -kInfinity;
  body(load_group(tail), place);
}

bool any(I32 mask) {
  int32_t all = 0;
  for (int lane = 0; lane < kLanes; ++lane) all |= mask[lane];
  return all != 0;
}

/// exp(x) for x <= 0, relative error below 2e-7; 0 below -87. As exp() of simd.h, with each product rounded.
F32 exp_unfused(F32 x) {
  const F32 low = broadcast(-87.0f);
  const F32 clamped = x < low ? low : x;
  const F32 shifted = clamped * 1.44269504088896341f + 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const F32 n = shifted - 12582912.0f;
  const F32 r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;  // ln2 in two parts; n times the first is exact
  F32 p = broadcast(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const F32 e = ((p * r) * r + r) + 1.0f;
  // The low bits of `shifted` hold n: moved to the exponent field they multiply by 2^n.
  const F32 scaled = as_float(as_bits(e) + (as_bits(shifted) << 23));
  return x < low ? F32{} : scaled;
}

constexpr int kHalf = kLanes / 2;
typedef float HalfF32 __attribute__((vector_size(kHalf * 4)));
typedef double F64 __attribute__((vector_size(kHalf * 8)));

/// Sixteen running sums.
struct Sums {
  F64 part[2 * kVectors] = {};

  void add(const Group& group) {
    for (int v = 0; v < kVectors; ++v) {
      HalfF32 halves[2];
      __builtin_memcpy(halves, &group.part[v], sizeof(halves));
      part[2 * v] += __builtin_convertvector(halves[0], F64);
      part[2 * v + 1] += __builtin_convertvector(halves[1], F64);
    }
  }
  double total() const {
    double sum = 0;
    for (const F64& lanes : part)
      for (int lane = 0; lane < kHalf; ++lane) sum += lanes[lane];
    return sum;
  }
};

}  // namespace

LogitsSummary summarize(const float* logits, int64_t count) {
  Group best;
  I32 bad{};
  for (int v = 0; v < kVectors; ++v) best.part[v] = broadcast(-kInfinity);
  for_each_group(logits, count, [&](const Group& group, int64_t) {
    for (int v = 0; v < kVectors; ++v) {
      best.part[v] = max(group.part[v], best.part[v]);
      bad |= ~(group.part[v] < kInfinity);
    }
  });
  LogitsSummary out{-kInfinity, 0, -1};
  if (any(bad)) {
    out.not_a_logit = 0;
    while (logits[out.not_a_logit] < kInfinity) ++out.not_a_logit;
    return out;
  }
  for (int v = 0; v < kVectors; ++v) {
    const float largest = max_of_lanes(best.part[v]);
    out.max = largest > out.max ? largest : out.max;
  }
  // Steps of 64 first: "does any equal the maximum" is a vector question, "which" is not.
  constexpr int kStep = 64;
  for (; out.argmax + kStep <= count; out.argmax += kStep) {
    I32 hits{};
    for (int lane = 0; lane < kStep; lane += kLanes) hits |= load(logits + out.argmax + lane) == out.max;
    if (any(hits)) break;
  }
  while (logits[out.argmax] != out.max) ++out.argmax;
  return out;
}

double sum_exp(const float* logits, int64_t count, float max) {
  Sums sums;
  for_each_group(logits, count, [&](Group group, int64_t) {
    for (F32& part : group.part) part = exp_unfused(part - max);
    sums.add(group);
  });
  return sums.total();
}

double exp_weights(const float* logits, int64_t count, float max, float inverse_temperature, float quantum,
                   float* weights) {
  // In [grid, 2 * grid) neighbouring floats are one quantum apart, so adding grid and taking it away rounds to the
  // quantum; from grid on a float is a multiple of the quantum already.
  const F32 grid = broadcast(quantum * 0x1p23f);
  Sums sums;
  for_each_group(logits, count, [&](Group group, int64_t place) {
    for (F32& part : group.part) {
      const F32 e = exp_unfused((part - max) * inverse_temperature);
      part = e < grid ? (e + grid) - grid : e;
    }
    sums.add(group);
    if (place + kGroup <= count) {
      for (int v = 0; v < kVectors; ++v) store(weights + place + v * kLanes, group.part[v]);
    } else {
      for (int64_t id = place; id < count; ++id) weights[id] = group.part[(id - place) / kLanes][(id - place) % kLanes];
    }
  });
  return sums.total();
}

}  // namespace minimax::cpu::MM_ISA
