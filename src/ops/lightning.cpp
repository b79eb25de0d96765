#include "ops/lightning.h"

#include <cmath>
#include <numeric>
#include <vector>

#include "core/tape.h"
#include "cpu/lightning.h"
#include "cuda/sequence_ops.h"
#include "ops/batch_checks.h"

namespace minimax::ops {
namespace {

/// ALiBi slopes for a power of two: start, start^2, ... with start = 2^(-8/heads).
std::vector<double> power_of_two_slopes(int64_t heads) {
  const double start = std::exp2(-std::exp2(-(std::log2(static_cast<double>(heads)) - 3)));
  std::vector<double> slopes;
  for (int64_t head = 0; head < heads; ++head) slopes.push_back(start * std::pow(start, static_cast<double>(head)));
  return slopes;
}

std::vector<double> alibi_slopes(int64_t heads) {
  int64_t below = 1;
  while (2 * below <= heads) below *= 2;
  std::vector<double> slopes = power_of_two_slopes(below);
  const std::vector<double> doubled = power_of_two_slopes(2 * below);
  for (int64_t extra = 0; extra < heads - below; ++extra) slopes.push_back(doubled[2 * extra]);
  return slopes;
}

/// lightning_attention on a GPU, the arguments checked.
Tensor attend_on_gpu(const Context& ctx, const Tensor& qkv, const Tensor& decay, const Batch& given,
                     const LightningSlots* cache, int64_t head_dim) {
  const Batch batch = place(ctx, given);
  const Tensor &positions = batch.there().positions, &cu_seqlens = batch.there().cu_seqlens;
  const LightningSlots slots = cache ? *cache : LightningSlots();
  if (cache) {
    const int64_t count = slots.state.dim(0), heads = decay.dim(0);
    MM_CHECK_SHAPE(slots.state, count, heads, head_dim, head_dim);
    MM_CHECK_SHAPE(slots.k_window, count, heads, kChunk, head_dim);
    MM_CHECK_SHAPE(slots.v_window, count, heads, kChunk, head_dim);
  }
  Tensor out = ctx.empty({qkv.dim(0), decay.dim(0) * head_dim});
  const Tensor decay_there = to_memory(decay, ctx.gpu);
  cuda::lightning(ctx, qkv, decay_there, positions, cu_seqlens, cache ? batch.there().slots : Tensor(), slots.state,
                  slots.k_window, slots.v_window, out);
  if (ctx.tape)
    ctx.tape->record([=](Context& ctx, Gradients& d) {
      const Tensor dout = d.take(out);
      if (!dout.defined()) return;
      const Tensor dqkv = ctx.empty(qkv.shape());
      cuda::lightning_backward(ctx, qkv, decay_there, batch.there().cu_seqlens, batch.cu_seqlens, dout, dqkv);
      d.add(qkv, dqkv);
    });
  return out;
}

}  // namespace

Tensor lightning_slopes(int64_t heads, double layer_factor) {
  MM_CHECK(heads >= 1, "lightning_slopes: ", heads, " heads");
  Tensor out = Tensor::empty({heads}, DType::kFloat32);
  const std::vector<double> slopes = alibi_slopes(heads);
  for (int64_t head = 0; head < heads; ++head)
    out.data<float>()[head] = static_cast<float>(slopes[head]) * static_cast<float>(layer_factor);
  return out;
}

Tensor lightning_decay(const Tensor& slopes) {
  MM_CHECK(slopes.dtype() == DType::kFloat32 && slopes.rank() == 1, "lightning_decay: slopes are ", slopes.dtype(), " ",
           slopes.shape(), ", expected F32 [heads]");
  const int64_t heads = slopes.dim(0);
  Tensor out = Tensor::empty({heads, kChunk + 2}, DType::kFloat32);
  for (int64_t head = 0; head < heads; ++head) {
    const double slope = static_cast<double>(slopes.data<float>()[head]);
    float* powers = out.data<float>() + head * (kChunk + 2);
    for (int64_t power = 0; power <= kChunk; ++power)
      powers[power] = static_cast<float>(std::exp(-slope * static_cast<double>(power)));
    const double chunk = std::exp(-slope * static_cast<double>(kChunk));
    powers[kChunk + 1] = static_cast<float>(chunk - static_cast<double>(powers[kChunk]));
  }
  return out;
}

Tensor lightning_attention(const Context& ctx, const Tensor& qkv, const Tensor& decay, const Batch& batch,
                           LightningSlots* cache) {
  MM_CHECK_DTYPE(qkv, DType::kFloat32);
  MM_CHECK(decay.dtype() == DType::kFloat32 && decay.rank() == 2 && decay.dim(0) >= 1 && decay.dim(1) == kChunk + 2,
           "lightning_attention: decay is ", decay.dtype(), " ", decay.shape(), ", expected F32 [heads, ", kChunk + 2,
           "]");
  const int64_t heads = decay.dim(0);
  MM_CHECK(qkv.rank() == 2 && qkv.dim(0) == batch.token_count() && qkv.dim(1) % (3 * heads) == 0,
           "lightning_attention: qkv ", qkv.shape(), " for ", batch.token_count(), " tokens and ", heads, " heads");
  check_sequences(batch, cache != nullptr);
  const int64_t head_dim = qkv.dim(1) / (3 * heads);

  MM_CHECK(!ctx.tape || !cache, "lightning_attention: a tape and a cache, expected one of them");
  if (cache) check_slots(batch, cache->state.dim(0));
  if (ctx.device == Device::kCuda) return attend_on_gpu(ctx, qkv, decay, batch, cache, head_dim);

  LightningSlots slots;
  Tensor slot_of = batch.slots;
  if (cache) {
    slots = *cache;
  } else {
    const int64_t seqs = batch.seqs();
    slots = {ctx.empty({seqs, heads, head_dim, head_dim}), ctx.empty({seqs, heads, head_dim, kChunk}),
             ctx.empty({seqs, heads, kChunk, head_dim})};
    slot_of = ctx.empty({seqs}, DType::kInt32);
    std::iota(slot_of.data<int32_t>(), slot_of.data<int32_t>() + seqs, 0);
  }
  const int64_t slot_count = slots.state.dim(0);
  MM_CHECK_SHAPE(slots.state, slot_count, heads, head_dim, head_dim);
  MM_CHECK_SHAPE(slots.k_window, slot_count, heads, head_dim, kChunk);
  MM_CHECK_SHAPE(slots.v_window, slot_count, heads, kChunk, head_dim);

  Tensor out = ctx.empty({qkv.dim(0), heads * head_dim});
  cpu::lightning(ctx, qkv, decay, batch.positions, batch.cu_seqlens, slot_of, slots.state, slots.k_window,
                 slots.v_window, out);
  if (ctx.tape)
    ctx.tape->record([=, cu_seqlens = batch.cu_seqlens](Context& ctx, Gradients& d) {
      const Tensor dout = d.take(out);
      if (!dout.defined()) return;
      const Tensor dqkv = ctx.empty(qkv.shape());
      cpu::lightning_backward(ctx, qkv, decay, cu_seqlens, dout, dqkv);
      d.add(qkv, dqkv);
    });
  return out;
}

}  // namespace minimax::ops
