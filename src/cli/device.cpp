#include "cli/device.h"

#include <filesystem>

#include "cuda/devices.h"
#include "model/config.h"
#include "model/tensor_names.h"

namespace minimax::cli {

bool weights_fit(const ModelOptions& options, int64_t free_bytes) {
  if (free_bytes < 0 || !std::filesystem::exists(std::filesystem::path(options.model) / "config.json")) return true;
  try {
    const int64_t weights =
        weight_bytes(read_config(options.model), options.exact ? DType::kFloat32 : DType::kBFloat16);
    return weights + weights / 10 <= free_bytes;
  } catch (const Error&) {
    return true;  // loading will say what is wrong with it
  }
}

std::unique_ptr<cuda::Gpu> open_device(const ModelOptions& options) {
  if (options.device == DeviceChoice::kCpu) return nullptr;
  if (options.device == DeviceChoice::kCuda) return cuda::Gpu::open();
  const cuda::GpuReport report = cuda::gpu_devices();
  if (report.gpus.empty() || !weights_fit(options, report.gpus[0].memory_free_bytes)) return nullptr;
  try {
    return cuda::Gpu::open();
  } catch (const Error&) {
    return nullptr;  // a GPU that none of our kernels runs on
  }
}

MatmulPrecision training_precision(DType weights, const cuda::Gpu* gpu) {
  return gpu && weights == DType::kBFloat16 ? MatmulPrecision::kBFloat16 : MatmulPrecision::kFloat32;
}

MatmulPrecision precision_of(const ModelOptions& options, const cuda::Gpu* gpu) {
  const bool rounds = gpu ? !options.exact : options.bfloat16_matmul;
  return rounds ? MatmulPrecision::kBFloat16 : MatmulPrecision::kFloat32;
}

}  // namespace minimax::cli
