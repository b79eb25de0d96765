// How fast the CUDA kernels are at the published model's shapes, beside this device's ceilings measured in the same
// run. Large results are also compared with the float64 kernels, so that a speed is never that of a wrong answer.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <numeric>
#include <string>

#include "core/version.h"
#include "cuda/devices.h"
#include "cuda/kernels/gpu_support.h"

namespace minimax::cuda {
namespace {

constexpr int64_t kHeads = 64, kKvHeads = 8, kHeadDim = 128;

struct Times {
  double median, min, max;  ///< ms
};

class Timer {
 public:
  Timer() {
    check(gpu().make_stream(&stream_));
    check(gpu().make_event(&from_));
    check(gpu().make_event(&to_));
  }
  Stream stream() const { return stream_; }

  /// `launches` runs of `work` are recorded as one graph, which is then run `repeats` times.
  Times of(const std::function<void(Stream)>& work, int launches, int repeats) {
    check(gpu().wait(nullptr));  // inputs are made on the default stream, which this one does not wait for
    work(stream_);
    check(gpu().wait(stream_));
    Graph graph = nullptr;
    check(gpu().begin_capture(stream_));
    for (int i = 0; i < launches; ++i) work(stream_);
    check(gpu().end_capture(&graph, stream_));
    std::vector<double> ms;
    for (int repeat = -2; repeat < repeats; ++repeat) {
      float elapsed = 0;
      check(gpu().record(from_, stream_));
      check(gpu().run_graph(graph, stream_));
      check(gpu().record(to_, stream_));
      check(gpu().elapsed_ms(&elapsed, from_, to_));
      if (repeat >= 0) ms.push_back(static_cast<double>(elapsed) / launches);
    }
    check(gpu().drop_graph(graph));
    std::sort(ms.begin(), ms.end());
    return {ms[ms.size() / 2], ms.front(), ms.back()};
  }

