// What the kernels on packed panels share: a lane's codes from memory, and the choice of a format's kernel.
#pragma once

#include "cuda/kernels/launch.cuh"
#include "cuda/packed_words.h"

namespace minimax::cuda::packed {

/// 16 bytes that are read once.
__device__ __forceinline__ void stream16(uint32_t (&words)[4], const unsigned char* from) {
  asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "l"(from));
}

/// Calls body.template operator()<format>().
template <typename Body>
Failure with_format(Format format, const Body& body) {
  switch (format) {
    case Format::kQ8:
      return body.template operator()<Format::kQ8>();
    case Format::kExpertsInt8:
      return body.template operator()<Format::kExpertsInt8>();
    case Format::kQ6:
      return body.template operator()<Format::kQ6>();
    case Format::kQ5:
      return body.template operator()<Format::kQ5>();
    case Format::kQ4:
      return body.template operator()<Format::kQ4>();
    case Format::kMxfp4:
      return body.template operator()<Format::kMxfp4>();
  }
  return "packed weights: no such format";
}

inline unsigned panels_of(int64_t rows) {
  return static_cast<unsigned>((rows + kPanel - 1) / kPanel);
}

}  // namespace minimax::cuda::packed
