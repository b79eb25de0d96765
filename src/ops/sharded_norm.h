// Root-mean-square normalisation of rows whose columns lie on several processes.
#pragma once

#include "comm/process_group.h"
#include "core/context.h"

namespace minimax::ops {

/// rms_norm() where each process holds a slice of the hidden dimension, as it does behind heads that are shared out:
/// the mean square is that of the whole row, one sum a row over the group. Every process calls it with the same rows.
/// x, out: [..., this process's part of hidden] float32; weight: [the same part] float32. Slices may differ in width,
/// and be empty. Squares are added in float64, so that the result does not depend on how the row is cut beyond the last
/// bits of float32.
/// Throws kInvalidArgument when weight does not fit x, when the processes have different numbers of rows (all of them
/// throw), and where a gradient is wanted or x lies on a GPU: neither is done yet.
/// Source: MiniMaxM1RMSNorm in the published modeling file; the lightning layers' norm spans all heads.
Tensor sharded_rms_norm(const Context& ctx, comm::ProcessGroup& group, const Tensor& x, const Tensor& weight,
                        float eps);

}  // namespace minimax::ops
