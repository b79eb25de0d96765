// What the tensor-level callers of the kernels share: typed addresses on the device.
#pragma once

#include "core/context.h"
#include "cuda/gpu.h"

namespace minimax::cuda {

inline Gpu& gpu_of(const Context& ctx) {
  MM_CHECK_KIND(kInternal, ctx.gpu, "a context of a GPU without the GPU");
  return *ctx.gpu;
}

/// Throws kInternal for a tensor on the host or of another type.
template <typename T>
T* on_device(const Tensor& x) {
  MM_CHECK_KIND(kInternal, x.device() == Device::kCuda && x.dtype() == DTypeOf<T>::value, "tensor ", x.shape(), " is ",
                x.dtype(), x.memory() ? " on a device" : " on the host", ", expected ", DTypeOf<T>::value,
                " on a device");
  return static_cast<T*>(x.raw());
}
inline float* floats(const Tensor& x) {
  return on_device<float>(x);
}
inline int32_t* indices(const Tensor& x) {
  return on_device<int32_t>(x);
}

inline DType dtype_of(Type type) {
  return type == Type::kFloat32 ? DType::kFloat32 : DType::kBFloat16;
}
/// Throws kInvalidArgument for what no kernel takes.
inline Type type_of(const Tensor& x) {
  MM_CHECK_KIND(kInternal, x.device() == Device::kCuda, "tensor ", x.shape(), " lies on the host");
  MM_CHECK(x.dtype() == DType::kFloat32 || x.dtype() == DType::kBFloat16, "tensor on a GPU is ", x.dtype(),
           ", expected F32 or BF16");
  return x.dtype() == DType::kFloat32 ? Type::kFloat32 : Type::kBFloat16;
}

/// Tensor cores, for which operands are rounded to bfloat16; else float32.
inline bool rounds(const Context& ctx) {
  return ctx.matmul_precision == MatmulPrecision::kBFloat16;
}

/// x as that type: itself when it is, else a copy.
inline Tensor cast(const Context& ctx, const Tensor& x, Type to) {
  if (type_of(x) == to) return x;
  const Tensor out = ctx.empty(x.shape(), dtype_of(to));
  Gpu::check(gpu_of(ctx).op().cast(x.raw(), type_of(x), out.raw(), to, x.elements(), gpu_of(ctx).stream()));
  return out;
}

}  // namespace minimax::cuda
