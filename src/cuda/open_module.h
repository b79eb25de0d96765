// Finds and opens libminimax_cuda.so.
#pragma once

#include <filesystem>
#include <string>

#include "cuda/module.h"

namespace minimax::cuda {

struct OpenedModule {
  const MinimaxCudaModule* module = nullptr;  ///< of this build's interface; null when there is none
  std::string reason;                         ///< why it is null, in words for the user
};

/// The module at `path`. It is never closed: the CUDA runtime does not survive being unloaded.
OpenedModule open_module(const std::filesystem::path& path);

/// The one beside the program or where it was installed.
OpenedModule open_module();

}  // namespace minimax::cuda
