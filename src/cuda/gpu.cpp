#include "cuda/gpu.h"

#include "core/error.h"
#include "cuda/open_module.h"

namespace minimax::cuda {
namespace {

constexpr int64_t kGranule = 512;

struct Found {
  const Kernels* kernels;
  bool hopper;
};

Found find(const OpenedModule& opened, int32_t index) {
  MM_CHECK_KIND(kDevice, opened.module, "no GPU: ", opened.reason);
  char reason[512] = "";
  const int32_t count = opened.module->count(reason, sizeof(reason));
  MM_CHECK_KIND(kDevice, count >= 0, "no GPU: ", reason);
  MM_CHECK_KIND(kDevice, index >= 0 && index < count, "GPU ", index, " of ", count);
  MinimaxCudaDevice device{};
  MM_CHECK_KIND(kDevice, opened.module->device(index, &device, reason, sizeof(reason)) == 0, "GPU ", index, ": ",
                reason);
  return {opened.module->kernels(), device.compute_major == 9};
}

}  // namespace

std::unique_ptr<Gpu> Gpu::open(int32_t index) {
  const Found found = find(open_module(), index);
  return std::unique_ptr<Gpu>(new Gpu(*found.kernels, index, found.hopper));
}

std::unique_ptr<Gpu> Gpu::open(int32_t index, const std::filesystem::path& path) {
  const Found found = find(open_module(path), index);
  return std::unique_ptr<Gpu>(new Gpu(*found.kernels, index, found.hopper));
}

Gpu::Gpu(const Kernels& kernels, int32_t index, bool hopper) : kernels_(&kernels), index_(index), hopper_(hopper) {
  check(kernels_->use_device(index_));
  check(kernels_->make_stream(&stream_));
  // A kernel that does nothing much: a GPU that this build has no code for says so here, not in the middle of a model.
  auto* probe = static_cast<float*>(allocate(sizeof(float)));
  const Failure failure = op().fill_float(probe, 0.0f, 1, stream_);
  release(probe);
  trim();
  MM_CHECK_KIND(kDevice, !failure, "GPU ", index_, " runs none of this build's kernels: ", failure);
}

Gpu::~Gpu() {
  kernels_->wait(stream_);
  for (auto& [memory, size] : sizes_) kernels_->release(memory);
  kernels_->drop_stream(stream_);
}

void Gpu::check(Failure failure) {
  MM_CHECK_KIND(kDevice, !failure, failure);
}

void* Gpu::allocate(int64_t bytes) {
  const int64_t size = (bytes + kGranule - 1) / kGranule * kGranule;
  {
    std::lock_guard lock(mutex_);
    std::vector<void*>& list = free_[size];
    if (!list.empty()) {
      void* memory = list.back();
      list.pop_back();
      return memory;
    }
  }
  check(kernels_->use_device(index_));
  void* memory = nullptr;
  if (kernels_->allocate(&memory, size)) {
    trim();
    if (const Failure failure = kernels_->allocate(&memory, size))
      throw Error(ErrorKind::kOutOfMemory,
                  cat("GPU ", index_, ": ", size, " bytes are wanted, ", free_bytes(), " are free (", failure, ")"));
  }
  std::lock_guard lock(mutex_);
  sizes_.emplace(memory, size);
  return memory;
}

void Gpu::release(void* memory) noexcept {
  std::lock_guard lock(mutex_);
  free_[sizes_.at(memory)].push_back(memory);
}

void Gpu::trim() {
  kernels_->wait(stream_);
  std::lock_guard lock(mutex_);
  for (auto& [size, list] : free_) {
    for (void* memory : list) {
      kernels_->release(memory);
      sizes_.erase(memory);
    }
    list.clear();
  }
}

int64_t Gpu::free_bytes() const {
  int64_t free = 0, total = 0;
  check(kernels_->free_memory(&free, &total));
  return free;
}

int64_t Gpu::taken_bytes() {
  std::lock_guard lock(mutex_);
  int64_t sum = 0;
  for (const auto& [memory, size] : sizes_) sum += size;
  return sum;
}

void Gpu::copy(void* to, const void* from, int64_t bytes) {
  check(kernels_->copy(to, from, bytes, stream_));
  std::lock_guard lock(mutex_);
  // Bytes of the host: pinned memory would be read or written later. On the device the stream's order is enough.
  const auto ours = [&](const void* address) {
    auto next = sizes_.upper_bound(const_cast<void*>(address));
    if (next == sizes_.begin()) return false;
    --next;
    return static_cast<const char*>(address) < static_cast<const char*>(next->first) + next->second;
  };
  if (!ours(to)) wait();
}

void Gpu::fill(void* memory, int byte, int64_t bytes) {
  check(kernels_->fill(memory, byte, bytes, stream_));
}

void Gpu::add(float* sum, const float* more, int64_t count) {
  check(op().scaled_add(1.0f, sum, 1.0f, more, sum, count, stream_));
}

void Gpu::wait() {
  check(kernels_->wait(stream_));
}

}  // namespace minimax::cuda
