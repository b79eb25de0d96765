#include "engine/plan.h"

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "engine/state/state_cache.h"
#include "model/cost.h"
#include "model/quantize_checkpoint.h"
#include "model/tensor_names.h"

namespace minimax::engine {
namespace {

void check_rules(const quant::Recipe& recipe, const std::vector<ExpectedTensor>& tensors) {
  std::vector<std::pair<std::string, quant::Role>> matrices;
  for (const ExpectedTensor& tensor : tensors)
    if (const auto role = role_of(tensor)) matrices.emplace_back(tensor.name, *role);
  const std::vector<std::string> idle = recipe.idle_rules(matrices);
  MM_CHECK(idle.empty(), "\"", idle.front(), "\" fits no matrix of this model");
}

// Gives room away, the fastest tier first. The disk takes what is left: whether it has room for the files of all
// weights is another question.
class Room {
 public:
  explicit Room(const PerTier<int64_t>& memory) {
    for (const Tier tier : {Tier::kGpu, Tier::kRam}) free_[tier] = memory[tier] - memory[tier] / 20;
  }

  Tier take(int64_t bytes) {
    for (const Tier tier : {Tier::kGpu, Tier::kRam})
      if (bytes <= free_[tier]) {
        free_[tier] -= bytes;
        return tier;
      }
    return Tier::kDisk;
  }
  int64_t free(Tier tier) const { return free_[tier]; }

 private:
  PerTier<int64_t> free_;
};

}  // namespace

std::string_view name(Tier tier) {
  constexpr std::array<std::string_view, 3> kNames = {"gpu", "ram", "disk"};
  return kNames[static_cast<size_t>(tier)];
}

Plan plan_model(const ModelConfig& config, const quant::Recipe& recipe, DType dtype, const PerTier<int64_t>& memory,
                int64_t context_tokens) {
  for (const Tier tier : kTiers)
    MM_CHECK(memory[tier] >= 0, "a plan for ", memory[tier], " bytes of ", name(tier), ", expected none or more");
  MM_CHECK(context_tokens >= 0, "a plan for ", context_tokens, " tokens, expected none or more");
  const std::vector<ExpectedTensor> tensors = expected_tensors(config);
  check_rules(recipe, tensors);

  Plan plan{.context_tokens = context_tokens};
  plan.kv_bytes = StateCache::pages_for(context_tokens) * kChunk * StateCache::kv_bytes_per_token(config);
  plan.state_bytes = StateCache::state_bytes_per_sequence(config);
  plan.state_bytes_per_token_empty = static_cast<double>(decode_cost(config, dtype, 0).state_bytes);
  plan.state_bytes_per_token_full = static_cast<double>(decode_cost(config, dtype, context_tokens).state_bytes);

  Room room(memory);
  const int64_t sequence_bytes = plan.kv_bytes + plan.state_bytes;
  plan.sequence_tier = room.take(sequence_bytes);
  if (plan.sequence_tier == Tier::kDisk) {
    plan.missing_memory_bytes = sequence_bytes - room.free(Tier::kRam);
    plan.sequence_tier = Tier::kRam;
  }
  plan.tiers[plan.sequence_tier].sequence_bytes = sequence_bytes;

  for (const ExpectedTensor& tensor : tensors) {
    const int64_t bytes = stored_size(tensor, recipe, dtype).bytes;
    plan.weight_bytes += bytes;
    const bool looked_up = tensor.name == kEmbeddingName && !config.tied_embeddings;
    if (tensor.expert >= 0 || looked_up) continue;
    TierPlan& tier = plan.tiers[room.take(bytes)];
    tier.dense_bytes += bytes;
    tier.weight_bytes_per_token += static_cast<double>(bytes);
  }
  // The three matrices of an expert lie together: they are read together or not at all.
  std::vector<int64_t> expert_bytes(static_cast<size_t>(config.layers * config.experts));
  for (const ExpectedTensor& tensor : tensors)
    if (tensor.expert >= 0)
      expert_bytes[static_cast<size_t>(tensor.layer * config.experts + tensor.expert)] +=
          stored_size(tensor, recipe, dtype).bytes;
  for (const int64_t bytes : expert_bytes) {
    TierPlan& tier = plan.tiers[room.take(bytes)];
    tier.experts += 1;
    tier.expert_bytes += bytes;
    tier.weight_bytes_per_token +=
        static_cast<double>(bytes) * static_cast<double>(config.top_k) / static_cast<double>(config.experts);
  }
  if (!config.tied_embeddings) {
    const auto embedding = std::find_if(tensors.begin(), tensors.end(),
                                        [](const ExpectedTensor& tensor) { return tensor.name == kEmbeddingName; });
    const int64_t bytes = stored_size(*embedding, recipe, dtype).bytes;
    TierPlan& tier = plan.tiers[room.take(bytes)];
    tier.embedding_bytes += bytes;
    tier.weight_bytes_per_token += static_cast<double>(bytes) / static_cast<double>(config.vocab);
  }
  plan.missing_disk_bytes = std::max<int64_t>(0, plan.weight_bytes - memory[Tier::kDisk]);
  return plan;
}

std::optional<double> seconds_per_token(const Plan& plan, const PerTier<std::optional<double>>& bytes_per_second,
                                        bool full) {
  if (!plan.fits()) return std::nullopt;
  double seconds = 0;
  for (const Tier tier : kTiers) {
    double bytes = plan.tiers[tier].weight_bytes_per_token;
    if (tier == plan.sequence_tier) bytes += full ? plan.state_bytes_per_token_full : plan.state_bytes_per_token_empty;
    if (bytes == 0) continue;
    if (!bytes_per_second[tier]) return std::nullopt;
    seconds += bytes / *bytes_per_second[tier];
  }
  return seconds;
}

}  // namespace minimax::engine
