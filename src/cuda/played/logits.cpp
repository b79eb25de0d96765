// What becomes of logits: log-probabilities, and tokens.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cuda/choice_math.h"
#include "cuda/played/played.h"

namespace minimax::cuda::played {

Failure log_probs(const float* logits, const int32_t* targets, float* out, float* log_sums, int64_t rows, int64_t vocab,
                  Stream) {
  return run([=] {
    for (int64_t row = 0; row < rows; ++row) {
      const float* x = logits + row * vocab;
      const float largest = *std::max_element(x, x + vocab);
      double sum = 0;
      for (int64_t i = 0; i < vocab; ++i) sum += std::exp(static_cast<double>(x[i] - largest));
      const double log_sum = static_cast<double>(largest) + std::log(sum);
      log_sums[row] = static_cast<float>(log_sum);
      out[row] = static_cast<float>(static_cast<double>(x[targets[row]]) - log_sum);
    }
  });
}
Failure log_probs_backward(const float* logits, const int32_t* targets, const float* log_sums, const float* dy,
                           void* out, Type type, int64_t rows, int64_t vocab, Stream) {
  return run([=] {
    for (int64_t at = 0; at < rows * vocab; ++at) {
      const int64_t row = at / vocab;
      put(out, type, at, dy[row] * ((at % vocab == targets[row] ? 1.0f : 0.0f) - std::exp(logits[at] - log_sums[row])));
    }
  });
}
Failure choose(const ChooseArgs& given, Stream) {
  return run([args = given] {
    for (int64_t i = 0; i < args.rows; ++i) {
      const ChoiceRow& wanted = args.wanted[i];
      const float* x = args.logits + wanted.row * args.vocab;
      const auto open = [&](int64_t id) {
        return wanted.banned < 0 || !(args.banned[wanted.banned * ((args.vocab + 31) / 32) + id / 32] >> (id % 32) & 1);
      };
      float largest = -INFINITY, top = -INFINITY;
      int64_t best = -1;
      bool wrong = false;
      for (int64_t id = 0; id < args.vocab; ++id) {
        wrong = wrong || !(x[id] < INFINITY);
        largest = std::max(largest, x[id]);
        if (open(id) && x[id] > top) top = x[best = id];
      }
      if (wrong || largest == -INFINITY || best < 0) {
        args.chosen[i] = {wrong || largest == -INFINITY ? kNotALogit : kNothingLeft, 0};
        continue;
      }
      double sum = 0, total = 0, reached = 0;
      for (int64_t id = 0; id < args.vocab; ++id) sum += std::exp(static_cast<double>(x[id] - largest));
      const float inverse = wanted.temperature == 0 ? 0 : 1 / wanted.temperature;
      const auto weight = [&](int64_t id) {
        return open(id) ? static_cast<double>(std::exp((x[id] - top) * inverse)) : 0.0;
      };
      for (int64_t id = 0; wanted.temperature > 0 && id < args.vocab; ++id) total += weight(id);
      for (int64_t id = 0; wanted.temperature > 0 && id < args.vocab; ++id) {
        if (weight(id) > 0) best = id;
        if ((reached += weight(id)) > wanted.uniform * total) break;
      }
      args.chosen[i] = {static_cast<int32_t>(best),
                        static_cast<float>(static_cast<double>(x[best] - largest) - std::log(sum))};
    }
  });
}

/// By sorting what the kernel cuts by its bits.
Failure sample(const SampleArgs& given, Stream) {
  return run([args = given] {
    const int64_t vocab = args.vocab;
    for (int64_t i = 0; i < args.rows; ++i) {
      const SampleRow& wanted = args.wanted[i];
      const float* x = args.logits + wanted.row * vocab;
      std::vector<float> changed(x, x + vocab);
      const float largest = *std::max_element(x, x + vocab);
      if (std::any_of(x, x + vocab, [](float v) { return !(v < INFINITY); }) || largest == -INFINITY) {
        args.chosen[i] = {kNotALogit, 0};
        continue;
      }
      for (int64_t at = wanted.first_edit; at < wanted.first_edit + wanted.edits; ++at) {
        float& logit = changed[static_cast<size_t>(args.edits[at].id)];
        logit = choice::edited(logit, args.edits[at], wanted);
      }
      const uint32_t* banned = wanted.banned < 0 ? nullptr : args.banned + wanted.banned * ((vocab + 31) / 32);
      const uint64_t* allowed = wanted.allowed < 0 ? nullptr : args.allowed + wanted.allowed * ((vocab + 63) / 64);
      for (int64_t id = 0; id < vocab; ++id)
        if ((banned && banned[id / 32] >> (id % 32) & 1) || (allowed && !(allowed[id / 64] >> (id % 64) & 1)))
          changed[static_cast<size_t>(id)] = -INFINITY;
      const auto best = std::max_element(changed.begin(), changed.end());
      if (*best == -INFINITY) {
        args.chosen[i] = {kNothingLeft, 0};
        continue;
      }
      int64_t id = best - changed.begin();
      if (wanted.temperature > 0 && wanted.top_k != 1) {
        const float top = *best, inverse = choice::inverse_of(wanted.temperature);
        std::vector<int32_t> order;
        for (int32_t other = 0; other < vocab; ++other) {
          float& weight = changed[static_cast<size_t>(other)];
          weight = choice::weight_of(weight, top, inverse, args.quantum);
          if (weight > 0) order.push_back(other);
        }
        const auto weight = [&](int32_t other) { return static_cast<double>(changed[static_cast<size_t>(other)]); };
        std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return weight(a) > weight(b); });
        const auto mass = [&] {
          double sum = 0;
          for (const int32_t other : order) sum += weight(other);
          return sum;
        };
        if (wanted.top_k > 0 && wanted.top_k < static_cast<int32_t>(order.size()))
          order.resize(static_cast<size_t>(wanted.top_k));
        if (wanted.top_p < 1) {
          const double share = static_cast<double>(wanted.top_p) * mass();
          double sum = 0;
          size_t count = 0;
          while (count < order.size() && (count == 0 || sum < share)) sum += weight(order[count++]);
          order.resize(count);
        }
        std::erase_if(order, [&](int32_t other) { return weight(other) < static_cast<double>(wanted.min_p); });
        const double target = wanted.uniform * mass();
        std::sort(order.begin(), order.end());
        double sum = 0;
        for (const int32_t other : order) {
          id = other;
          if ((sum += weight(other)) > target) break;
        }
      }
      double sum = 0;
      for (int64_t other = 0; other < vocab; ++other) sum += std::exp(static_cast<double>(x[other] - largest));
      args.chosen[i] = {static_cast<int32_t>(id),
                        static_cast<float>(static_cast<double>(x[id] - largest) - std::log(sum))};
    }
  });
}

}  // namespace minimax::cuda::played