 private:
  Stream stream_ = nullptr;
  Event from_ = nullptr, to_ = nullptr;
};

void line(const char* what, const Times& times, double amount, const char* unit, double ceiling) {
  std::printf("%-46s %9.4f (%.4f to %.4f) ms  %8.1f %s", what, times.median, times.min, times.max,
              amount / times.median, unit);
  if (ceiling > 0) std::printf("  %3.0f%% of the ceiling", 100 * amount / times.median / ceiling);
  std::printf("\n");
  std::fflush(stdout);
}

void random(DeviceArray<uint16_t>& memory, uint64_t seed) {
  check(gpu().random_normal(memory.get(), memory.count(), seed, 1, nullptr));
}

/// |got - want| / |want| of the last `count` numbers.
double tail_error(const DeviceArray<uint16_t>& got, const DeviceArray<uint16_t>& want, int64_t count) {
  const std::vector<uint16_t> a = got.host(), b = want.host();
  double difference = 0, norm = 0;
  for (size_t i = a.size() - static_cast<size_t>(count); i < a.size(); ++i) {
    difference += std::pow(from_bf16(a[i]) - from_bf16(b[i]), 2);
    norm += std::pow(from_bf16(b[i]), 2);
  }
  return std::sqrt(difference / norm);
}

struct Ceilings {
  double copy, read;  ///< GB/s, bytes read plus bytes written
  double bf16;        ///< TFLOP/s
};

Ceilings ceilings(Timer& timer) {
  Ceilings found{};
  const int64_t bytes = int64_t{4} << 30;
  DeviceArray<uint16_t> from(bytes / 2), to(bytes / 2);
  random(from, 1);
  const double gigabytes = static_cast<double>(bytes) / 1e6;  // over ms: GB/s
  Times times = timer.of([&](Stream s) { check(gpu().probe_copy(to.get(), from.get(), bytes, s)); }, 1, 15);
  found.copy = 2 * gigabytes / times.median;
  line("copy 4 GiB", times, 2 * gigabytes, "GB/s", 0);
  times = timer.of([&](Stream s) { check(gpu().probe_read(from.get(), bytes, to.get(), s)); }, 1, 15);
  found.read = gigabytes / times.median;
  line("read 4 GiB", times, gigabytes, "GB/s", 0);
  int64_t flops = 2'000'000'000'000;
  times = timer.of([&](Stream s) { check(gpu().probe_bf16(&flops, to.get(), s)); }, 1, 15);
  found.bf16 = static_cast<double>(flops) / 1e9 / times.median;
  line("bf16 products from shared memory", times, static_cast<double>(flops) / 1e9, "TFLOP/s", 0);
  return found;
}

void bench_prefill(Timer& timer, const Ceilings& ceiling, int64_t tokens, bool compare) {
  DeviceArray<uint16_t> qkv(tokens * kHeads * 3 * kHeadDim), out(tokens * kHeads * kHeadDim);
  random(qkv, 2);
  std::vector<int32_t> host_positions(static_cast<size_t>(tokens));
  std::iota(host_positions.begin(), host_positions.end(), 0);
  const DeviceArray<int32_t> positions(host_positions), seqlens(std::vector<int32_t>{0, static_cast<int32_t>(tokens)});
  const DeviceArray<float> decay(decay_table(middle_slopes(kHeads)));
  LightningArgs args{.qkv = qkv.get(),
                     .out = out.get(),
                     .decay = decay.get(),
                     .positions = positions.get(),
                     .cu_seqlens = seqlens.get(),
                     .tokens = tokens,
                     .seqs = 1,
                     .heads = kHeads,
                     .head_dim = kHeadDim};
  out.poison();
  const Times times = timer.of([&](Stream s) { check(gpu().lightning(args, s)); }, 1, 15);
  char what[80];
  std::snprintf(what, sizeof(what), "lightning prefill, %lld tokens", static_cast<long long>(tokens));
  const double bytes = static_cast<double>(tokens * kHeads * kHeadDim) * 4 * 2;
  line(what, times, bytes / 1e6, "GB/s", ceiling.copy);
  if (!compare) return;
  DeviceArray<uint16_t> want(out.count());
  args.out = want.get();
  check(gpu().lightning_simple(args, nullptr));
  std::printf("    last 1024 tokens against float64: error %.2e\n", tail_error(out, want, 1024 * kHeads * kHeadDim));
}

void bench_decode(Timer& timer, const Ceilings& ceiling, int64_t seqs, int32_t position) {
  DeviceArray<uint16_t> qkv(seqs * kHeads * 3 * kHeadDim), out(seqs * kHeads * kHeadDim);
  DeviceArray<uint16_t> k_window(seqs * kHeads * kChunk * kHeadDim), v_window(k_window.count());
  DeviceArray<float> state(seqs * kHeads * kHeadDim * kHeadDim);
  random(qkv, 3), random(k_window, 4), random(v_window, 5);
  check(gpu().random_normal(state.get(), state.count() * 2, 6, 1, nullptr));
  std::vector<int32_t> one_each(static_cast<size_t>(seqs + 1)), slots(static_cast<size_t>(seqs));
  std::iota(one_each.begin(), one_each.end(), 0);
  std::iota(slots.begin(), slots.end(), 0);
  const DeviceArray<int32_t> positions(std::vector<int32_t>(static_cast<size_t>(seqs), position)), seqlens(one_each),
      device_slots(slots);
  const DeviceArray<float> decay(decay_table(middle_slopes(kHeads)));
  const LightningArgs args{.qkv = qkv.get(),
                           .out = out.get(),
                           .decay = decay.get(),
                           .positions = positions.get(),
                           .cu_seqlens = seqlens.get(),
                           .slots = device_slots.get(),
                           .state = state.get(),
                           .k_window = k_window.get(),
                           .v_window = v_window.get(),
                           .tokens = seqs,
                           .seqs = seqs,
                           .heads = kHeads,
                           .head_dim = kHeadDim};
  const Times times = timer.of([&](Stream s) { check(gpu().lightning_decode(args, s)); }, 10, 15);
  char what[80];
  const int64_t row = position % kChunk;
  std::snprintf(what, sizeof(what), "lightning decode, %lld seqs, %lld window rows%s", static_cast<long long>(seqs),
                static_cast<long long>(row + 1), row + 1 == kChunk ? ", commits" : "");
  const double head_bytes = kHeadDim * kHeadDim * 4.0 * (row + 1 == kChunk ? 2 : 1) + 512.0 * static_cast<double>(row) +
                            kHeadDim * 2 * 6;  // state; window; q, k, v, out and the window's new row
  line(what, times, static_cast<double>(seqs * kHeads) * head_bytes / 1e6, "GB/s", ceiling.read);
}

void bench_attention(Timer& timer, const Ceilings& ceiling, int64_t seqs, int64_t context, bool compare) {
  const int64_t pages = context / kChunk;
  DeviceArray<uint16_t> q(seqs * kHeads * kHeadDim), out(q.count());
  DeviceArray<uint16_t> k(seqs * pages * kKvHeads * kChunk * kHeadDim), v(k.count());
  random(q, 7), random(k, 8), random(v, 9);
  std::vector<int32_t> table(static_cast<size_t>(seqs * pages));
  for (int64_t i = 0; i < seqs * pages; ++i)  // pages lie anywhere
    table[i] = static_cast<int32_t>(i * 7919 % (seqs * pages));
  const DeviceArray<int32_t> page_table(table),
      positions(std::vector<int32_t>(static_cast<size_t>(seqs), static_cast<int32_t>(context - 1)));
  DeviceArray<float> workspace(attention_workspace_bytes(seqs, kHeads, kHeadDim, pages) / 4);
  AttentionDecodeArgs args{.q = q.get(),
                           .k_pages = k.get(),
                           .v_pages = v.get(),
                           .page_table = page_table.get(),
                           .positions = positions.get(),
                           .out = out.get(),
                           .workspace = workspace.get(),
                           .seqs = seqs,
                           .heads = kHeads,
                           .kv_heads = kKvHeads,
                           .head_dim = kHeadDim,
                           .max_pages = pages,
                           .scale = 1 / std::sqrt(static_cast<float>(kHeadDim))};
  const Times times = timer.of([&](Stream s) { check(gpu().attention_decode(args, s)); }, 5, 15);
  char what[80];
  std::snprintf(what, sizeof(what), "GQA decode, %lld x %lld keys", static_cast<long long>(seqs),
                static_cast<long long>(context));
  const double bytes = 4.0 * static_cast<double>(seqs * context * kKvHeads * kHeadDim);
  line(what, times, bytes / 1e6, "GB/s", ceiling.read);
  if (!compare) return;
  DeviceArray<uint16_t> want(out.count());
  args.out = want.get();
  check(gpu().attention_decode_simple(args, nullptr));
  std::printf("    against float64: error %.2e\n", tail_error(out, want, out.count()));
}

// `wanted`: prefill, decode, attention, or empty for all.
int run(const std::string& wanted) {
  auto want = [&](const char* what) { return wanted.empty() || wanted == what; };
  const char* named = std::getenv("MINIMAX_CUDA_MODULE");
  const GpuReport report = gpu_devices(named ? named : MINIMAX_CUDA_MODULE);
  if (report.gpus.empty()) {
    std::printf("no GPU: %s\n", report.reason.c_str());
    return 1;
  }
  std::printf("commit %s; %s, CUDA %s; median (fastest to slowest) of 15 runs\n", std::string(commit()).c_str(),
              report.gpus[0].name.c_str(), report.runtime_version.c_str());
  Timer timer;
  const Ceilings ceiling = ceilings(timer);
  if (want("prefill")) {
    bench_prefill(timer, ceiling, 8192, false);
    bench_prefill(timer, ceiling, 131072, true);
  }
  if (want("decode")) {
    for (int32_t position : {4096, 4096 + 31, 4096 + 62, 4096 + 63}) bench_decode(timer, ceiling, 64, position);
    bench_decode(timer, ceiling, 1, 4096 + 31);
  }
  if (want("attention")) {
    bench_attention(timer, ceiling, 1, 16384, false);
    bench_attention(timer, ceiling, 1, 131072, true);
    bench_attention(timer, ceiling, 64, 4096, false);
    bench_attention(timer, ceiling, 1, 1048576, false);
  }
  return 0;
}

}  // namespace
}  // namespace minimax::cuda

int main(int argc, char** argv) {
  try {
    return minimax::cuda::run(argc > 1 ? argv[1] : "");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
