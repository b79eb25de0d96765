// LoRA: low-rank adapters over frozen matrices.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/tape.h"
#include "train/trainer.h"

namespace minimax::train {

/// Which matrices, and how.
struct LoraOptions {
  int64_t rank = 0;  ///< 0: no adapters
  double alpha = 16;
  bool attention = true;  ///< all projections of both kinds of attention
  bool experts = false;   ///< w1, w2, w3 of every routed expert
};

/// W' = W + alpha / rank * B A with A [rank, in], B [out, rank], and W frozen. A starts random (normal, 1 / sqrt(in)),
/// B zero. Over a dense W the model computes with W' itself, written anew after every step, so that training, sampling
/// and the merged checkpoint are the same bits, on every device and with every kernel; what adapters save is optimizer
/// state and checkpoints, not the gradients of the adapted matrices. Over a packed W (PackedWeights::kKeep) W stays as
/// it is and x A^T B^T is a product of its own (Weight::adapter): no gradient of the size of W, and no memory beside
/// it.
class LoraAdapters : public Reparametrization {
 public:
  /// Takes over `trainable`: its parameters are the adapters' from now on. `trainable` must outlive it.
  /// Throws kInvalidArgument when no matrix is chosen.
  LoraAdapters(const Context& ctx, TrainableModel& trainable, const LoraOptions& options, uint64_t seed);

  void project(const Context& ctx, Gradients& gradients) override;
  void apply(const Context& ctx) override;

  /// adapter_model.safetensors and adapter_config.json, named as Hugging Face's PEFT names them.
  void save(const Context& ctx, const std::filesystem::path& folder) const;
  /// Throws kNotFound, kInvalidArgument when the files are of other matrices or another rank.
  void load(const Context& ctx, const std::filesystem::path& folder);

 private:
  struct Adapted {
    std::string name;  // of the matrix
    Tensor weight;     // what the model computes with: W'; undefined: W is packed
    Tensor base;       // W, float32
    Tensor down, up;   // A and B, float32
  };
  void adapt_dense(const Context& ctx, const TrainableModel& trainable, uint64_t seed);
  void adapt_packed(TrainableModel& trainable, uint64_t seed);

  LoraOptions options_;
  std::vector<Adapted> adapted_;
};

/// How adapters meet packed matrices.
enum class PackedMerge : uint8_t {
  kBeside,  ///< as a product of their own, with the bits they were trained with on a CPU
  kDense,   ///< the matrix becomes float32
};

/// `model`, which lies on the host, with the adapters of a folder: each adapted dense matrix is replaced by a copy of
/// its own type. Throws kNotFound, and kInvalidArgument when the adapters do not fit the model.
void merge_adapters(const std::filesystem::path& folder, ThreadPool& threads, MiniMaxM1& model,
                    PackedMerge packed = PackedMerge::kBeside);

}  // namespace minimax::train
