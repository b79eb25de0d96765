// Attention on Hopper's warpgroup products (attention_hopper.cu), for attention() to choose.
#pragma once

#include "cuda/kernels/launch.cuh"

namespace minimax::cuda {

bool attention_hopper_takes(const AttentionArgs& args);
/// args as attention() has checked them.
Failure attention_hopper(const AttentionArgs& args, Stream stream);

}  // namespace minimax::cuda
