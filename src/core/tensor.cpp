#include "core/tensor.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace minimax {
namespace {

constexpr std::align_val_t kAlignment{64};  // one cache line, one AVX-512 register

}  // namespace

Shape::Shape(std::span<const int64_t> dims) : rank_(static_cast<int64_t>(dims.size())) {
  MM_CHECK(rank_ <= kMaxRank, "shape of rank ", rank_, ", expected at most ", kMaxRank);
  for (size_t i = 0; i < dims.size(); ++i) {
    MM_CHECK(dims[i] >= 0, "shape with negative size ", dims[i]);
    dims_[i] = dims[i];
  }
}

int64_t Shape::elements() const {
  int64_t product = 1;
  for (int64_t i = 0; i < rank_; ++i)
    MM_CHECK(!__builtin_mul_overflow(product, dims_[i], &product), "shape ", *this, " has more than 2^63 elements");
  return product;
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '[';
  for (int64_t i = 0; i < shape.rank(); ++i) out << (i ? ", " : "") << shape.dim(i);
  return out << ']';
}

Tensor Tensor::empty(Shape shape, DType dtype, DeviceMemory* memory) {
  const size_t bytes = static_cast<size_t>(std::max<int64_t>(shape.elements() * size_of(dtype), 1));
  if (memory) {
    void* data = memory->allocate(static_cast<int64_t>(bytes));
    std::shared_ptr<const void> owner(data, [memory](const void* p) { memory->release(const_cast<void*>(p)); });
    return Tensor(std::move(owner), data, shape, dtype, memory);
  }
  void* data = ::operator new(bytes, kAlignment, std::nothrow);
  MM_CHECK_KIND(kOutOfMemory, data != nullptr, "cannot allocate ", bytes, " bytes for a ", dtype, " tensor ", shape);
  std::shared_ptr<const void> owner(data, [](const void* p) { ::operator delete(const_cast<void*>(p), kAlignment); });
  return Tensor(std::move(owner), data, shape, dtype);
}

Tensor Tensor::zeros(Shape shape, DType dtype, DeviceMemory* memory) {
  Tensor out = empty(shape, dtype, memory);
  if (memory)
    memory->fill(out.raw(), 0, out.bytes());
  else
    std::memset(out.raw(), 0, static_cast<size_t>(out.bytes()));
  return out;
}

Tensor Tensor::view(Shape shape) const {
  MM_CHECK(shape.elements() == elements(), "view of ", shape_, " as ", shape, ": the number of elements differs");
  return Tensor(owner_, data_, shape, dtype_, memory_);
}

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  MM_CHECK(rank() >= 1 && 0 <= begin && begin <= end && end <= dim(0), "rows ", begin, " to ", end, " of ", shape_);
  std::array<int64_t, Shape::kMaxRank> dims{};
  dims[0] = end - begin;
  int64_t row_elements = 1;
  for (int64_t i = 1; i < rank(); ++i) row_elements *= dims[i] = dim(i);
  auto* first = static_cast<std::byte*>(data_) + begin * row_elements * size_of(dtype_);
  return Tensor(owner_, first, Shape(std::span<const int64_t>(dims.data(), static_cast<size_t>(rank()))), dtype_,
                memory_);
}

Tensor to_float32(const Tensor& x) {
  Tensor out = Tensor::empty(x.shape(), DType::kFloat32);
  float* to = out.data<float>();
  auto widen = [&]<typename T>(std::span<const T> from) {
    std::transform(from.begin(), from.end(), to, [](T value) { return to_float(value); });
  };
  switch (x.dtype()) {
    case DType::kFloat32:
      widen(std::span<const float>(x.span<float>()));
      break;
    case DType::kBFloat16:
      widen(std::span<const bfloat16>(x.span<bfloat16>()));
      break;
    case DType::kFloat16:
      widen(std::span<const float16>(x.span<float16>()));
      break;
    default:
      MM_CHECK(false, "tensor is ", x.dtype(), ", expected F32, BF16 or F16");
  }
  return out;
}

void copy_bytes(const Tensor& from, const Tensor& to) {
  MM_CHECK(from.dtype() == to.dtype() && from.elements() == to.elements(), "copy of ", from.dtype(), " ", from.shape(),
           " to ", to.dtype(), " ", to.shape());
  if (from.bytes() == 0) return;
  if (DeviceMemory* memory = to.memory() ? to.memory() : from.memory())
    memory->copy(to.raw(), from.raw(), from.bytes());
  else
    std::memcpy(to.raw(), from.raw(), static_cast<size_t>(from.bytes()));
}

Tensor to_memory(const Tensor& x, DeviceMemory* memory) {
  if (x.memory() == memory) return x;
  Tensor out = Tensor::empty(x.shape(), x.dtype(), memory);
  copy_bytes(x, out);
  return out;
}

}  // namespace minimax
