#include "cuda/devices.h"

#include <dlfcn.h>

#include <array>

#include "core/error.h"
#include "cuda/module.h"

namespace minimax::cuda {
namespace {

constexpr const char* kModuleFile = "libminimax_cuda.so";

std::string version_text(int32_t version) {
  return version == 0 ? std::string() : cat(version / 1000, '.', version % 1000 / 10);
}

GpuReport without(std::string reason) {
  GpuReport report;
  report.reason = std::move(reason);
  return report;
}

GpuReport ask(const MinimaxCudaModule& module) {
  GpuReport report;
  int32_t driver = 0, runtime = 0;
  module.versions(&driver, &runtime);
  report.driver_version = version_text(driver);
  report.runtime_version = version_text(runtime);
  if (driver == 0) {
    report.reason = "no NVIDIA driver is installed";
    return report;
  }
  std::array<char, 512> reason{};
  const int32_t count = module.count(reason.data(), reason.size());
  for (int32_t index = 0; index < count; ++index) {
    MinimaxCudaDevice device{};
    if (module.device(index, &device, reason.data(), reason.size()) != 0) {
      report.gpus.clear();
      report.reason = cat("GPU ", index, ": ", reason.data());
      return report;
    }
    report.gpus.push_back({.name = device.name,
                           .compute_major = device.compute_major,
                           .compute_minor = device.compute_minor,
                           .multiprocessors = device.multiprocessors,
                           .memory_total_bytes = device.memory_total_bytes,
                           .memory_free_bytes = device.memory_free_bytes});
  }
  if (count < 0) report.reason = reason.data();
  if (count == 0) report.reason = "the NVIDIA driver sees no GPU";
  return report;
}

}  // namespace

GpuReport gpu_devices(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return without(cat("built without CUDA: there is no ", path.string()));
  // Never closed: the CUDA runtime does not survive being unloaded.
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) return without(dlerror());
  auto entry = reinterpret_cast<MinimaxCudaEntry>(dlsym(handle, kMinimaxCudaEntry));
  if (!entry) return without(cat(path.string(), " has no ", kMinimaxCudaEntry, ": not a module of this program"));
  const MinimaxCudaModule* module = entry();
  if (module->abi != MINIMAX_CUDA_ABI)
    return without(
        cat(path.string(), " is of another build: interface ", module->abi, ", expected ", MINIMAX_CUDA_ABI));
  return ask(*module);
}

GpuReport gpu_devices() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return without(cat("/proc/self/exe: ", error.message(), "; the CUDA module is looked for beside it"));
  const std::filesystem::path beside = program.parent_path() / kModuleFile;
  const std::filesystem::path installed = program.parent_path() / MINIMAX_MODULE_FOLDER / kModuleFile;
  return gpu_devices(std::filesystem::exists(installed, error) ? installed : beside);
}

}  // namespace minimax::cuda
