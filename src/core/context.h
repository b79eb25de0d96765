// Context: what an op needs besides its tensors; passed by reference down the whole forward pass.
#pragma once

#include "core/arena.h"
#include "core/tensor.h"
#include "core/threads.h"

namespace minimax {

namespace cuda {
class Gpu;
}

/// In what precision the dense and expert products take their activations. Sums are float32 in both.
/// On a GPU, kBFloat16 is tensor cores: operands of products and attention are bfloat16, all tensors between ops
/// float32.
enum class MatmulPrecision : uint8_t {
  kFloat32,   ///< activations as they are: the exact path
  kBFloat16,  ///< activations rounded to bfloat16, for bf16 weights on CPUs with bf16 dot products; else as kFloat32
};

/// How the keys and values of softmax layers are kept on a CPU.
enum class KvPrecision : uint8_t {
  kFloat32,
  kInt8,  ///< codes of 8 bits, a scale for each head and token: a quarter of the memory
};

class InputObserver;
class Tape;
struct BalanceLoss;
class RouterReplay;

/// Not thread-safe: one Context for each thread that runs a forward pass.
struct Context {
  Device device = Device::kCpu;
  cuda::Gpu* gpu = nullptr;  ///< with Device::kCuda; `arena` is in its memory
  Arena* arena = nullptr;
  ThreadPool* threads = nullptr;
  MatmulPrecision matmul_precision = MatmulPrecision::kFloat32;
  KvPrecision kv_precision = KvPrecision::kFloat32;
  Tape* tape = nullptr;  ///< set in training: ops record their gradients (core/tape.h)
  /// With a tape: it keeps the layers' outputs alone, and the backward computes each layer's activations again.
  bool checkpoint_layers = false;
  RouterReplay* router_replay = nullptr;  ///< mixtures keep or take their choice of experts (ops/router_replay.h)
  BalanceLoss* balance = nullptr;         ///< with a tape: mixtures add their load-balancing loss (ops/balance.h)
  InputObserver* inputs = nullptr;        ///< products show their inputs (ops/input_observer.h)
  /// On a GPU: a token's bits do not depend on its company (docs/design.md, P2), as on the CPU always.
  bool deterministic = false;

  /// Uninitialised tensor on this context's device.
  Tensor empty(Shape shape, DType dtype = DType::kFloat32) const { return arena->empty(shape, dtype); }
};

}  // namespace minimax
