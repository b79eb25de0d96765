// Gpu: one device, its memory and the stream on which everything of a model runs, through the CUDA module.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "core/device_memory.h"
#include "cuda/kernels.h"

namespace minimax::cuda {

/// One stream; memory that is given back is kept for the next tensor of that size. Kernels may be launched from one
/// thread at a time. Must outlive all tensors in its memory.
class Gpu final : public DeviceMemory {
 public:
  /// Device `index` of this machine, by the module beside the program. Throws kDevice saying why there is none, or that
  /// this build has no kernels for it.
  static std::unique_ptr<Gpu> open(int32_t index = 0);
  /// The same by the module at `path`.
  static std::unique_ptr<Gpu> open(int32_t index, const std::filesystem::path& path);
  ~Gpu() override;
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  void* allocate(int64_t bytes) override;
  void release(void* memory) noexcept override;
  void copy(void* to, const void* from, int64_t bytes) override;
  void fill(void* memory, int byte, int64_t bytes) override;
  void add(float* sum, const float* more, int64_t count) override;

  const Kernels& kernels() const { return *kernels_; }
  const OpKernels& op() const { return kernels_->op; }
  Stream stream() const { return stream_; }
  /// Throws kDevice with the text of what went wrong; null is fine.
  static void check(Failure failure);
  /// Until everything launched so far is done; throws what kernels did wrong.
  void wait();
  /// Gives memory that no tensor uses back to the device.
  void trim();
  int64_t free_bytes() const;
  /// Taken from the device, for tensors or kept for later ones.
  int64_t taken_bytes();
  /// Hopper, whose tensor cores and copy engine the fast kernels use.
  bool hopper() const { return hopper_; }

 private:
  Gpu(const Kernels& kernels, int32_t index, bool hopper);

  const Kernels* kernels_;
  int32_t index_;
  bool hopper_;
  Stream stream_ = nullptr;
  std::mutex mutex_;
  std::map<int64_t, std::vector<void*>> free_;  // by size
  std::map<void*, int64_t> sizes_;
};

}  // namespace minimax::cuda
