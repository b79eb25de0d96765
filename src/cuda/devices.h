// The GPUs this machine has, asked through the CUDA module; works in every build and on machines without a driver.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace minimax::cuda {

struct GpuInfo {
  std::string name;
  int compute_major = 0;  ///< 9.0 is Hopper
  int compute_minor = 0;
  int multiprocessors = 0;
  int64_t memory_total_bytes = 0;
  int64_t memory_free_bytes = 0;  ///< -1: the device would not say
};

struct GpuReport {
  std::vector<GpuInfo> gpus;
  std::string reason;           ///< why there are none, in words for the user; empty when there are some
  std::string driver_version;   ///< newest CUDA the driver can run, "13.0"; empty without a driver
  std::string runtime_version;  ///< CUDA the module was built with; empty without the module
};

/// Opens libminimax_cuda.so beside the program or where it was installed. Never throws for what a machine may lack:
/// that is the report's reason. Asking for free memory makes a context on each GPU: some 0.2 s each, once a process.
GpuReport gpu_devices();

/// The same from the module at `path`.
GpuReport gpu_devices(const std::filesystem::path& path);

}  // namespace minimax::cuda
