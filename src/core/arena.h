// Arena: hands out tensor memory and takes it back, so that a decode step calls malloc for nothing.
#pragma once

#include <cstdint>
#include <memory>

#include "core/tensor.h"

namespace minimax {

/// Blocks are rounded up to size classes and kept for reuse when their last Tensor goes away. Tensors may outlive the
/// arena. Thread-safe.
class Arena {
 public:
  /// Null memory: the host's.
  explicit Arena(DeviceMemory* memory = nullptr);
  ~Arena();

  /// Uninitialised; 64-byte aligned or more. Throws kOutOfMemory.
  Tensor empty(Shape shape, DType dtype);

  int64_t bytes_in_use() const;
  int64_t bytes_reserved() const;
  /// Gives the free blocks back to the system.
  void trim();
  /// For tests: from now on every tensor comes filled with bytes 0xff, which are NaN in each float type and -1 in each
  /// integer type, so that a result that was never written shows.
  void poison();

 private:
  struct Blocks;
  std::shared_ptr<Blocks> blocks_;
};

}  // namespace minimax
