// Lightning attention of one layer of MiniMax-M1: prefill against the float32 peak, decode against the read bandwidth.
#include "cpu/lightning.h"

#include <cmath>

#include "core/chunk.h"
#include "cpu/bench.h"

namespace minimax::cpu {
namespace {

using bench::Ceiling;

constexpr int64_t kHeads = 64, kHeadDim = 128;

/// decay: [heads, kChunk + 2] as ops::lightning_decay lays it out, for slopes 2^(-8 (h + 1) / heads).
Tensor decay_table() {
  const Tensor decay = Tensor::empty({kHeads, kChunk + 2}, DType::kFloat32);
  for (int64_t head = 0; head < kHeads; ++head) {
    const double slope = std::exp2(-8.0 * static_cast<double>(head + 1) / kHeads);
    float* row = decay.data<float>() + head * (kChunk + 2);
    for (int64_t i = 0; i <= kChunk; ++i) row[i] = static_cast<float>(std::exp(-slope * static_cast<double>(i)));
    row[kChunk + 1] = static_cast<float>(std::exp(-slope * kChunk) - static_cast<double>(row[kChunk]));
  }
  return decay;
}

/// `seqs` sequences of `tokens` new tokens each, the first at `position`.
void run(const bench::Options& options, Context& ctx, const std::string& name, int64_t seqs, int64_t tokens,
         int64_t position, Ceiling ceiling, double work) {
  if (name.find(options.only) == std::string::npos) return;
  const Tensor qkv = bench::random(*ctx.threads, {seqs * tokens, kHeads * 3 * kHeadDim}, DType::kFloat32);
  const Tensor state = bench::random(*ctx.threads, {seqs, kHeads, kHeadDim, kHeadDim}, DType::kFloat32);
  const Tensor k_window = bench::random(*ctx.threads, {seqs, kHeads, kHeadDim, kChunk}, DType::kFloat32);
  const Tensor v_window = bench::random(*ctx.threads, {seqs, kHeads, kChunk, kHeadDim}, DType::kFloat32);
  const Tensor out = bench::random(*ctx.threads, {seqs * tokens, kHeads * kHeadDim}, DType::kFloat32);
  const Tensor decay = decay_table();
  std::vector<int32_t> positions, starts{0}, slots;
  for (int64_t seq = 0; seq < seqs; ++seq) {
    for (int64_t token = 0; token < tokens; ++token) positions.push_back(static_cast<int32_t>(position + token));
    starts.push_back(static_cast<int32_t>(positions.size()));
    slots.push_back(static_cast<int32_t>(seq));
  }
  const Tensor at = Tensor::from<int32_t>(positions, {seqs * tokens}), cu = Tensor::from<int32_t>(starts, {seqs + 1}),
               slot = Tensor::from<int32_t>(slots, {seqs});
  bench::measure(options, *ctx.threads, {.name = name, .ceiling = ceiling, .work = work, .run = [&] {
                                           lightning(ctx, qkv, decay, at, cu, slot, state, k_window, v_window, out);
                                         }});
}

void bench_all(const bench::Options& options, int thread_count) {
  ThreadPool threads(thread_count);
  Arena arena;
  Context ctx{.arena = &arena, .threads = &threads};
  // For each token and head: q S and its part of k^T v, 2 head_dim^2 each; scores and values of the keys of its chunk
  // up to its own, (kChunk + 1) / 2 on average, 2 head_dim each.
  const double flops = kHeads * (4.0 * kHeadDim * kHeadDim + 4.0 * kHeadDim * (kChunk + 1) / 2);
  for (int64_t tokens : {64, 512})
    run(options, ctx, cat("prefill ", tokens), 1, tokens, 0, Ceiling::kFma, flops * static_cast<double>(tokens));
  // The state, and the lines of the window that a row at `place` reads: k in pieces of 64 bytes, v in whole rows.
  constexpr int64_t kSeqs = 64;  // 256 MiB of states: more than the caches hold, as those of 80 layers are
  for (int64_t place : {0, 31, 62}) {
    const int64_t k_bytes = kHeadDim * (place / 16 + 1) * 64, v_bytes = (place + 1) * kHeadDim * 4;
    run(options, ctx, cat("decode, ", kSeqs, " sequences at place ", place, " of their chunk"), kSeqs, 1,
        kChunk * 100 + place, Ceiling::kRead,
        static_cast<double>(kSeqs * kHeads * (kHeadDim * kHeadDim * 4 + k_bytes + v_bytes)));
  }
}

}  // namespace
}  // namespace minimax::cpu

int main(int argc, char** argv) {
  const auto options = minimax::cpu::bench::parse(argc, argv);
  minimax::cpu::bench::print_header("lightning_bench");
  for (int threads : options.threads) minimax::cpu::bench_all(options, threads);
}
