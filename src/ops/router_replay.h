// RouterReplay: the experts that a batch's tokens went to, kept from one forward pass for later ones.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "core/context.h"
#include "ops/moe.h"

namespace minimax {

/// Set Context::router_replay, and every mixture that runs gives its choice of experts to it, or, once freeze() was
/// called, takes the choice of the same mixture and token from it: the weights of the experts still come from the live
/// router logits, so that the router learns. What a policy update needs of a batch that was sampled by older weights:
/// else tokens change experts between the two, and their ratios say more about that than about the policy. Belongs to
/// one batch: the same tokens, packed alike. Kept by the bytes of the router's weights, which must stay where they are.
class RouterReplay {
 public:
  /// From now on decisions are taken, not kept.
  void freeze() { use_ = Use::kTake; }
  bool frozen() const { return use_ == Use::kTake; }
  /// From now on routers decide by themselves, and are only compared with what was kept.
  void compare() { use_ = Use::kCompare; }
  /// While decisions are kept, the routers' entropy is measured too.
  void measure_entropy() { measures_entropy_ = true; }

  /// What ops::route gives, with the experts kept here when frozen. Throws kInvalidArgument when they were kept for
  /// another number of tokens.
  ops::Routing route(const Context& ctx, const Tensor& router_logits, const Tensor& router, int64_t top_k);

  /// Of the choices since freeze() or compare(), how many the live logits would have made otherwise (as sets), and all.
  int64_t flips() const;
  int64_t choices() const { return choices_; }
  int64_t bytes() const;
  /// Of each mixture, by its router: the experts that were kept, [tokens, top_k] int32 where the batch was computed.
  const std::unordered_map<const void*, Tensor>& chosen() const { return chosen_; }
  /// Likewise: sum over the tokens of the entropy, in nats, of the softmax over all experts.
  std::unordered_map<const void*, double> entropy() const;

 private:
  enum class Use : uint8_t { kKeep, kTake, kCompare };

  void count_flips(const Context& ctx, const Tensor& live, const Tensor& kept);
  void keep_entropy(const Context& ctx, const Tensor& router_logits, const Tensor& router);

  std::unordered_map<const void*, Tensor> chosen_;   // router -> [tokens, top_k] int32
  std::unordered_map<const void*, Tensor> entropy_;  // [1] float64, where the batch was computed
  Use use_ = Use::kKeep;
  bool measures_entropy_ = false;
  int64_t flips_ = 0, choices_ = 0;
  Tensor flips_there_;  // [1] int32: those that a GPU has counted
};

}  // namespace minimax
