#include "cli/speed.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>

#include "core/error.h"
#include "core/rng.h"
#include "cpu/ceilings.h"
#include "cpu/isa.h"
#include "cuda/gpu.h"
#include "engine/sampling/device_sampler.h"
#include "engine/sampling/sampler.h"
#include "engine/state/state_cache.h"
#include "engine/step_graph.h"

namespace minimax::cli {
namespace {

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  const size_t below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
}

template <typename Work>
double seconds_of(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

double Samples::median() const {
  return quantile(values, 0.5);
}
double Samples::min() const {
  return quantile(values, 0);
}
double Samples::max() const {
  return quantile(values, 1);
}

void sample_ceilings(ThreadPool& threads, CeilingSamples& ceilings) {
  const cpu::Kernels& kernels = cpu::kernels();
  ceilings.threads = threads.size();
  ceilings.read_bytes_per_second.values.push_back(cpu::read_bandwidth(threads, kernels));
  ceilings.float32_flops.values.push_back(cpu::fma_peak(threads, kernels));
  ceilings.int8_dot_ops.values.push_back(cpu::int8_dot_peak(threads, kernels));
  if (kernels.has_bf16_dot) ceilings.bf16_dot_flops.values.push_back(cpu::bf16_dot_peak(threads, kernels));
}

void sample_ceilings(cuda::Gpu& gpu, CeilingSamples& ceilings) {
  constexpr int64_t kBytes = int64_t{1} << 30;
  const cuda::Kernels& kernels = gpu.kernels();
  const Tensor memory = Tensor::zeros({kBytes}, DType::kUInt8, &gpu),
               out = Tensor::zeros({1024}, DType::kFloat32, &gpu);
  ceilings.threads = 0;
  const auto timed = [&](const auto& launch) {
    gpu.wait();
    return seconds_of([&] {
      gpu.check(launch());
      gpu.wait();
    });
  };
  const auto read = [&] {
    for (int i = 0; i < 8; ++i)
      if (const cuda::Failure failure = kernels.probe_read(memory.raw(), kBytes, out.raw(), gpu.stream()))
        return failure;
    return cuda::Failure(nullptr);
  };
  timed(read);
  ceilings.read_bytes_per_second.values.push_back(8 * static_cast<double>(kBytes) / timed(read));
  int64_t flops = int64_t{4'000'000'000'000};
  const auto products = [&] { return kernels.probe_bf16(&flops, out.raw(), gpu.stream()); };
  timed(products);
  const double seconds = timed(products);
  ceilings.bf16_dot_flops.values.push_back(static_cast<double>(flops) / seconds);
}

SpeedTest::SpeedTest(const MiniMaxM1& model, const Context& ctx, const SpeedSettings& settings)
    : model_(model), settings_(settings), arena_(ctx.gpu), ctx_(ctx) {
  MM_CHECK(settings.prompt_tokens > 0 && settings.answer_tokens > 0, "bench: ", settings.prompt_tokens,
           " tokens of prompt and ", settings.answer_tokens, " of answer, expected at least one of each");
  ctx_.arena = &arena_;
  ctx_.matmul_precision = settings.precision;
  const DType dtype = model.lm_head.format ? DType::kUInt8 : model.lm_head.data.dtype();
  samples_.prefill_cost = prefill_cost(model.config, dtype, settings.prompt_tokens);
  samples_.decode_cost = decode_cost(model.config, dtype, settings.prompt_tokens + settings.answer_tokens / 2);
  samples_.decode_cost.weight_bytes = decode_weight_bytes(model);
  if (model.layers.at(0).moe.experts.at(0).gate.format)
    samples_.peak = SpeedSamples::Peak::kInt8;
  else if (settings.precision == MatmulPrecision::kBFloat16 && dtype == DType::kBFloat16 &&
           (ctx.device == Device::kCuda || cpu::kernels().has_bf16_dot))
    samples_.peak = SpeedSamples::Peak::kBFloat16;
}

void SpeedTest::run_round(const CeilingSamples& ceilings, const std::function<void(const std::string&)>& progress) {
  const ModelConfig& config = model_.config;
  // Other ids every round: experts are chosen anew.
  Rng rng(round_++);
  std::vector<int32_t> prompt(static_cast<size_t>(settings_.prompt_tokens));
  for (int32_t& id : prompt) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(config.vocab)));

  engine::StateCache cache(config, settings_.prompt_tokens + settings_.answer_tokens, 1, ctx_);
  std::optional<engine::StepGraph> steps;
  std::optional<engine::DeviceSampler> device_sampler;
  if (ctx_.device == Device::kCuda) {
    steps.emplace(model_, ctx_);
    device_sampler.emplace(ctx_, config.vocab);
  }
  engine::Sequence sequence = cache.open();
  Tensor logits;
  const auto forward = [&](std::span<const int32_t> ids) {
    cache.reserve(sequence, sequence.length + static_cast<int64_t>(ids.size()));
    engine::BatchBuilder batch;
    batch.add(sequence, ids, engine::BatchBuilder::Logits::kLast);
    const Batch built = batch.build();
    logits = steps && engine::StepGraph::takes(built) ? steps->forward(built, cache.layers())
                                                      : model_.forward(ctx_, built, cache.layers());
    if (ctx_.gpu) ctx_.gpu->wait();
    sequence.length += static_cast<int64_t>(ids.size());
  };

