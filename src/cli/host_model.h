// The weights a verb computes with, before they are placed on a device.
#pragma once

#include <filesystem>

#include "cli/options.h"
#include "core/threads.h"
#include "model/minimax_m1.h"

namespace minimax::cli {

/// The model of `folder`, as --no-mmap and --mlock say, with the adapters of --adapter merged and quantized as --quant
/// says. Throws as load_model, merge_adapters and quantize_weights.
MiniMaxM1 load_host_model(const ModelOptions& options, const std::filesystem::path& folder, ThreadPool& threads);

}  // namespace minimax::cli
