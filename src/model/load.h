// A model from a folder in the published layout.
#pragma once

#include <filesystem>

#include "io/mapped_file.h"
#include "model/minimax_m1.h"

namespace minimax {

class Checkpoint;

/// Matrices are views of the checkpoint's mapped files; only norms are copied (to float32). The checkpoint may go.
MiniMaxM1 load_model(const Checkpoint& checkpoint);
/// The same from a folder. Throws as Checkpoint::open.
MiniMaxM1 load_model(const std::filesystem::path& folder, const io::LoadOptions& options = {});

}  // namespace minimax
