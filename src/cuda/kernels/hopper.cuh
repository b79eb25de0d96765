// What Hopper has beside ordinary loads and warp-wide products: mbarriers, bulk tensor copies and warpgroup products.
// Thin wrappers over PTX; the PTX ISA manual has the meanings. Only for kernels compiled for sm_90a.
#pragma once

#include <cuda.h>
#include <cuda_bf16.h>

#include <cstdint>

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define MINIMAX_HOPPER 1
#else
#define MINIMAX_HOPPER 0
#endif

namespace minimax::cuda {

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

/// Two floats to bfloat16, nearest even; `low` in the low half.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  uint32_t out;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
  return out;
}
__device__ __forceinline__ float low_bf16(uint32_t pair) {
  return __uint_as_float(pair << 16);
}
__device__ __forceinline__ float high_bf16(uint32_t pair) {
  return __uint_as_float(pair & 0xffff0000u);
}

/// A 16-byte piece's place in a tile of 128-byte rows under the 128-byte swizzle; the tile starts at a multiple of
/// 1024.
__device__ __forceinline__ uint32_t swizzled(uint32_t row, uint32_t piece) {
  return row * 128 + ((piece ^ (row & 7)) << 4);
}

__device__ __forceinline__ void barrier_init(uint32_t barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
__device__ __forceinline__ void barrier_arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
__device__ __forceinline__ void barrier_expect(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
/// Waits until the phase of that parity is over.
__device__ __forceinline__ void barrier_wait(uint32_t barrier, uint32_t parity) {
  asm volatile(
      "{\n .reg .pred done;\n"
      "again:\n"
      " mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      " @done bra over;\n"
      " bra again;\n"
      "over:\n}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}
/// Makes ordinary writes to shared memory visible to bulk copies and warpgroup products.
__device__ __forceinline__ void fence_async_proxy() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// Copies a box of a 2-dimensional tensor, `column` and `row` its first element, to shared memory.
__device__ __forceinline__ void copy_box(uint32_t to, const CUtensorMap* map, int32_t column, int32_t row,
                                         uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(
          to),
      "l"(map), "r"(barrier), "r"(column), "r"(row)
      : "memory");
}

/// Likewise of a 3-dimensional one.
__device__ __forceinline__ void copy_box(uint32_t to, const CUtensorMap* map, int32_t column, int32_t row,
                                         int32_t layer, uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], "
      "[%2];" ::"r"(to),
      "l"(map), "r"(barrier), "r"(column), "r"(row), "r"(layer)
      : "memory");
}

/// Copies bytes as they lie; addresses and count are multiples of 16.
__device__ __forceinline__ void copy_flat(uint32_t to, const void* from, uint32_t bytes, uint32_t barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to),
               "l"(from), "r"(bytes), "r"(barrier)
               : "memory");
}

/// The other way round.
__device__ __forceinline__ void store_box(const CUtensorMap* map, int32_t column, int32_t row, uint32_t from) {
  asm volatile(
      "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];\n"
      "cp.async.bulk.commit_group;" ::"l"(map),
      "r"(from), "r"(column), "r"(row)
      : "memory");
}
/// Until at most kPending of this thread's stores still read shared memory.
template <int kPending>
__device__ __forceinline__ void stores_wait() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
}

template <int kCount>
__device__ __forceinline__ void more_registers() {
#if MINIMAX_HOPPER
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
#endif
}
template <int kCount>
__device__ __forceinline__ void fewer_registers() {
#if MINIMAX_HOPPER
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
#endif
}

/// Four 8x8 matrices of 16-bit values; lane l gives row l % 8 of matrix l / 8.
__device__ __forceinline__ void store_matrices(uint32_t address, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(a), "r"(b),
               "r"(c), "r"(d)
               : "memory");
}
__device__ __forceinline__ void store_matrices_transposed(uint32_t address, uint32_t a, uint32_t b, uint32_t c,
                                                          uint32_t d) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(a), "r"(b),
               "r"(c), "r"(d)
               : "memory");
}

/// Describes an operand in shared memory: 128-byte swizzle, groups of 8 rows 1024 bytes apart, panels of 64 columns
/// `panel_bytes` apart (read only where the contiguous dimension is not the summed one).
__device__ __forceinline__ uint64_t operand(uint32_t address, uint32_t panel_bytes) {
  return static_cast<uint64_t>(address >> 4 | panel_bytes >> 4 << 16) | static_cast<uint64_t>(1024 >> 4 | 1 << 30)
                                                                            << 32;
}
/// The same, some bytes further on (a multiple of 16): one addition, where a new description takes several.
__device__ __forceinline__ uint64_t further(uint64_t operand, uint32_t bytes) {
  return (operand & 0xffffffff00000000u) | (static_cast<uint32_t>(operand) + (bytes >> 4));
}

/// True in one lane of a whole warp, without asking which lane this is.
__device__ __forceinline__ bool elected() {
  uint32_t chosen = 0;
#if MINIMAX_HOPPER
  asm volatile("{\n .reg .pred p;\n elect.sync _|p, 0xffffffff;\n selp.u32 %0, 1, 0, p;\n}" : "=r"(chosen));
#endif
  return chosen != 0;
}

