#include "core/arena.h"

#include <atomic>
#include <bit>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MM_ADDRESS_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(MM_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

namespace minimax {
namespace {

constexpr std::align_val_t kAlignment{64};

// Four classes to the octave: at most a quarter of a block is wasted, and a chat that grows token by token reuses its
// blocks instead of collecting one of every size.
int64_t size_class(int64_t bytes) {
  if (bytes <= 4096) return 4096;
  const int64_t step = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(bytes))) / 4;
  return (bytes + step - 1) / step * step;  // NOLINT(clang-analyzer-core.DivideZero): bytes is above 4096 here
}

}  // namespace

struct Arena::Blocks {
  std::mutex mutex;
  std::map<int64_t, std::vector<void*>> free;  // by size class
  int64_t in_use = 0;
  int64_t reserved = 0;
  bool closed = false;  // the arena is gone: blocks that come back are freed
  std::atomic<bool> poisoned{false};
  DeviceMemory* memory = nullptr;  // null: the host's

  ~Blocks() { release_free(); }

  /// A block of a size class. The address sanitizer is told that only the first `wanted` bytes are anybody's: it then
  /// sees a kernel that runs past its tensor, or a view of one that is gone, although the block is still ours.
  void* take(int64_t bytes, int64_t wanted) {
    std::lock_guard lock(mutex);
    std::vector<void*>& list = free[bytes];
    void* block = nullptr;
    if (!list.empty()) {
      block = list.back();
      list.pop_back();
    } else {
      block = memory ? memory->allocate(bytes) : ::operator new(static_cast<size_t>(bytes), kAlignment, std::nothrow);
      MM_CHECK_KIND(kOutOfMemory, block != nullptr, "cannot allocate ", bytes, " bytes; ", in_use, " are in use");
      reserved += bytes;
    }
    in_use += bytes;
    if (memory) return block;
    ASAN_UNPOISON_MEMORY_REGION(block, bytes);
    ASAN_POISON_MEMORY_REGION(static_cast<char*>(block) + wanted, bytes - wanted);
    return block;
  }

  void give_back(void* block, int64_t bytes) {
    std::lock_guard lock(mutex);
    in_use -= bytes;
    if (closed) {
      release(block, bytes);
    } else {
      if (!memory) ASAN_POISON_MEMORY_REGION(block, bytes);
      free[bytes].push_back(block);
    }
  }

  void release(void* block, int64_t bytes) {
    reserved -= bytes;
    if (memory) return memory->release(block);
    ASAN_UNPOISON_MEMORY_REGION(block, bytes);
    ::operator delete(block, kAlignment);
  }

  void release_free() {
    for (auto& [bytes, list] : free) {
      for (void* block : list) release(block, bytes);
      list.clear();
    }
  }
};

Arena::Arena(DeviceMemory* memory) : blocks_(std::make_shared<Blocks>()) {
  blocks_->memory = memory;
}

Arena::~Arena() {
  std::lock_guard lock(blocks_->mutex);
  blocks_->closed = true;
  blocks_->release_free();
}

Tensor Arena::empty(Shape shape, DType dtype) {
  const int64_t wanted = shape.elements() * size_of(dtype), bytes = size_class(wanted);
  void* data = blocks_->take(bytes, wanted);
  std::shared_ptr<const void> owner(
      data, [blocks = blocks_, bytes](const void* block) { blocks->give_back(const_cast<void*>(block), bytes); });
  if (blocks_->poisoned && blocks_->memory)
    blocks_->memory->fill(data, 0xff, wanted);
  else if (blocks_->poisoned)
    std::memset(data, 0xff, static_cast<size_t>(wanted));
  return Tensor(std::move(owner), data, shape, dtype, blocks_->memory);
}

void Arena::poison() {
  blocks_->poisoned = true;
}

int64_t Arena::bytes_in_use() const {
  std::lock_guard lock(blocks_->mutex);
  return blocks_->in_use;
}

int64_t Arena::bytes_reserved() const {
  std::lock_guard lock(blocks_->mutex);
  return blocks_->reserved;
}

void Arena::trim() {
  std::lock_guard lock(blocks_->mutex);
  blocks_->release_free();
}

}  // namespace minimax
