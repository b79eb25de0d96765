// DeviceSampler: chooses tokens where the logits lie, so that a step of hundreds of sequences copies bytes, not logits.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "core/context.h"
#include "cuda/op_kernels.h"

namespace minimax::engine {

/// On a GPU. The same random number chooses the same id as in Sampler by sample(), and by choose(), which is quicker
/// and knows a temperature and banned ids alone, up to the rounding of the probabilities. The log-prob is the
/// trainer's, to the bit, where the logits are. Not thread-safe.
class DeviceSampler {
 public:
  /// What `ctx` points to must outlive the sampler.
  DeviceSampler(const Context& ctx, int64_t vocab);

  /// A name for a set of ids that are never chosen, for cuda::ChoiceRow::banned: the same set, the same name. kNoRoom
  /// when there are too many sets already.
  static constexpr int32_t kNoRoom = -2;
  int32_t ban(std::span<const int32_t> ids);

  /// logits: [any, vocab] on the device. One choice for each of `wanted`, in its order; waits for the device.
  std::span<const cuda::Choice> choose(const Tensor& logits, std::span<const cuda::ChoiceRow> wanted);
  /// The same with all that Sampler knows. edits, allowed: what the rows name, the latter (vocab + 63) / 64 words a
  /// mask.
  std::span<const cuda::Choice> sample(const Tensor& logits, std::span<const cuda::SampleRow> wanted,
                                       std::span<const cuda::LogitEdit> edits, std::span<const uint64_t> allowed);

 private:
  const uint32_t* masks();
  void make_room(size_t count);
  std::span<const cuda::Choice> fetch(size_t count);

  Context ctx_;
  int64_t vocab_;
  std::map<std::vector<uint32_t>, int32_t> sets_;
  std::vector<uint32_t> masks_;  // of all sets, one after the other
  Tensor masks_there_;           // empty when a set came since
  Tensor wanted_there_, chosen_there_, edits_there_, allowed_there_, weights_there_;
  std::vector<cuda::Choice> chosen_;
};

}  // namespace minimax::engine