  progress("prompt");
  const double prefill_seconds = seconds_of([&] {
    for (size_t done = 0; done < prompt.size();) {
      const size_t piece = std::min(prompt.size() - done, static_cast<size_t>(settings_.prefill_chunk));
      forward(std::span(prompt).subspan(done, piece));
      done += piece;
    }
  });

  progress("answer");
  // On a GPU as the model card has it: chosen there, it costs what greedy costs.
  engine::SamplingParams params;
  if (!device_sampler) params.temperature = 0;
  engine::Sampler sampler(params, config.vocab, prompt);
  engine::SamplerScratch scratch;
  std::vector<double> token_seconds;
  for (int64_t token = 0; token < settings_.answer_tokens; ++token)
    token_seconds.push_back(seconds_of([&] {
      std::vector<cuda::LogitEdit> edits;
      const int32_t id = device_sampler
                             ? device_sampler->sample(logits, std::array{sampler.for_device(edits)}, edits, {})[0].id
                             : sampler.sample(logits.span<float>(), scratch).id;
      sampler.accept(id);
      forward({&id, 1});
    }));

  const double decode_seconds = quantile(token_seconds, 0.5);
  samples_.prefill_seconds.values.push_back(prefill_seconds);
  samples_.decode_seconds.values.push_back(decode_seconds);
  samples_.decode_seconds_p95.values.push_back(quantile(token_seconds, 0.95));
  const Samples& peak = samples_.peak == SpeedSamples::Peak::kInt8       ? ceilings.int8_dot_ops
                        : samples_.peak == SpeedSamples::Peak::kBFloat16 ? ceilings.bf16_dot_flops
                                                                         : ceilings.float32_flops;
  if (!peak.values.empty())
    samples_.prefill_share.values.push_back(samples_.prefill_cost.flops / prefill_seconds / peak.values.back());
  if (!ceilings.read_bytes_per_second.values.empty())
    samples_.decode_share.values.push_back(static_cast<double>(samples_.decode_cost.weight_bytes) / decode_seconds /
                                           ceilings.read_bytes_per_second.values.back());
  run_depths(progress);
}

struct SpeedTest::Depth {
  Depth(const ModelConfig& config, int64_t length, int64_t answer_tokens, const Context& ctx)
      : tokens(length), cache(config, length + answer_tokens + 1, 1, ctx), sequence(cache.open()) {}
  int64_t tokens;
  engine::StateCache cache;
  engine::Sequence sequence;
};

SpeedTest::~SpeedTest() = default;

double SpeedTest::forward_seconds(Depth& depth, int64_t tokens, Rng& rng) {
  std::vector<int32_t> ids(static_cast<size_t>(tokens));
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(model_.config.vocab)));
  return seconds_of([&] {
    depth.cache.reserve(depth.sequence, depth.sequence.length + tokens);
    engine::BatchBuilder batch;
    batch.add(depth.sequence, ids, engine::BatchBuilder::Logits::kLast);
    model_.forward(ctx_, batch.build(), depth.cache.layers());
    depth.sequence.length += tokens;
  });
}

/// A token at each depth in turns, so that a busy neighbour slows all alike. Answers start at the same depth every
/// round: they are written over the last one. A lightning layer's state then has seen more tokens than the sequence is
/// long, which changes numbers and no speed.
void SpeedTest::run_depths(const std::function<void(const std::string&)>& progress) {
  if (ctx_.device == Device::kCuda) return;
  Rng rng(round_);
  for (size_t i = 0; i < settings_.depths.size(); ++i) {
    progress("depth " + std::to_string(settings_.depths[i]));
    if (depths_.size() <= i) {
      depths_.push_back(std::make_unique<Depth>(model_.config, settings_.depths[i], settings_.answer_tokens, ctx_));
      samples_.at_depths.push_back({.depth = settings_.depths[i]});
    }
    Depth& depth = *depths_[i];
    while (depth.sequence.length < depth.tokens)
      forward_seconds(depth, std::min(settings_.prefill_chunk, depth.tokens - depth.sequence.length), rng);
  }
  std::vector<std::vector<double>> seconds(depths_.size()), ratios(depths_.size());
  for (int64_t token = 0; token < settings_.answer_tokens; ++token)
    for (size_t i = 0; i < depths_.size(); ++i) {
      seconds[i].push_back(forward_seconds(*depths_[i], 1, rng));
      ratios[i].push_back(seconds[0].back() / seconds[i].back());
    }
  for (size_t i = 0; i < depths_.size(); ++i) {
    depths_[i]->sequence.length = depths_[i]->tokens;
    samples_.at_depths[i].decode_seconds.values.push_back(quantile(seconds[i], 0.5));
    samples_.at_depths[i].ratio.values.push_back(quantile(ratios[i], 0.5));
  }
}

}  // namespace minimax::cli
