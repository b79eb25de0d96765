#include "engine/step_graph.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "cuda/gpu.h"
#include "ops/embedding.h"

namespace minimax::engine {
namespace {

constexpr int64_t kMaxSeqs = 4096;
// Up to here every number has a graph: kernels for few rows take no more rows than there are.
constexpr int64_t kExactSeqs = cuda::kFewRows;
constexpr int64_t kLeastStep = 8;
constexpr int64_t kMinPages = 16;

}  // namespace

/// A graph, and what it reads and writes at fixed addresses. The arena is its own: a block that the graph uses between
/// two launches must not be anybody's.
struct StepGraph::Recorded {
  explicit Recorded(cuda::Gpu& gpu) : gpu(gpu), arena(&gpu) {}
  ~Recorded() {
    if (graph) gpu.kernels().drop_graph(graph);
  }

  cuda::Gpu& gpu;
  Arena arena;
  Tensor indices;                          // all of the batch's, one after the other
  std::shared_ptr<const Batch> on_device;  // views of it
  Tensor logits;
  Tensor first_logits;  // of the step during which it was recorded
  cuda::Graph graph = nullptr;
};

StepGraph::StepGraph(const MiniMaxM1& model, const Context& ctx) : model_(model), ctx_(ctx) {
  MM_CHECK_KIND(kInternal, ctx.device == Device::kCuda, "a step graph needs a GPU");
  ctx_.tape = nullptr;
}

StepGraph::~StepGraph() = default;

bool StepGraph::takes(const Batch& batch) {
  return batch.token_count() == batch.seqs() && batch.rows.dim(0) == batch.seqs() && batch.seqs() <= kMaxSeqs &&
         batch.slots.defined();
}

int64_t StepGraph::filled_up(int64_t seqs) {
  if (seqs <= kExactSeqs) return seqs;
  const int64_t step =
      std::max<int64_t>(static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(seqs - 1))) / 4, kLeastStep);
  return (seqs + step - 1) / step * step;
}

namespace {

/// The batch with sequences of one token behind it.
Batch filled(const Batch& batch, int64_t seqs, StateCache::Place spare) {
  const int64_t columns = batch.page_table.dim(1), before = batch.seqs();
  const auto longer = [](const Tensor& x, int64_t size, int32_t value) {
    const Tensor out = Tensor::empty({size}, DType::kInt32);
    int32_t* rest = std::copy_n(x.data<int32_t>(), x.elements(), out.data<int32_t>());
    std::fill(rest, out.data<int32_t>() + size, value);
    return out;
  };
  Batch out;
  out.padding = seqs - before;
  out.tokens = longer(batch.tokens, seqs, 0);
  out.positions = longer(batch.positions, seqs, 0);
  out.slots = longer(batch.slots, seqs, spare.slot);
  out.page_table = longer(batch.page_table, seqs * columns, spare.page).view({seqs, columns});
  out.rows = longer(batch.rows, seqs, 0);
  out.cu_seqlens = longer(batch.cu_seqlens, seqs + 1, 0);
  for (int64_t seq = before; seq < seqs; ++seq) {
    out.rows.data<int32_t>()[seq] = static_cast<int32_t>(seq);
    out.cu_seqlens.data<int32_t>()[seq + 1] = static_cast<int32_t>(seq + 1);
  }
  return out;
}

/// tokens, positions, cu_seqlens, rows, slots, then the page table with `max_pages` columns.
std::vector<int32_t> joined(const Batch& batch, int64_t max_pages) {
  std::vector<int32_t> all;
  for (const Tensor* x : {&batch.tokens, &batch.positions, &batch.cu_seqlens, &batch.rows, &batch.slots})
    all.insert(all.end(), x->span<int32_t>().begin(), x->span<int32_t>().end());
  const int64_t columns = batch.page_table.dim(1);
  for (int64_t seq = 0; seq < batch.seqs(); ++seq) {
    const int32_t* pages = batch.page_table.data<int32_t>() + seq * columns;
    all.insert(all.end(), pages, pages + std::min(columns, max_pages));
    all.resize(all.size() + static_cast<size_t>(std::max<int64_t>(max_pages - columns, 0)), 0);
  }
  return all;
}

Batch views(const Tensor& indices, int64_t seqs, int64_t max_pages) {
  int64_t next = 0;
  const auto take = [&](int64_t count) {
    next += count;
    return indices.rows(next - count, next);
  };
  Batch batch;
  batch.tokens = take(seqs);
  batch.positions = take(seqs);
  batch.cu_seqlens = take(seqs + 1);
  batch.rows = take(seqs);
  batch.slots = take(seqs);
  batch.page_table = take(seqs * max_pages).view({seqs, max_pages});
  return batch;
}

}  // namespace

std::unique_ptr<StepGraph::Recorded> StepGraph::record(const Batch& batch, int64_t max_pages,
                                                       std::span<LayerCache> caches) {
  cuda::Gpu& gpu = *ctx_.gpu;
  auto recorded = std::make_unique<Recorded>(gpu);
  const std::vector<int32_t> all = joined(batch, max_pages);
  recorded->indices = to_memory(Tensor::from(std::span<const int32_t>(all), {static_cast<int64_t>(all.size())}), &gpu);
  recorded->on_device = std::make_shared<const Batch>(views(recorded->indices, batch.seqs(), max_pages));
  Batch placed = batch;
  placed.on_device = recorded->on_device;
  Context ctx = ctx_;
  ctx.arena = &recorded->arena;
  // Once for real: the arena then has all blocks, and nothing is allocated while the graph is recorded.
  {
    const Tensor logits = model_.forward(ctx, placed, caches);
    recorded->first_logits = Tensor::empty(logits.shape(), logits.dtype(), &gpu);
    copy_bytes(logits, recorded->first_logits);
    gpu.wait();
  }
  gpu.check(gpu.kernels().begin_capture(gpu.stream()));
  cuda::Failure failure = nullptr;
  try {
    recorded->logits = model_.forward(ctx, placed, caches);
  } catch (...) {
    gpu.kernels().end_capture(&recorded->graph, gpu.stream());
    throw;
  }
  failure = gpu.kernels().end_capture(&recorded->graph, gpu.stream());
  gpu.check(failure);
  return recorded;
}

Tensor StepGraph::forward(const Batch& given, std::span<LayerCache> caches, std::optional<StateCache::Place> spare) {
  ops::check_tokens(given.tokens, model_.config.vocab);
  const int64_t seqs = given.seqs(), all_seqs = spare ? filled_up(seqs) : seqs;
  const Batch batch = all_seqs > seqs ? filled(given, all_seqs, *spare) : given;
  int64_t pages = 1;
  for (const int32_t position : batch.positions.span<int32_t>())
    pages = std::max<int64_t>(pages, position / kChunk + 1);
  const int64_t max_pages = std::max(kMinPages, static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(pages))));
  std::unique_ptr<Recorded>& recorded = recorded_[{all_seqs, max_pages}];
  if (!recorded) {
    // That computes this step, once: a lightning state must not take the same token up twice.
    recorded = record(batch, max_pages, caches);
    return recorded->first_logits.rows(0, seqs);
  }
  const std::vector<int32_t> all = joined(batch, max_pages);
  cuda::Gpu& gpu = *ctx_.gpu;
  gpu.copy(recorded->indices.raw(), all.data(), recorded->indices.bytes());
  gpu.check(gpu.kernels().run_graph(recorded->graph, gpu.stream()));
  return recorded->logits.rows(0, seqs);
}

}  // namespace minimax::engine
