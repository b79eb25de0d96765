// A model's weights where a context computes.
#pragma once

#include <optional>

#include "core/context.h"
#include "model/minimax_m1.h"

namespace minimax {

/// `model`, which lies on the host, with its weights where `ctx` computes: the model itself on a CPU, a copy on a GPU.
/// There each layer's experts lie in one block, at equal distances. Norms, routers and coefficients of shared experts
/// are float32; the other matrices are `dtype` (F32 or BF16), or with nothing given what ctx.matmul_precision asks for:
/// BF16, but F32 ones of at most 128 inputs as they are; or with kFloat32 all as they are (F16: F32). Packed ones stay
/// packed. With `dtype` or an adapter, and where a layer's experts have not all one format for gate and up and one for
/// down, they are unpacked, by ctx.threads. Throws kOutOfMemory with the numbers.
MiniMaxM1 place_model(const Context& ctx, const MiniMaxM1& model, std::optional<DType> dtype = {});

}  // namespace minimax
