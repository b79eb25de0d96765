// Which device a verb computes on, by --device.
#pragma once

#include <memory>

#include "cli/options.h"
#include "core/context.h"
#include "cuda/gpu.h"

namespace minimax::cli {

/// Null for the CPU. kAuto: the first GPU, when there is one that our kernels run on and the weights of the named model
/// fit on. Throws kDevice when kCuda was asked for and there is none.
std::unique_ptr<cuda::Gpu> open_device(const ModelOptions& options);

/// Whether the weights of options.model and a tenth more are below `free_bytes` (-1: unknown). True when that cannot be
/// known beforehand.
bool weights_fit(const ModelOptions& options, int64_t free_bytes);

/// In what precision training computes there: on a GPU bfloat16 weights come with products of bfloat16 operands; the
/// CPU's float32 activations are as fast.
MatmulPrecision training_precision(DType weights, const cuda::Gpu* gpu);
/// In what precision a verb computes there.
MatmulPrecision precision_of(const ModelOptions& options, const cuda::Gpu* gpu);

}  // namespace minimax::cli
