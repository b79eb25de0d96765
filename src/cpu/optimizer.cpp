#include "cpu/optimizer.h"

#include <algorithm>
#include <vector>

#include "cpu/isa.h"

namespace minimax::cpu {
namespace {

constexpr int64_t kPiece = 16 * 1024;

}  // namespace

void adamw(const Context& ctx, const AdamWArgs& whole, bfloat16* working) {
  const Kernels& k = kernels();
  ctx.threads->parallel_for(whole.count, kPiece, [&](int64_t begin, int64_t end) {
    AdamWArgs args = whole;
    if (args.gradient) args.gradient += begin;
    args.m += begin;
    args.v += begin;
    args.master += begin;
    args.count = end - begin;
    k.adamw(args);
    if (working) k.round_bf16(args.master, args.count, reinterpret_cast<uint16_t*>(working) + begin);
  });
}

double sum_of_squares(const Context& ctx, const float* x, int64_t count) {
  const Kernels& k = kernels();
  std::vector<double> parts(static_cast<size_t>((count + kPiece - 1) / kPiece));
  ctx.threads->parallel_for(count, kPiece, [&](int64_t begin, int64_t end) {
    // A caller's piece may be several of ours (one thread): the partial sums keep their grid.
    for (int64_t first = begin; first < end; first += kPiece)
      parts[static_cast<size_t>(first / kPiece)] = k.sum_of_squares(x + first, std::min(kPiece, end - first));
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

}  // namespace minimax::cpu
