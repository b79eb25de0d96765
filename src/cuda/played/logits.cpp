// What becomes of logits: log-probabilities, and tokens.
#include <algorithm>
#include <cmath>

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

}  // namespace minimax::cuda::played
