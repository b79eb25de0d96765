// The table of the module that plays a GPU (played.h), its memory, and the graphs it records.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "cuda/module.h"
#include "cuda/played/played.h"

namespace minimax::cuda::played {

Recorded* g_recording = nullptr;

namespace {

Failure allocate(void** memory, int64_t bytes) {
  *memory = std::aligned_alloc(256, static_cast<size_t>((bytes + 255) / 256 * 256));
  return *memory ? nullptr : "no memory left";
}
Failure release(void* memory) {
  std::free(memory);
  return nullptr;
}
Failure free_memory(int64_t* free_bytes, int64_t* total_bytes) {
  *free_bytes = *total_bytes = int64_t{1} << 34;
  return nullptr;
}
Failure copy(void* to, const void* from, int64_t bytes, Stream) {
  return run([=] { std::memmove(to, from, static_cast<size_t>(bytes)); });
}
Failure fill(void* memory, int32_t byte, int64_t bytes, Stream) {
  return run([=] { std::memset(memory, byte, static_cast<size_t>(bytes)); });
}
Failure nothing(Stream) {
  return nullptr;
}
Failure begin_capture(Stream) {
  g_recording = new Recorded;
  return nullptr;
}
Failure end_capture(Graph* graph, Stream) {
  *graph = std::exchange(g_recording, nullptr);
  return nullptr;
}
Failure run_graph(Graph graph, Stream) {
  for (const auto& work : *static_cast<Recorded*>(graph)) work();
  return nullptr;
}
Failure drop_graph(Graph graph) {
  delete static_cast<Recorded*>(graph);
  return nullptr;
}

Kernels table() {
  Kernels all{};
  all.use_device = [](int32_t) -> Failure { return nullptr; };
  all.allocate = allocate;
  all.release = release;
  all.free_memory = free_memory;
  all.copy = copy;
  all.fill = fill;
  all.make_stream = [](Stream*) -> Failure { return nullptr; };
  all.drop_stream = nothing;
  all.wait = nothing;
  all.begin_capture = begin_capture;
  all.end_capture = end_capture;
  all.run_graph = run_graph;
  all.drop_graph = drop_graph;
  all.attention_decode = attention_decode;
#define MM_ENTRY(name) .name = name,
  all.op = {MM_OP_KERNELS(MM_ENTRY)};
#undef MM_ENTRY
  return all;
}

const Kernels* kernels() {
  static const Kernels all = table();
  return &all;
}

void versions(int32_t* driver, int32_t* runtime) {
  *driver = *runtime = 13000;
}
int32_t count(char*, int64_t) {
  return 1;
}
/// Compute capability 8.0: the float32 paths for lightning attention, whose Hopper kernels are not played.
int32_t device(int32_t, MinimaxCudaDevice* out, char*, int64_t) {
  *out = {};
  std::snprintf(out->name, sizeof(out->name), "played on the processor");
  out->compute_major = 8;
  out->memory_free_bytes = out->memory_total_bytes = int64_t{1} << 34;
  return 0;
}

constexpr MinimaxCudaModule kModule = {MINIMAX_CUDA_ABI, versions, count, device, kernels};

}  // namespace
}  // namespace minimax::cuda::played

extern "C" __attribute__((visibility("default"))) const MinimaxCudaModule* minimax_cuda_module() {
  return &minimax::cuda::played::kModule;
}
