// Plan: which part of a model would lie where, what a token of an answer reads there, and how long that takes. Counted
// from config and recipe alone: no weights are needed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "model/config.h"
#include "quant/recipe.h"

namespace minimax::engine {

/// From fast to slow.
enum class Tier : uint8_t { kGpu, kRam, kDisk };
inline constexpr std::array kTiers = {Tier::kGpu, Tier::kRam, Tier::kDisk};
/// "gpu", "ram", "disk".
std::string_view name(Tier tier);

template <typename T>
struct PerTier {
  std::array<T, 3> of{};
  T& operator[](Tier tier) { return of[static_cast<size_t>(tier)]; }
  const T& operator[](Tier tier) const { return of[static_cast<size_t>(tier)]; }
};

/// Bytes that lie in one tier, and bytes that one token reads from it.
struct TierPlan {
  int64_t dense_bytes = 0;      ///< attention, norms, routers, shared experts, head
  int64_t embedding_bytes = 0;  ///< of which a token reads a row
  int64_t expert_bytes = 0;
  int64_t experts = 0;         ///< whole ones
  int64_t sequence_bytes = 0;  ///< keys, values and lightning states
  /// Weights that one token reads. Of the experts what it reads on average when the router chooses all alike.
  double weight_bytes_per_token = 0;

  int64_t weight_bytes() const { return dense_bytes + embedding_bytes + expert_bytes; }
  int64_t bytes() const { return weight_bytes() + sequence_bytes; }
};

struct Plan {
  int64_t context_tokens = 0;
  int64_t weight_bytes = 0;
  int64_t kv_bytes = 0;     ///< keys and values of one sequence of context_tokens
  int64_t state_bytes = 0;  ///< its lightning states, with the chunk's window
  PerTier<TierPlan> tiers;
  Tier sequence_tier = Tier::kRam;
  double state_bytes_per_token_empty = 0;  ///< states that the first token of an answer reads
  double state_bytes_per_token_full = 0;   ///< and the last one of context_tokens: keys and values too
  int64_t missing_disk_bytes = 0;          ///< what the disk lacks: it holds the files of all weights
  int64_t missing_memory_bytes = 0;        ///< what RAM lacks: a sequence never lies on a disk

  bool fits() const { return missing_disk_bytes == 0 && missing_memory_bytes == 0; }
  /// Nothing that a token needs is read from the disk.
  bool fits_in_memory() const { return fits() && tiers[Tier::kDisk].bytes() == 0; }
};

/// Where things go, in this order, each to the fastest tier with room: the sequence (never to the disk), attention and
/// all else that every token reads, in the order of layers, experts in the order of layers, and the embedding.
/// `memory`: bytes of each tier that may be used; a twentieth of GPU and RAM is left to everything else, as `quantize
/// --fit` does. `dtype`: of weights that the recipe keeps. Throws kInvalidArgument when a number is negative and when a
/// rule of the recipe fits no matrix.
Plan plan_model(const ModelConfig& config, const quant::Recipe& recipe, DType dtype, const PerTier<int64_t>& memory,
                int64_t context_tokens);

/// Seconds of one token when the tiers are read one after the other, at these bytes a second. Nothing when a tier is
/// read whose speed is not known, and when the plan does not fit. `full`: after context_tokens, else after none.
std::optional<double> seconds_per_token(const Plan& plan, const PerTier<std::optional<double>>& bytes_per_second,
                                        bool full);

}  // namespace minimax::engine
