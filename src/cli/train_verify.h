// The verifier processes of a run: this program once more, as `train verify`.
#pragma once

#include <cstdint>
#include <memory>

#include "rl/verifier_workers.h"

namespace minimax::cli {

/// `count` processes of this very program that score attempts; they start when they are needed.
std::shared_ptr<rl::VerifierWorkers> verifier_workers(int64_t count);

}  // namespace minimax::cli
