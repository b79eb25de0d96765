// What the GPU tests and the benchmark share: the module's kernels, buffers on the device, bfloat16 on the host.
#pragma once

#include <bit>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "core/error.h"
#include "cuda/kernels.h"
#include "cuda/open_module.h"

namespace minimax::cuda {

inline void check(Failure failure) {
  MM_CHECK_KIND(kDevice, !failure, failure);
}

/// The kernels of the module that MINIMAX_CUDA_MODULE names, else of the one this program was built with.
inline const Kernels& gpu() {
  static const Kernels& kernels = [&]() -> const Kernels& {
    const char* named = std::getenv("MINIMAX_CUDA_MODULE");
    const OpenedModule opened = open_module(named ? named : MINIMAX_CUDA_MODULE);
    MM_CHECK_KIND(kDevice, opened.module, opened.reason);
    return *opened.module->kernels();
  }();
  return kernels;
}

/// Memory of the device, of elements that are copied as they are.
template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(int64_t count) : count_(count) { check(gpu().allocate(&memory_, bytes())); }
  explicit DeviceArray(const std::vector<T>& host) : DeviceArray(static_cast<int64_t>(host.size())) {
    check(gpu().copy(memory_, host.data(), bytes(), nullptr));
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { gpu().release(memory_); }

  int64_t count() const { return count_; }
  int64_t bytes() const { return count_ * static_cast<int64_t>(sizeof(T)); }
  T* get() const { return static_cast<T*>(memory_); }
  /// All bits one: NaN in every float format, -1 in integers.
  void poison() { check(gpu().fill(memory_, 0xff, bytes(), nullptr)); }
  std::vector<T> host() const {
    std::vector<T> copied(static_cast<size_t>(count_));
    check(gpu().copy(copied.data(), memory_, bytes(), nullptr));
    check(gpu().wait(nullptr));
    return copied;
  }

 private:
  void* memory_ = nullptr;
  int64_t count_ = 0;
};

inline uint16_t to_bf16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline double from_bf16(uint16_t x) {
  return static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(x) << 16));
}

/// lambda^0 .. lambda^kChunk for each slope, and what the last lost (ops::lightning_decay's layout).
inline std::vector<float> decay_table(const std::vector<double>& slopes) {
  std::vector<float> table;
  for (double slope : slopes) {
    for (int64_t power = 0; power <= kChunk; ++power)
      table.push_back(static_cast<float>(std::exp(-slope * static_cast<double>(power))));
    table.push_back(
        static_cast<float>(std::exp(-slope * static_cast<double>(kChunk)) - static_cast<double>(table.back())));
  }
  return table;
}

/// Slopes of layer 39 of 80 in the published model: half-lives of 1.5 to 350 tokens.
inline std::vector<double> middle_slopes(int64_t heads) {
  std::vector<double> slopes;
  for (int64_t head = 0; head < heads; ++head)
    slopes.push_back(0.506339 * std::exp2(-8.0 * static_cast<double>(head + 1) / static_cast<double>(heads)));
  return slopes;
}

}  // namespace minimax::cuda
