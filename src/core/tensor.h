// Tensor: a typed, shaped view of bytes that somebody owns (an arena block, a mapped file, a vector).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <ostream>
#include <span>
#include <string>

#include "core/device_memory.h"
#include "core/dtype.h"
#include "core/error.h"

namespace minimax {

enum class Device : uint8_t { kCpu, kCuda };

/// Sizes of a tensor, slowest dimension first. At most kMaxRank dimensions, none negative.
class Shape {
 public:
  static constexpr int64_t kMaxRank = 4;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims);

  int64_t rank() const { return rank_; }
  /// Size of dimension `index`; negative counts from the last: dim(-1) is the fastest.
  int64_t dim(int64_t index) const { return dims_[index < 0 ? index + rank_ : index]; }
  /// Product of all sizes; 1 for rank 0. Throws kInvalidArgument when it passes 2^63.
  int64_t elements() const;
  bool operator==(const Shape& other) const = default;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int64_t rank_ = 0;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape);  // [2, 3]

/// Contiguous, reference counted. Copying a Tensor shares its bytes; const-ness is the handle's, not the bytes'.
/// A view (view, rows) keeps the owner alive.
class Tensor {
 public:
  Tensor() = default;
  /// `data` stays valid as long as `owner` lives. Null owner: the caller keeps the bytes alive.
  /// Null memory: the host's.
  Tensor(std::shared_ptr<const void> owner, void* data, Shape shape, DType dtype, DeviceMemory* memory = nullptr)
      : owner_(std::move(owner)), data_(data), shape_(shape), dtype_(dtype), memory_(memory) {}

  /// Fresh, uninitialised, outside any arena; 64-byte aligned host memory when `memory` is null.
  static Tensor empty(Shape shape, DType dtype, DeviceMemory* memory = nullptr);
  static Tensor zeros(Shape shape, DType dtype, DeviceMemory* memory = nullptr);
  /// A copy of `values`.
  template <typename T>
  static Tensor from(std::span<const T> values, Shape shape);

  bool defined() const { return data_ != nullptr || elements_known_empty(); }
  const Shape& shape() const { return shape_; }
  int64_t rank() const { return shape_.rank(); }
  int64_t dim(int64_t index) const { return shape_.dim(index); }
  int64_t elements() const { return shape_.elements(); }
  int64_t bytes() const { return elements() * size_of(dtype_); }
  DType dtype() const { return dtype_; }
  Device device() const { return memory_ ? Device::kCuda : Device::kCpu; }
  /// Where the bytes are; null: the host's memory.
  DeviceMemory* memory() const { return memory_; }

  void* raw() const { return data_; }
  /// Typed access from the host. Throws kInternal when T is not the tensor's dtype or the bytes lie on a device.
  template <typename T>
  T* data() const {
    MM_CHECK_KIND(kInternal, DTypeOf<T>::value == dtype_, "tensor is ", dtype_, ", read as ", DTypeOf<T>::value);
    MM_CHECK_KIND(kInternal, !memory_, "tensor ", shape_, " lies on a device, read on the host");
    return static_cast<T*>(data_);
  }
  template <typename T>
  std::span<T> span() const {
    return {data<T>(), static_cast<size_t>(elements())};
  }

  /// The same bytes under another shape of as many elements.
  Tensor view(Shape shape) const;
  /// Rows [begin, end) of the first dimension; shares the bytes.
  Tensor rows(int64_t begin, int64_t end) const;

 private:
  bool elements_known_empty() const { return owner_ != nullptr && shape_.rank() > 0 && shape_.elements() == 0; }

  std::shared_ptr<const void> owner_;
  void* data_ = nullptr;
  Shape shape_;
  DType dtype_ = DType::kFloat32;
  DeviceMemory* memory_ = nullptr;
};

template <typename T>
Tensor Tensor::from(std::span<const T> values, Shape shape) {
  MM_CHECK(static_cast<int64_t>(values.size()) == shape.elements(), "tensor of shape ", shape, " from ", values.size(),
           " values");
  Tensor out = empty(shape, DTypeOf<T>::value);
  std::copy(values.begin(), values.end(), out.data<T>());
  return out;
}

/// A float32 copy of a F32, BF16 or F16 tensor on the host.
Tensor to_float32(const Tensor& x);
/// x itself when it lies there already, else a copy; null memory is the host's.
Tensor to_memory(const Tensor& x, DeviceMemory* memory);
inline Tensor to_host(const Tensor& x) {
  return to_memory(x, nullptr);
}
/// Equal sizes and dtypes, any places.
void copy_bytes(const Tensor& from, const Tensor& to);

}  // namespace minimax

// Checks rank and sizes; the message prints both shapes. MM_CHECK_SHAPE(state, heads, head_dim, head_dim)
#define MM_CHECK_SHAPE(tensor, ...)                                                                              \
  MM_CHECK((tensor).shape() == ::minimax::Shape({__VA_ARGS__}), #tensor " is ", (tensor).shape(), ", expected ", \
           ::minimax::Shape({__VA_ARGS__}), " = [" #__VA_ARGS__ "]")
#define MM_CHECK_DTYPE(tensor, expected) \
  MM_CHECK((tensor).dtype() == (expected), #tensor " is ", (tensor).dtype(), ", expected ", (expected))
