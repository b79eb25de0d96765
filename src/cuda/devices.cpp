#include "cuda/devices.h"

#include <array>

#include "core/error.h"
#include "cuda/open_module.h"

namespace minimax::cuda {
namespace {

std::string version_text(int32_t version) {
  return version == 0 ? std::string() : cat(version / 1000, '.', version % 1000 / 10);
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

GpuReport report_of(const OpenedModule& opened) {
  if (opened.module) return ask(*opened.module);
  GpuReport report;
  report.reason = opened.reason;
  return report;
}

}  // namespace

GpuReport gpu_devices(const std::filesystem::path& path) {
  return report_of(open_module(path));
}

GpuReport gpu_devices() {
  return report_of(open_module());
}

}  // namespace minimax::cuda
