#include "cli/device.h"

#include "cuda/devices.h"

namespace minimax::cli {

std::unique_ptr<cuda::Gpu> open_device(const ModelOptions& options) {
  if (options.device == DeviceChoice::kCpu) return nullptr;
  if (options.device == DeviceChoice::kAuto && cuda::gpu_devices().gpus.empty()) return nullptr;
  return cuda::Gpu::open();
}

MatmulPrecision precision_of(const ModelOptions& options, const cuda::Gpu* gpu) {
  const bool rounds = gpu ? !options.exact : options.bfloat16_matmul;
  return rounds ? MatmulPrecision::kBFloat16 : MatmulPrecision::kFloat32;
}

}  // namespace minimax::cli
