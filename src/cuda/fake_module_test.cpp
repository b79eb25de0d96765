// Stands in for libminimax_cuda.so in devices_test: built once for each planted answer.
#include <cstdio>

#include <cstdlib>
#include <cstring>

#include "cuda/kernels.h"
#include "cuda/module.h"

namespace {

void versions(int32_t* driver, int32_t* runtime) {
  *driver = 13010;
  *runtime = 12090;
}

#ifndef MINIMAX_FAKE_no_driver
int32_t count(char*, int64_t) {
  return 2;
}
#else
int32_t count(char* reason, int64_t reason_bytes) {
  std::snprintf(reason, static_cast<size_t>(reason_bytes), "driver too old");
  return -1;
}
#endif

int32_t device(int32_t index, MinimaxCudaDevice* out, char*, int64_t) {
  std::snprintf(out->name, sizeof(out->name), "Fake %d", index);
  out->compute_major = 9;
  out->compute_minor = index;
  out->multiprocessors = 132;
  out->memory_total_bytes = int64_t{80} << 30;
  out->memory_free_bytes = index == 0 ? int64_t{70} << 30 : -1;
  return 0;
}

// Memory of 1 MB in all; copies are those of the host.
int64_t g_left = 1 << 20;
int64_t size_at(void* memory) {
  return static_cast<int64_t*>(memory)[-2];
}
minimax::cuda::Failure allocate(void** memory, int64_t bytes) {
  if (bytes > g_left) return "no memory left";
  auto* block = static_cast<int64_t*>(std::malloc(static_cast<size_t>(bytes) + 16));
  block[0] = bytes;
  g_left -= bytes;
  *memory = block + 2;
  return nullptr;
}
minimax::cuda::Failure release(void* memory) {
  g_left += size_at(memory);
  std::free(static_cast<int64_t*>(memory) - 2);
  return nullptr;
}
minimax::cuda::Failure free_memory(int64_t* free_bytes, int64_t* total_bytes) {
  *free_bytes = g_left;
  *total_bytes = 1 << 20;
  return nullptr;
}
minimax::cuda::Failure copy(void* to, const void* from, int64_t bytes, minimax::cuda::Stream) {
  std::memcpy(to, from, static_cast<size_t>(bytes));
  return nullptr;
}
minimax::cuda::Failure fill(void* memory, int32_t byte, int64_t bytes, minimax::cuda::Stream) {
  std::memset(memory, byte, static_cast<size_t>(bytes));
  return nullptr;
}
const minimax::cuda::Kernels* kernels() {
  static const minimax::cuda::Kernels table = [] {
    minimax::cuda::Kernels all{};
    all.use_device = [](int32_t) -> minimax::cuda::Failure { return nullptr; };
    all.allocate = allocate;
    all.release = release;
    all.free_memory = free_memory;
    all.copy = copy;
    all.fill = fill;
    all.make_stream = [](minimax::cuda::Stream*) -> minimax::cuda::Failure { return nullptr; };
    all.drop_stream = [](minimax::cuda::Stream) -> minimax::cuda::Failure { return nullptr; };
    all.op.fill_float = [](float*, float, int64_t, minimax::cuda::Stream) -> minimax::cuda::Failure {
#ifdef MINIMAX_FAKE_old_gpu
      return "no kernel image";
#else
      return nullptr;
#endif
    };
    all.wait = [](minimax::cuda::Stream) -> minimax::cuda::Failure { return nullptr; };
    return all;
  }();
  return &table;
}

#ifdef MINIMAX_FAKE_other_abi
constexpr int32_t kAbi = MINIMAX_CUDA_ABI + 1;
#else
constexpr int32_t kAbi = MINIMAX_CUDA_ABI;
#endif
constexpr MinimaxCudaModule kModule = {kAbi, versions, count, device, kernels};

}  // namespace

#ifdef MINIMAX_FAKE_no_entry
extern "C" const MinimaxCudaModule* another_name() {
#else
extern "C" const MinimaxCudaModule* minimax_cuda_module() {
#endif
  return &kModule;
}
