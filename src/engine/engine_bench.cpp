// Load on the engine: requests arrive at random (Poisson), some with a long beginning in common; throughput, time to
// the first token, time between tokens. usage: engine_engine_bench [requests] [requests per second] [threads]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/rng.h"
#include "cpu/isa.h"
#include "engine/collector.h"
#include "engine/engine.h"
#include "model/random.h"

namespace minimax::engine {
namespace {

using Time = std::chrono::steady_clock::time_point;

/// M1's plan, small: one block of seven lightning layers and a softmax one.
ModelConfig config() {
  ModelConfig c;
  c.vocab = 8192;
  c.hidden = 256;
  c.ffn = 384;
  c.layers = 8;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 64;
  c.rotary_dim = 32;
  c.experts = 8;
  c.layer_kind.assign(8, LayerKind::kLightning);
  c.layer_kind[7] = LayerKind::kSoftmax;
  c.postnorm = true;
  c.max_positions = 1 << 20;
  return c;
}

/// When the tokens of one request came.
struct Watch : Collector {
  FinishReason on_token(const Token&) override {
    times.push_back(std::chrono::steady_clock::now());
    return FinishReason::kNone;
  }
  Time sent;
  std::vector<Time> times;
};

double seconds(Time from, Time to) {
  return std::chrono::duration<double>(to - from).count();
}

double quantile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

struct Load {
  int requests = 60;
  double per_second = 8;
};

/// The same requests at the same moments for every case.
std::vector<std::pair<Request, double>> requests_of(const Load& load, int64_t vocab) {
  Rng rng(1);
  const auto ids = [&](int64_t count) {
    std::vector<int32_t> all(static_cast<size_t>(count));
    for (int32_t& id : all) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocab)));
    return all;
  };
  std::vector<std::vector<int32_t>> beginnings;
  for (int i = 0; i < 3; ++i) beginnings.push_back(ids(600));
  std::vector<std::pair<Request, double>> all;
  double at = 0;
  for (int i = 0; i < load.requests; ++i) {
    Request request;
    if (rng.below(4) > 0) request.prompt = beginnings[rng.below(beginnings.size())];
    const std::vector<int32_t> own = ids(8 + static_cast<int64_t>(std::exp(rng.uniform() * std::log(300.0))));
    request.prompt.insert(request.prompt.end(), own.begin(), own.end());
    request.max_tokens = 8 + static_cast<int64_t>(rng.below(72));
    request.sampling.seed = rng.next_u64();
    all.emplace_back(std::move(request), at);
    at += -std::log(1 - rng.uniform()) / load.per_second;
  }
  return all;
}

void measure(const char* name, const MiniMaxM1& model, ThreadPool& threads, const Load& load, EngineOptions options) {
  options.context = 2048;
  options.max_waiting = load.requests;
  Engine engine(model, threads, options);
  engine.start();
  std::vector<std::shared_ptr<Watch>> watches;
  const Time begin = std::chrono::steady_clock::now();
  for (auto& [request, at] : requests_of(load, model.config.vocab)) {
    std::this_thread::sleep_until(begin +
                                  std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(at)));
    auto watch = std::make_shared<Watch>();
    watch->sent = std::chrono::steady_clock::now();
    engine.submit(request, watch);
    watches.push_back(std::move(watch));
  }
  for (const auto& watch : watches) watch->wait();
  const double whole = seconds(begin, std::chrono::steady_clock::now());
  engine.stop();

  std::vector<double> first, between;
  for (const auto& watch : watches) {
    first.push_back(1000 * seconds(watch->sent, watch->times.at(0)));
    for (size_t i = 1; i < watch->times.size(); ++i)
      between.push_back(1000 * seconds(watch->times[i - 1], watch->times[i]));
  }
  const EngineStats stats = engine.stats();
  std::printf(
      "%-34s %6.1f tokens/s  first token p50 %7.1f p90 %7.1f p99 %7.1f ms  between p50 %6.2f p99 %6.2f ms  "
      "cached %4.1f%%  steps %lld  preempted %lld\n",
      name, static_cast<double>(stats.generated_tokens) / whole, quantile(first, 0.5), quantile(first, 0.9),
      quantile(first, 0.99), quantile(between, 0.5), quantile(between, 0.99),
      100.0 * static_cast<double>(stats.cache_hit_tokens) / static_cast<double>(stats.cache_query_tokens),
      static_cast<long long>(stats.steps), static_cast<long long>(stats.preemptions));
}

}  // namespace
}  // namespace minimax::engine

int main(int argc, char** argv) {
  using namespace minimax;
  using namespace minimax::engine;
  Load load;
  if (argc > 1) load.requests = std::max(std::atoi(argv[1]), 1);
  if (argc > 2) load.per_second = std::max(std::atof(argv[2]), 0.01);
  ThreadPool threads(argc > 3 ? std::atoi(argv[3]) : 0);
  const MiniMaxM1 model = random_model(config(), DType::kBFloat16, 1, threads);
  std::printf("%d requests, %.2f a second, %d threads, %s kernels\n", load.requests, load.per_second, threads.size(),
              cpu::kernels().isa);
  measure("16 at once", model, threads, load, {});
  measure("16 at once, no prefix cache", model, threads, load, {.prefix_cache = false});
  measure("16 at once, 4 drafts", model, threads, load, {.speculation = {.max_drafts = 4}});
  measure("4 at once", model, threads, load, {.max_running = 4});
  measure("one after the other", model, threads, load, {.max_running = 1});
}
