// A module that plays a GPU on the processor: every kernel of cuda/op_kernels.h as the plainest loop, in float32 from
// operands of the given types. With it ./check runs on machines without a GPU what only a GPU could run otherwise: the
// ops' callers, caches, steps, recorded graphs and training on a "device" whose memory the ops may not touch
// themselves. A family of kernels a file; module.cpp has their table.
#pragma once

#include <cmath>
#include <functional>
#include <type_traits>
#include <vector>

#include "core/dtype.h"
#include "cuda/kernels.h"
#include "cuda/op_kernel_names.h"

namespace minimax::cuda::played {

/// A recorded graph is the list of what was asked for meanwhile.
using Recorded = std::vector<std::function<void()>>;
/// Null: nothing is recorded. The module serves one program with one stream.
extern Recorded* g_recording;

template <typename Work>
Failure run(Work work) {
  if (g_recording)
    g_recording->push_back(work);
  else
    work();
  return nullptr;
}

inline float get(const void* x, Type type, int64_t i) {
  return type == Type::kFloat32 ? static_cast<const float*>(x)[i] : to_float(static_cast<const bfloat16*>(x)[i]);
}
inline void put(void* x, Type type, int64_t i, float value) {
  if (type == Type::kFloat32)
    static_cast<float*>(x)[i] = value;
  else
    static_cast<bfloat16*>(x)[i] = to_bfloat16(value);
}
/// x as a kernel of that type takes it.
inline float as(Type type, float x) {
  return type == Type::kFloat32 ? x : to_float(to_bfloat16(x));
}
inline float sigmoid(float x) {
  return 1.0f / (1.0f + std::exp(-x));
}

#define MM_DECLARE(name) std::remove_pointer_t<decltype(OpKernels::name)> name;
MM_OP_KERNELS(MM_DECLARE)
#undef MM_DECLARE
std::remove_pointer_t<decltype(Kernels::attention_decode)> attention_decode;

}  // namespace minimax::cuda::played
