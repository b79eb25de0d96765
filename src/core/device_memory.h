// DeviceMemory: memory that the processor cannot address, a GPU's; what tensors, arenas and gradients need of it.
#pragma once

#include <cstdint>

namespace minimax {

/// All work is done in the order in which it was given, with the kernels that use the memory. Throws Error; must
/// outlive every tensor in it.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  /// Uninitialised, 256-byte aligned. Throws kOutOfMemory with the numbers.
  virtual void* allocate(int64_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  /// Between host and device or on the device. The host's bytes may be reused when it returns; bytes copied to the host
  /// are there when it returns.
  virtual void copy(void* to, const void* from, int64_t bytes) = 0;
  virtual void fill(void* memory, int byte, int64_t bytes) = 0;
  /// sum[i] += more[i]
  virtual void add(float* sum, const float* more, int64_t count) = 0;
};

}  // namespace minimax
