// Stands in for libminimax_cuda.so in devices_test: built once for each planted answer.
#include <cstdio>

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

#ifdef MINIMAX_FAKE_other_abi
constexpr int32_t kAbi = MINIMAX_CUDA_ABI + 1;
#else
constexpr int32_t kAbi = MINIMAX_CUDA_ABI;
#endif
constexpr MinimaxCudaModule kModule = {kAbi, versions, count, device, nullptr};

}  // namespace

#ifdef MINIMAX_FAKE_no_entry
extern "C" const MinimaxCudaModule* another_name() {
#else
extern "C" const MinimaxCudaModule* minimax_cuda_module() {
#endif
  return &kModule;
}