__device__ __forceinline__ void products_begin() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void products_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Until at most kPending committed groups are under way.
template <int kPending>
__device__ __forceinline__ void products_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
/// Keeps the compiler from moving accesses of accumulators across.
template <int kCount>
__device__ __forceinline__ void pin(float (&sums)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(sums[i])::"memory");
}

#define MM_8(d, i)                                                                                            \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), \
      "+f"(d[i + 7])
#define MM_32(d, i) MM_8(d, i), MM_8(d, i + 8), MM_8(d, i + 16), MM_8(d, i + 24)
#define MM_SUMS_32                                                                                                  \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, " \
  "%24, %25, %26, %27, %28, %29, %30, %31}"
#define MM_SUMS_64                                                                                                  \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, " \
  "%24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, "  \
  "%46, "                                                                                                           \
  "%47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}"

#define MM_SUMS_128                                                                                           \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, "     \
  "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, " \
  "%43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, " \
  "%85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, %103, %104, " \
  "%105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, "    \
  "%122, %123, %124, %125, %126, %127}"

/// sums[64, 64] (+)= a[64, 16] b[16, 64], both in shared memory; each transposed where its summed dimension is not the
/// contiguous one.
template <int kTransposeA, int kTransposeB>
__device__ __forceinline__ void product_64x64(float (&sums)[32], uint64_t a, uint64_t b, int add) {
#if MINIMAX_HOPPER
  asm volatile(
      "{\n .reg .pred p;\n setp.ne.b32 p, %34, 0;\n"
      " wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " MM_SUMS_32 ", %32, %33, p, 1, 1, %35, %36;\n}"
      : MM_32(sums, 0)
      : "l"(a), "l"(b), "r"(add), "n"(kTransposeA), "n"(kTransposeB));
#endif
}

/// The same with a in registers, b not transposed.
__device__ __forceinline__ void product_64x64(float (&sums)[32], const uint32_t (&a)[4], uint64_t b, int add) {
#if MINIMAX_HOPPER
  asm volatile(
      "{\n .reg .pred p;\n setp.ne.b32 p, %37, 0;\n"
      " wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " MM_SUMS_32 ", {%32, %33, %34, %35}, %36, p, 1, 1, 0;\n}"
      : MM_32(sums, 0)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
#endif
}

/// Likewise of 128 columns.
__device__ __forceinline__ void product_64x128(float (&sums)[64], const uint32_t (&a)[4], uint64_t b, int add) {
#if MINIMAX_HOPPER
  asm volatile(
      "{\n .reg .pred p;\n setp.ne.b32 p, %69, 0;\n"
      " wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " MM_SUMS_64 ", {%64, %65, %66, %67}, %68, p, 1, 1, 0;\n}"
      : MM_32(sums, 0), MM_32(sums, 32)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
#endif
}

/// sums[64, 128] (+)= a[64, 16] b[16, 128], both in shared memory and transposed.
__device__ __forceinline__ void product_64x128(float (&sums)[64], uint64_t a, uint64_t b, int add) {
#if MINIMAX_HOPPER
  asm volatile(
      "{\n .reg .pred p;\n setp.ne.b32 p, %66, 0;\n"
      " wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " MM_SUMS_64 ", %64, %65, p, 1, 1, 1, 1;\n}"
      : MM_32(sums, 0), MM_32(sums, 32)
      : "l"(a), "l"(b), "r"(add));
#endif
}

/// sums[64, kN] (+)= a[64, 16] b[16, kN] for kN = 64, 128 or 256, the number of sums saying which.
template <int kTransposeA, int kTransposeB>
__device__ __forceinline__ void product_any(float (&sums)[32], uint64_t a, uint64_t b, int add) {
  product_64x64<kTransposeA, kTransposeB>(sums, a, b, add);
}
template <int kTransposeA, int kTransposeB>
__device__ __forceinline__ void product_any(float (&sums)[64], uint64_t a, uint64_t b, int add) {
#if MINIMAX_HOPPER
  asm volatile(
      "{\n .reg .pred p;\n setp.ne.b32 p, %66, 0;\n"
      " wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " MM_SUMS_64 ", %64, %65, p, 1, 1, %67, %68;\n}"
      : MM_32(sums, 0), MM_32(sums, 32)
      : "l"(a), "l"(b), "r"(add), "n"(kTransposeA), "n"(kTransposeB));
#endif
}
template <int kTransposeA, int kTransposeB>
__device__ __forceinline__ void product_any(float (&sums)[128], uint64_t a, uint64_t b, int add) {
#if MINIMAX_HOPPER
  asm volatile(
      "{\n .reg .pred p;\n setp.ne.b32 p, %130, 0;\n"
      " wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 " MM_SUMS_128 ", %128, %129, p, 1, 1, %131, %132;\n}"
      : MM_32(sums, 0), MM_32(sums, 32), MM_32(sums, 64), MM_32(sums, 96)
      : "l"(a), "l"(b), "r"(add), "n"(kTransposeA), "n"(kTransposeB));
#endif
}

/// The same for kN = 64 or 128 with a in registers, b not transposed.
__device__ __forceinline__ void product_any(float (&sums)[32], const uint32_t (&a)[4], uint64_t b, int add) {
  product_64x64(sums, a, b, add);
}
__device__ __forceinline__ void product_any(float (&sums)[64], const uint32_t (&a)[4], uint64_t b, int add) {
  product_64x128(sums, a, b, add);
}

}  // namespace minimax::cuda
