// A model from a folder in the published layout.
#pragma once

#include <filesystem>

#include "io/mapped_file.h"
#include "model/minimax_m1.h"

namespace minimax {

/// Reads config.json and the safetensors of `folder`. Matrices are views of the mapped files, nothing is copied but
/// norms. Throws kNotFound for missing files or tensors, kInvalidArgument for what does not fit the config.
MiniMaxM1 load_model(const std::filesystem::path& folder, const io::LoadOptions& options = {});

}  // namespace minimax
