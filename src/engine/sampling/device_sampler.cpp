#include "engine/sampling/device_sampler.h"

#include <algorithm>

#include "cuda/gpu.h"

namespace minimax::engine {
namespace {

constexpr size_t kMaxSets = 256;

}  // namespace

DeviceSampler::DeviceSampler(const Context& ctx, int64_t vocab) : ctx_(ctx), vocab_(vocab) {
  MM_CHECK_KIND(kInternal, ctx.device == Device::kCuda, "a device sampler needs a GPU");
}

int32_t DeviceSampler::ban(std::span<const int32_t> ids) {
  std::vector<uint32_t> mask(static_cast<size_t>((vocab_ + 31) / 32));
  for (const int32_t id : ids) {
    MM_CHECK(id >= 0 && id < vocab_, "banned id ", id, ", expected 0 to ", vocab_ - 1);
    mask[static_cast<size_t>(id / 32)] |= uint32_t{1} << (id % 32);
  }
  if (const auto found = sets_.find(mask); found != sets_.end()) return found->second;
  if (sets_.size() >= kMaxSets) return kNoRoom;
  masks_.insert(masks_.end(), mask.begin(), mask.end());
  masks_there_ = {};
  const auto name = static_cast<int32_t>(sets_.size());
  sets_.emplace(std::move(mask), name);
  return name;
}

std::span<const cuda::Choice> DeviceSampler::choose(const Tensor& logits, std::span<const cuda::ChoiceRow> wanted) {
  cuda::Gpu& gpu = *ctx_.gpu;
  const auto rows = static_cast<int64_t>(wanted.size());
  MM_CHECK_SHAPE(logits, logits.dim(0), vocab_);
  if (!masks_there_.defined() && !masks_.empty()) {
    const auto count = static_cast<int64_t>(masks_.size());
    masks_there_ = Tensor::empty({count}, DType::kInt32, &gpu);
    gpu.copy(masks_there_.raw(), masks_.data(), masks_there_.bytes());
  }
  if (!wanted_there_.defined() || wanted_there_.bytes() < static_cast<int64_t>(wanted.size_bytes())) {
    const int64_t room = std::max<int64_t>(2 * rows, 64);
    wanted_there_ = Tensor::empty({room, static_cast<int64_t>(sizeof(cuda::ChoiceRow)) / 4}, DType::kInt32, &gpu);
    chosen_there_ = Tensor::empty({room, static_cast<int64_t>(sizeof(cuda::Choice)) / 4}, DType::kInt32, &gpu);
  }
  gpu.copy(wanted_there_.raw(), wanted.data(), static_cast<int64_t>(wanted.size_bytes()));
  auto* chosen = static_cast<cuda::Choice*>(chosen_there_.raw());
  gpu.check(gpu.op().choose({.logits = static_cast<const float*>(logits.raw()),
                             .wanted = static_cast<const cuda::ChoiceRow*>(wanted_there_.raw()),
                             .banned = masks_.empty() ? nullptr : static_cast<const uint32_t*>(masks_there_.raw()),
                             .chosen = chosen,
                             .rows = rows,
                             .vocab = vocab_},
                            gpu.stream()));
  chosen_.resize(wanted.size());
  gpu.copy(chosen_.data(), chosen, static_cast<int64_t>(wanted.size() * sizeof(cuda::Choice)));
  return chosen_;
}

}  // namespace minimax::engine
