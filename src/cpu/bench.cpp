#include "cpu/bench.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>

#include "core/error.h"
#include "core/version.h"
#include "cpu/ceilings.h"
#include "cpu/isa.h"

namespace minimax::cpu::bench {
namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown processor";
}

double ceiling(Ceiling kind, ThreadPool& threads) {
  switch (kind) {
    case Ceiling::kRead:
      return read_bandwidth(threads, kernels());
    case Ceiling::kFma:
      return fma_peak(threads, kernels());
    case Ceiling::kBf16Dot:
      return bf16_dot_peak(threads, kernels());
  }
  return 0;
}

/// Uniform in (-1, 1), from the index alone: threads fill their parts in any order.
float number_at(uint64_t index) {
  uint64_t x = (index + 1) * 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
  return static_cast<float>(static_cast<int64_t>(x)) * 0x1p-63f;
}

}  // namespace

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    if (name == "--threads" && !value.empty()) {
      for (const char* at = value.c_str(); *at; at += *at == ',') {
        char* end;
        options.threads.push_back(std::max(1, static_cast<int>(std::strtol(at, &end, 10))));
        at = end > at ? end : at + 1;
      }
    } else if (name == "--seconds" && !value.empty()) {
      options.seconds = std::atof(value.c_str());
    } else if (name == "--only" && !value.empty()) {
      options.only = value;
    } else {
      std::fprintf(stderr, "usage: %s [--threads 1,2] [--seconds 1] [--only TEXT]\n", argv[0]);
      std::exit(2);
    }
  }
  if (options.threads.empty())
    for (int threads : std::set<int>{1, ThreadPool::available()}) options.threads.push_back(threads);
  return options;
}

void print_header(const char* program) {
  std::printf("%s at %s, %s, %s, %d processors, %s kernels\n", program, std::string(commit()).c_str(),
#if defined(__clang__)
              "clang " __clang_version__,
#else
              "g++ " __VERSION__,
#endif
              processor().c_str(), ThreadPool::available(), kernels().isa);
  std::printf("%-52s %3s %9s [%9s, %9s] ms %8s %8s %6s %6s\n", "case", "thr", "median", "min", "max", "speed",
              "ceiling", "share", "best");
}

void measure(const Options& options, ThreadPool& threads, const Case& c) {
  if (c.name.find(options.only) == std::string::npos) return;
  constexpr int kTurns = 4;
  c.run();
  std::vector<double> times;
  double limit = ceiling(c.ceiling, threads);
  for (int turn = 0; turn < kTurns; ++turn) {
    const double end = seconds_now() + options.seconds / kTurns;
    do {
      const double begin = seconds_now();
      c.run();
      times.push_back(seconds_now() - begin);
    } while (seconds_now() < end);
    limit = std::max(limit, ceiling(c.ceiling, threads));
  }
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  std::printf("%-52s %3d %9.3f [%9.3f, %9.3f] ms %8.1f %8.1f %5.1f%% %5.1f%% %s\n", c.name.c_str(), threads.size(),
              median * 1e3, times.front() * 1e3, times.back() * 1e3, c.work / median / 1e9, limit / 1e9,
              100 * c.work / median / limit, 100 * c.work / times.front() / limit,
              c.ceiling == Ceiling::kRead ? "GB/s" : "GFLOP/s");
  std::fflush(stdout);
}

Tensor random(ThreadPool& threads, Shape shape, DType dtype, bool huge_pages) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t bytes = static_cast<size_t>(shape.elements() * size_of(dtype));
  const size_t mapped = (bytes + kHugePage - 1) / kHugePage * kHugePage + kHugePage;
  void* memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  MM_CHECK_KIND(kOutOfMemory, memory != MAP_FAILED, "no room for ", bytes, " bytes");
  madvise(memory, mapped, huge_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  std::shared_ptr<void> owner(memory, [mapped](void* at) { munmap(at, mapped); });
  const auto aligned = (reinterpret_cast<uintptr_t>(memory) + kHugePage - 1) / kHugePage * kHugePage;
  const Tensor tensor(owner, reinterpret_cast<void*>(aligned), shape, dtype);
  threads.parallel_for(shape.elements(), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float number = number_at(static_cast<uint64_t>(i));
      if (dtype == DType::kFloat32)
        tensor.data<float>()[i] = number;
      else
        static_cast<uint16_t*>(tensor.raw())[i] =
            dtype == DType::kBFloat16 ? to_bfloat16(number).bits : to_float16(number).bits;
    }
  });
  return tensor;
}

}  // namespace minimax::cpu::bench
