#include "cuda/open_module.h"

#include <dlfcn.h>

#include "core/error.h"

namespace minimax::cuda {
namespace {

constexpr const char* kModuleFile = "libminimax_cuda.so";

}  // namespace

OpenedModule open_module(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {nullptr, cat("built without CUDA: there is no ", path.string())};
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) return {nullptr, dlerror()};
  auto entry = reinterpret_cast<MinimaxCudaEntry>(dlsym(handle, kMinimaxCudaEntry));
  if (!entry) return {nullptr, cat(path.string(), " has no ", kMinimaxCudaEntry, ": not a module of this program")};
  const MinimaxCudaModule* module = entry();
  if (module->abi != MINIMAX_CUDA_ABI)
    return {nullptr,
            cat(path.string(), " is of another build: interface ", module->abi, ", expected ", MINIMAX_CUDA_ABI)};
  return {module, ""};
}

OpenedModule open_module() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return {nullptr, cat("/proc/self/exe: ", error.message(), "; the CUDA module is looked for beside it")};
  const std::filesystem::path beside = program.parent_path() / kModuleFile;
  const std::filesystem::path installed = program.parent_path() / MINIMAX_MODULE_FOLDER / kModuleFile;
  return open_module(std::filesystem::exists(installed, error) ? installed : beside);
}

}  // namespace minimax::cuda
