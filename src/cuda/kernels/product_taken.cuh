// Which tiles the blocks of a product on Hopper take, and when.
#pragma once

#include "cuda/kernels/hopper.cuh"
#include "cuda/op_kernels.h"

namespace minimax::cuda {

/// The tiles of a block, one after the other, in shared memory: who loads takes them, who computes is told. Where all
/// tiles take equally long it is enough that block b has tiles b, b + blocks, ... But experts' last tiles are short:
/// blocks fall out of step then, and those that share an expert's matrix read it from memory each for itself (4,096
/// tokens of 32 experts took as long as 2.5 readings). Taken in order as blocks become free, neighbours start together.
class Taken {
 public:
  __device__ Taken(const ProductArgs& args, uint32_t barriers, int64_t* taken)
      : next_tile_(args.next_tile), full_(barriers), empty_(barriers + 16), taken_(taken), at_(blockIdx.x) {}

  /// The loading thread's.
  __device__ int64_t take() {
    if (!next_tile_) {
      at_ += gridDim.x;
      return at_ - gridDim.x;
    }
    const int64_t at = at_ >= 0 ? at_ : gridDim.x + static_cast<int64_t>(atomicAdd(next_tile_, 1));
    at_ = -1;
    barrier_wait(empty_ + slot_ * 8, phase_ ^ 1);
    taken_[slot_] = at;
    barrier_arrive(full_ + slot_ * 8);
    turn();
    return at;
  }
  /// The same, of each computing warp.
  __device__ int64_t hear() {
    if (!next_tile_) {
      at_ += gridDim.x;
      return at_ - gridDim.x;
    }
    barrier_wait(full_ + slot_ * 8, phase_);
    const int64_t at = taken_[slot_];
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(empty_ + slot_ * 8);
    turn();
    return at;
  }

 private:
  __device__ void turn() {
    slot_ ^= 1;
    phase_ ^= slot_ == 0;
  }

  int32_t* next_tile_;
  uint32_t full_, empty_;
  volatile int64_t* taken_;
  int64_t at_;
  uint32_t slot_ = 0, phase_ = 0;
};

}  // namespace minimax::cuda
