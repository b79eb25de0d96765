// Softmax attention of one layer of MiniMax-M1: prefill against the float32 peak, decode against the read bandwidth.
#include "cpu/attention.h"

#include "core/chunk.h"
#include "cpu/bench.h"

namespace minimax::cpu {
namespace {

using bench::Ceiling;

constexpr int64_t kHeads = 64, kKvHeads = 8, kHeadDim = 128;
constexpr int64_t kScaleRows = 4;  // of a page of codes

/// One sequence of `tokens` new tokens after `past` earlier ones.
/// coded: keys and values of 8 bits.
void run(const bench::Options& options, Context& ctx, const std::string& name, int64_t tokens, int64_t past, bool coded,
         Ceiling ceiling, double work) {
  if (name.find(options.only) == std::string::npos) return;
  const int64_t pages = (past + tokens - 1) / kChunk + 1;
  const Tensor q = bench::random(*ctx.threads, {tokens, kHeads * kHeadDim}, DType::kFloat32);
  // Numbers in (-1, 1); taken as codes and scales they are as good as any.
  const auto page_tensor = [&](int64_t rows, int64_t columns) {
    if (!coded) return bench::random(*ctx.threads, {pages, kKvHeads, rows, columns}, DType::kFloat32);
    (rows == kChunk ? columns : rows) += kScaleRows;
    const Tensor numbers = bench::random(*ctx.threads, {pages, kKvHeads, rows, columns / 4}, DType::kFloat32);
    return Tensor(std::make_shared<Tensor>(numbers), const_cast<void*>(numbers.raw()), {pages, kKvHeads, rows, columns},
                  DType::kUInt8);
  };
  const Tensor k = page_tensor(kHeadDim, kChunk), v = page_tensor(kChunk, kHeadDim);
  const Tensor out = bench::random(*ctx.threads, {tokens, kHeads * kHeadDim}, DType::kFloat32);
  std::vector<int32_t> positions, table, starts{0, static_cast<int32_t>(tokens)};
  for (int64_t token = 0; token < tokens; ++token) positions.push_back(static_cast<int32_t>(past + token));
  for (int64_t page = 0; page < pages; ++page) table.push_back(static_cast<int32_t>(page));
  const Tensor at = Tensor::from<int32_t>(positions, {tokens}), cu = Tensor::from<int32_t>(starts, {2}),
               page_table = Tensor::from<int32_t>(table, {1, pages});
  bench::measure(options, *ctx.threads, {.name = name, .ceiling = ceiling, .work = work, .run = [&] {
                                           attention(ctx, q, at, cu, page_table, k, v, out);
                                         }});
}

void bench_all(const bench::Options& options, int thread_count) {
  ThreadPool threads(thread_count);
  Arena arena;
  Context ctx{.arena = &arena, .threads = &threads};
  // Scores and values: 2 head_dim operations each for every key a row sees.
  for (const auto& [tokens, past] : {std::pair<int64_t, int64_t>{512, 0}, {512, 4096}}) {
    const double keys = static_cast<double>(past) + static_cast<double>(tokens + 1) / 2;
    for (const bool coded : {false, true})
      run(options, ctx, cat("prefill ", tokens, " after ", past, coded ? ", int8" : ""), tokens, past, coded,
          Ceiling::kFma, 4.0 * kHeadDim * kHeads * static_cast<double>(tokens) * keys);
  }
  // k and v of every position, read once.
  for (int64_t past : {4095, 32767})
    for (const bool coded : {false, true})
      run(options, ctx, cat("decode after ", past, coded ? ", int8" : ""), 1, past, coded, Ceiling::kRead,
          static_cast<double>((past + 1) * kKvHeads * 2 * (coded ? kHeadDim + 4 : kHeadDim * 4)));
}

}  // namespace
}  // namespace minimax::cpu

int main(int argc, char** argv) {
  const auto options = minimax::cpu::bench::parse(argc, argv);
  minimax::cpu::bench::print_header("attention_bench");
  for (int threads : options.threads) minimax::cpu::bench_all(options, threads);
}
