#include "cpu/ceilings.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>

#include "core/error.h"

namespace minimax::cpu {
namespace {

constexpr double kSeconds = 0.2;
/// Pieces each thread takes in a pass: the last ones end at nearly the same time.
constexpr int64_t kPieces = 16;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Work a second of the fastest of the passes that fit into kSeconds; at least three. The first is not counted.
double best_rate(double work_per_pass, const std::function<void()>& pass) {
  pass();
  double best = 0;
  const double end = seconds_now() + kSeconds;
  for (int passes = 0; passes < 3 || seconds_now() < end; ++passes) {
    const double begin = seconds_now();
    pass();
    best = std::max(best, work_per_pass / (seconds_now() - begin));
  }
  return best;
}

std::atomic<float> sink;  // where results go that nobody wants

double peak(ThreadPool& threads, float (*probe)(int64_t flops)) {
  constexpr int64_t kFlops = 20'000'000;  // 0.1 ms at 200 GFLOP/s: many pieces in a pass of 1-2 ms
  const int64_t pieces = threads.size() * kPieces;
  return best_rate(double(pieces) * kFlops, [&] {
    threads.parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
      sink.store(probe((end - begin) * kFlops), std::memory_order_relaxed);
    });
  });
}

/// Anonymous memory, in huge pages where possible, given back at the end.
class Buffer {
 public:
  explicit Buffer(int64_t bytes) : bytes_(bytes) {
    data_ = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MM_CHECK_KIND(kOutOfMemory, data_ != MAP_FAILED, "read bandwidth: no room for a buffer of ", bytes, " bytes");
    madvise(data_, static_cast<size_t>(bytes), MADV_HUGEPAGE);
  }
  ~Buffer() { munmap(data_, static_cast<size_t>(bytes_)); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  float* data() const { return static_cast<float*>(data_); }

 private:
  void* data_;
  int64_t bytes_;
};

}  // namespace

double read_bandwidth(ThreadPool& threads, const Kernels& kernels) {
  constexpr int64_t kBytes = int64_t{256} << 20;
  const Buffer buffer(kBytes);
  // Each thread touches a stretch of its own first: with several memory nodes the pages then lie beside some thread.
  const int64_t pieces = threads.size() * kPieces;
  const int64_t piece = kBytes / int64_t(sizeof(float)) / pieces / 128 * 128;
  threads.parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    std::fill(buffer.data() + begin * piece, buffer.data() + end * piece, 1.0f);
  });
  return best_rate(double(pieces * piece) * sizeof(float), [&] {
    threads.parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
      sink.store(kernels.probe_read(buffer.data() + begin * piece, (end - begin) * piece), std::memory_order_relaxed);
    });
  });
}

double fma_peak(ThreadPool& threads, const Kernels& kernels) {
  return peak(threads, kernels.probe_fma);
}

double bf16_dot_peak(ThreadPool& threads, const Kernels& kernels) {
  return kernels.has_bf16_dot ? peak(threads, kernels.probe_bf16_dot) : 0;
}

double int8_dot_peak(ThreadPool& threads, const Kernels& kernels) {
  return peak(threads, kernels.probe_int8_dot);
}

}  // namespace minimax::cpu
