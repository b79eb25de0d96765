#include "engine/sampling/device_sampler.h"

#include <algorithm>

#include "cpu/logits.h"
#include "cuda/gpu.h"

namespace minimax::engine {
namespace {

constexpr size_t kMaxSets = 256;
/// Rows of weights that are kept at a time: 51 MB of the published vocabulary.
constexpr int64_t kRowsAtOnce = 64;

/// Copies `values` to `there`, which becomes larger when it must.
template <typename T>
const T* put(cuda::Gpu& gpu, Tensor& there, std::span<const T> values) {
  if (values.empty()) return nullptr;
  const auto bytes = static_cast<int64_t>(values.size_bytes());
  if (!there.defined() || there.bytes() < bytes) there = Tensor::empty({2 * bytes}, DType::kUInt8, &gpu);
  gpu.copy(there.raw(), values.data(), bytes);
  return static_cast<const T*>(there.raw());
}

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

const uint32_t* DeviceSampler::masks() {
  if (masks_.empty()) return nullptr;
  if (!masks_there_.defined()) put(*ctx_.gpu, masks_there_, std::span<const uint32_t>(masks_));
  return static_cast<const uint32_t*>(masks_there_.raw());
}

void DeviceSampler::make_room(size_t count) {
  const auto bytes = static_cast<int64_t>(count * sizeof(cuda::Choice));
  if (!chosen_there_.defined() || chosen_there_.bytes() < bytes)
    chosen_there_ = Tensor::empty({2 * bytes}, DType::kUInt8, ctx_.gpu);
}

std::span<const cuda::Choice> DeviceSampler::fetch(size_t count) {
  chosen_.resize(count);
  ctx_.gpu->copy(chosen_.data(), chosen_there_.raw(), static_cast<int64_t>(count * sizeof(cuda::Choice)));
  return chosen_;
}

std::span<const cuda::Choice> DeviceSampler::choose(const Tensor& logits, std::span<const cuda::ChoiceRow> wanted) {
  cuda::Gpu& gpu = *ctx_.gpu;
  const auto rows = static_cast<int64_t>(wanted.size());
  MM_CHECK_SHAPE(logits, logits.dim(0), vocab_);
  make_room(wanted.size());
  gpu.check(gpu.op().choose({.logits = static_cast<const float*>(logits.raw()),
                             .wanted = put(gpu, wanted_there_, wanted),
                             .banned = masks(),
                             .chosen = static_cast<cuda::Choice*>(chosen_there_.raw()),
                             .rows = rows,
                             .vocab = vocab_},
                            gpu.stream()));
  return fetch(wanted.size());
}

std::span<const cuda::Choice> DeviceSampler::sample(const Tensor& logits, std::span<const cuda::SampleRow> wanted,
                                                    std::span<const cuda::LogitEdit> edits,
                                                    std::span<const uint64_t> allowed) {
  cuda::Gpu& gpu = *ctx_.gpu;
  const auto rows = static_cast<int64_t>(wanted.size());
  MM_CHECK_SHAPE(logits, logits.dim(0), vocab_);
  make_room(wanted.size());
  const int64_t at_once = std::min(rows, kRowsAtOnce);
  if (!weights_there_.defined() || weights_there_.dim(0) < at_once)
    weights_there_ = Tensor::empty({at_once, vocab_}, DType::kFloat32, &gpu);
  const cuda::SampleRow* rows_there = put(gpu, wanted_there_, wanted);
  cuda::SampleArgs args{.logits = static_cast<const float*>(logits.raw()),
                        .edits = put(gpu, edits_there_, edits),
                        .banned = masks(),
                        .allowed = put(gpu, allowed_there_, allowed),
                        .weights = static_cast<float*>(weights_there_.raw()),
                        .vocab = vocab_,
                        .quantum = static_cast<float>(cpu::weight_quantum(vocab_))};
  for (int64_t first = 0; first < rows; first += kRowsAtOnce) {
    args.wanted = rows_there + first;
    args.chosen = static_cast<cuda::Choice*>(chosen_there_.raw()) + first;
    args.rows = std::min(kRowsAtOnce, rows - first);
    gpu.check(gpu.op().sample(args, gpu.stream()));
  }
  return fetch(wanted.size());
}

}  // namespace minimax::engine
