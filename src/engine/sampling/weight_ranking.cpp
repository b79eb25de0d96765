#include "engine/sampling/weight_ranking.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace minimax::engine {
namespace {

// Positive floats are ordered as their bits are. The place of a weight is its distance from 1.0 in bits: the best have
// place 0. A cut is found by three digits of the place, most significant first, counting what each digit's value holds.
constexpr uint32_t kOneBits = std::bit_cast<uint32_t>(1.0f);
constexpr int kDigitShifts[] = {18, 9, 0};  // first digit: 32 values for each power of two of the weight
// No weight but 0 is below 2^-52, the quantum of a vocabulary of one.
constexpr size_t kFirstDigits = (53u << 23 >> kDigitShifts[0]) + 1;

uint32_t place_of(float weight) {
  return kOneBits - std::bit_cast<uint32_t>(weight);
}
float weight_at(uint32_t place) {
  return std::bit_cast<float>(kOneBits - place);
}

// Calls body(weight, id) for every weight in [least, most], least > 0, in order of ids, until it returns false. Mostly
// few are in range, so whole blocks are asked first, in loops that compilers vectorise.
template <typename Body>
void for_each_in(std::span<const float> weights, float least, float most, const Body& body) {
  const int32_t low = std::bit_cast<int32_t>(least), high = std::bit_cast<int32_t>(most);
  const int32_t size = static_cast<int32_t>(weights.size());
  constexpr int32_t kBlock = 32;
  for (int32_t start = 0; start < size; start += kBlock) {
    const int32_t end = std::min(start + kBlock, size);
    if (end - start == kBlock) {
      int32_t hits = 0;
      for (int32_t offset = 0; offset < kBlock; ++offset) {
        const int32_t bits = std::bit_cast<int32_t>(weights[start + offset]);
        hits |= (bits >= low) & (bits <= high);
      }
      if (!hits) continue;
    }
    for (int32_t id = start; id < end; ++id)
      if (weights[id] >= least && weights[id] <= most && !body(weights[id], id)) return;
  }
}

int64_t count_at_least(std::span<const float> weights, float least) {
  int32_t count = 0;
  for (float weight : weights) count += weight >= least;
  return count;
}

// The shortest head for which reached(count, mass) holds; it must hold for the head of all weights >= least.
template <typename Reached>
Head shortest_head(std::span<const float> weights, float least, const Reached& reached,
                   std::vector<WeightCount>& buckets) {
  WeightCount before;  // what ranks before the range of places that is being looked at
  WeightCount here;    // what that range holds
  uint32_t first_place = 0;
  size_t digits = kFirstDigits;
  for (int shift : kDigitShifts) {
    buckets.assign(digits, WeightCount{});
    const uint32_t last_place = first_place + (static_cast<uint32_t>(digits) << shift) - 1;
    const float lowest = last_place < place_of(least) ? weight_at(last_place) : least;
    for_each_in(weights, lowest, weight_at(first_place), [&](float weight, int32_t) {
      WeightCount& bucket = buckets[(place_of(weight) - first_place) >> shift];
      ++bucket.count;
      bucket.mass += static_cast<double>(weight);
      return true;
    });
    size_t digit = 0;
    while (!reached(before.count + buckets[digit].count, before.mass + buckets[digit].mass)) {
      before.count += buckets[digit].count;
      before.mass += buckets[digit].mass;
      ++digit;
      assert(digit < digits);
    }
    here = buckets[digit];
    first_place += static_cast<uint32_t>(digit) << shift;
    digits = 512;
  }
  // The range is one weight now. Of equals the lower ids come first.
  const float weight = weight_at(first_place);
  int64_t taken = 1;
  const auto mass = [&] { return before.mass + static_cast<double>(taken) * static_cast<double>(weight); };
  while (taken < here.count && !reached(before.count + taken, mass())) ++taken;
  Head head{.weight = weight, .mass = mass()};
  if (taken < here.count) {
    int64_t left = taken;
    for_each_in(weights, weight, weight, [&](float, int32_t id) {
      head.last_id = id;
      return --left > 0;
    });
  }
  return head;
}

}  // namespace

Head head_of_count(std::span<const float> weights, double total, int64_t count, std::vector<WeightCount>& buckets) {
  const auto reached = [=](int64_t have, double) { return have >= count; };
  // Counting ids above a threshold is far cheaper than ranking them, and mostly an early threshold will do.
  for (float least : {0x1p-8f, 0x1p-16f, 0x1p-24f, 0x1p-32f, Head{}.weight})
    if (count_at_least(weights, least) > count) return shortest_head(weights, least, reached, buckets);
  return Head{.mass = total};
}

Head head_of_mass(std::span<const float> weights, const Head& head, double share, std::vector<WeightCount>& buckets) {
  if (share >= 1) return head;
  const double wanted = share * head.mass;
  // Ids too light to matter are not ranked: all that weigh less than this hold together less than (1 - share) of the
  // mass.
  const double least = 0.999 * (1 - share) * head.mass / static_cast<double>(weights.size());
  const auto reached = [=](int64_t have, double mass) { return have > 0 && mass >= wanted; };
  return shortest_head(weights, std::max(static_cast<float>(least), head.weight), reached, buckets);
}

Head head_of_weight(std::span<const float> weights, const Head& head, float least) {
  if (least <= head.weight) return head;
  Head out{.weight = least};
  for_each_in(weights, least, 1.0f, [&](float weight, int32_t) {
    out.mass += static_cast<double>(weight);
    return true;
  });
  return out;
}

int32_t draw(std::span<const float> weights, const Head& head, double uniform) {
  const double wanted = uniform * head.mass;
  double sum = 0;
  int32_t drawn = -1;
  for_each_in(weights, head.weight, 1.0f, [&](float weight, int32_t id) {
    if (!head.has(weight, id)) return true;
    drawn = id;
    sum += static_cast<double>(weight);
    return sum <= wanted;
  });
  return drawn;
}

}  // namespace minimax::engine
