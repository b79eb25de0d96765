// Loops that do nothing but what a ceiling is made of: multiply-adds from registers, and reads of memory.
#include "cpu/kernel_text/integers.h"
#include "cpu/kernel_text/texts.h"

namespace minimax::cpu::MM_ISA {
namespace {

/// Independent chains: enough for two units and the latency of any of these instructions, few enough for the registers.
#if defined(__AVX512F__)
constexpr int kChains = 24;
#else
constexpr int kChains = 12;
#endif

/// Something that depends on every chain, so that none of them is left out by the compiler.
template <int kCount>
float total(const F32 (&sums)[kCount]) {
  F32 all = sums[0];
  MM_UNROLL for (int i = 1; i < kCount; ++i) all += sums[i];
  return sum_of_lanes(all);
}

}  // namespace

float probe_fma(int64_t flops) {
  F32 sums[kChains];
  MM_UNROLL for (int chain = 0; chain < kChains; ++chain) sums[chain] = broadcast((float)chain);
  const F32 factor = broadcast(0.999f), term = broadcast(0.001f);  // every chain tends to 1: no slow denormals
  for (int64_t done = 0; done < flops; done += kChains * kLanes * 2)
    MM_UNROLL for (int chain = 0; chain < kChains; ++chain) sums[chain] = fma(sums[chain], factor, term);
  return total(sums);
}

#if defined(__AVX512BF16__)
float probe_bf16_dot(int64_t flops) {
  F32 sums[kChains];
  MM_UNROLL for (int chain = 0; chain < kChains; ++chain) sums[chain] = broadcast((float)chain);
  const BF16Pairs some = (BF16Pairs)_mm512_set1_epi16(0x3a83);  // 0.001
  for (int64_t done = 0; done < flops; done += kChains * kLanes * 4)
    MM_UNROLL for (int chain = 0; chain < kChains; ++chain) sums[chain] = dot_bf16(some, some, sums[chain]);
  return total(sums);
}
#endif

float probe_int8_dot(int64_t operations) {
  I32 sums[kChains];
  MM_UNROLL for (int chain = 0; chain < kChains; ++chain) sums[chain] = broadcast_int(chain);
  const Bytes weights = broadcast_byte(1);
  const int8_t values[4] = {1, -1, 1, -1};
  const Quad x = load_quad(values);
  for (int64_t done = 0; done < operations; done += kChains * kLanes * 8) {
    MM_UNROLL for (int chain = 0; chain < kChains; ++chain) sums[chain] = dot(sums[chain], weights, x);
    asm volatile("" ::: "memory");
  }
  F32 floats[kChains];
  MM_UNROLL for (int chain = 0; chain < kChains; ++chain) floats[chain] = to_floats(sums[chain]);
  return total(floats);
}

float probe_read(const float* from, int64_t count) {
  // Four streams, each prefetched 1 KiB ahead: the fastest of 1, 4, 8 streams and 0.5 to 8 KiB on Zen 5, with huge
  // pages and without (a plain loop loses 10% on 4 KiB pages, where the hardware's own prefetch stops).
  constexpr int kStreams = 4, kVectors = 32 / kLanes;  // 128 bytes of each stream in turn
  constexpr int64_t kAhead = 256;
  const int64_t length = count / kStreams;
  F32 sums[kStreams * kVectors] = {};
  for (int64_t i = 0; i < length; i += kVectors * kLanes)
    for (int stream = 0; stream < kStreams; ++stream) {
      const float* line = from + stream * length + i;
      __builtin_prefetch(line + kAhead);
      __builtin_prefetch(line + kAhead + 16);
      for (int v = 0; v < kVectors; ++v) sums[stream * kVectors + v] += load(line + v * kLanes);
    }
  return total(sums);
}

}  // namespace minimax::cpu::MM_ISA
