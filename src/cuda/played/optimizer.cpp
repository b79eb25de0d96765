// What training does to parameters, and what fills them at first.
#include <algorithm>
#include <cmath>

#include "cuda/played/played.h"

namespace minimax::cuda::played {
namespace {

Failure adamw_of_one(const AdamWArgs& given) {
  return run([args = given] {
    for (int64_t i = 0; i < args.count; ++i) {
      const double g = args.gradient ? args.scale * static_cast<double>(args.gradient[i]) : 0.0;
      args.m[i] = static_cast<float>(args.beta1 * static_cast<double>(args.m[i]) + (1 - args.beta1) * g);
      args.v[i] = static_cast<float>(args.beta2 * static_cast<double>(args.v[i]) + (1 - args.beta2) * g * g);
      const double direction = static_cast<double>(args.m[i]) * args.correction1 /
                               (std::sqrt(static_cast<double>(args.v[i]) * args.correction2) + args.eps);
      const double before = static_cast<double>(args.master[i]);
      args.master[i] = static_cast<float>(before - args.rate * (direction + args.decay * before));
      if (args.working) static_cast<bfloat16*>(args.working)[i] = to_bfloat16(args.master[i]);
    }
  });
}

}  // namespace

Failure add_squares(const float* const* x, const int64_t* counts, int64_t tensors, double*, double* out, Stream) {
  for (int64_t tensor = 0; tensor < tensors; ++tensor)
    if (const Failure failure = run([values = x[tensor], count = counts[tensor], out] {
          for (int64_t i = 0; i < count; ++i) *out += static_cast<double>(values[i]) * static_cast<double>(values[i]);
        }))
      return failure;
  return nullptr;
}
Failure adamw(const AdamWArgs* args, int64_t tensors, Stream) {
  for (int64_t tensor = 0; tensor < tensors; ++tensor)
    if (const Failure failure = adamw_of_one(args[tensor])) return failure;
  return nullptr;
}
Failure random_uniform(void* out, Type type, int64_t count, uint64_t seed, float limit, Stream) {
  return run([=] {
    uint64_t bits = seed;
    for (int64_t i = 0; i < count; ++i) {
      bits = bits * 6364136223846793005u + 1442695040888963407u;
      put(out, type, i, limit * (static_cast<float>(bits >> 40) / 8388608.0f - 1.0f));
    }
  });
}
Failure fill_float(float* out, float value, int64_t count, Stream) {
  return run([=] { std::fill_n(out, count, value); });
}

}  // namespace minimax::cuda::played
