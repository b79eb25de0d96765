#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "model/parameters.h"
#include "model/placement.h"
#include "model/tensor_names.h"
#include "ops/balance.h"
#include "ops/gather.h"
#include "ops/log_probs.h"
#include "ops/optimizer.h"
#include "ops/transfer.h"
#include "train/unpack.h"

namespace minimax::train {
namespace {

constexpr size_t kRecentNorms = 50;

Tensor to_bfloat16_tensor(const Tensor& x) {
  const Tensor out = Tensor::empty(x.shape(), DType::kBFloat16);
  std::transform(x.span<float>().begin(), x.span<float>().end(), out.data<bfloat16>(),
                 [](float value) { return to_bfloat16(value); });
  return out;
}

/// Norms and routers stay float32, as published.
bool is_always_float32(const std::string& name, const Tensor& value) {
  return value.rank() == 1 || name.ends_with("block_sparse_moe.gate.weight") || name.ends_with("coefficient.weight");
}

Tensor host_tensor(std::span<const int32_t> values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())});
}

/// The rows' log-probs; with a tape when the context has one.
Tensor forward(Context& ctx, const MiniMaxM1& model, const TrainBatch& batch) {
  const Batch packed = batch.batch();
  ctx.router_replay = batch.router_replay.get();
  const Tensor hidden = model.hidden(ctx, packed, {});
  return ops::log_probs(ctx, ops::gather_rows(ctx, hidden, packed.rows), model.lm_head, host_tensor(batch.targets));
}

std::vector<double> to_doubles(const Context& ctx, const Tensor& x) {
  const Tensor host = ops::to_host(ctx, x);
  return {host.span<float>().begin(), host.span<float>().end()};
}

PolicyTerms cross_entropy_terms(std::span<const double> log_probs, std::span<const double> weights) {
  PolicyTerms terms;
  for (size_t row = 0; row < weights.size(); ++row) {
    terms.loss -= weights[row] * log_probs[row];
    terms.dlog_probs.push_back(-weights[row]);
  }
  return terms;
}

/// Sums over the processes.
void add_up(PassReport& report, comm::ProcessGroup& group) {
  PolicyCounts& policy = report.policy;
  double values[] = {report.loss,
                     report.balance,
                     static_cast<double>(report.tokens),
                     static_cast<double>(report.targets),
                     policy.tokens,
                     policy.capped,
                     policy.capped_positive,
                     policy.masked_high,
                     policy.masked_low,
                     policy.region,
                     policy.ratio_sum,
                     policy.kl1_sum,
                     policy.kl3_sum};
  policy.ratios = comm::all_gather<float>(group, policy.ratios);
  group.all_reduce_sum(std::span<double>(values));
  report.loss = values[0];
  report.balance = values[1];
  report.tokens = std::llround(values[2]);
  report.targets = std::llround(values[3]);
  const double largest =
      policy.ratios.empty() ? 0 : static_cast<double>(*std::max_element(policy.ratios.begin(), policy.ratios.end()));
  policy = {.tokens = values[4],
            .capped = values[5],
            .capped_positive = values[6],
            .masked_high = values[7],
            .masked_low = values[8],
            .region = values[9],
            .ratio_sum = values[10],
            .ratio_max = largest,
            .kl1_sum = values[11],
            .kl3_sum = values[12],
            .ratios = std::move(policy.ratios)};
}

void check_batch(const TrainBatch& batch) {
  const size_t rows = batch.rows.size();
  MM_CHECK(batch.targets.size() == rows && batch.weights.size() == rows, "batch: ", rows, " rows, ",
           batch.targets.size(), " targets, ", batch.weights.size(), " weights");
  MM_CHECK(batch.advantages.size() == batch.old_log_probs.size() &&
               (batch.advantages.empty() || batch.advantages.size() == rows),
           "batch: ", rows, " rows, ", batch.advantages.size(), " advantages, ", batch.old_log_probs.size(),
           " old_log_probs");
}

}  // namespace

void PassReport::add(const PassReport& other) {
  loss += other.loss;
  balance += other.balance;
  tokens += other.tokens;
  targets += other.targets;
  policy.add(other.policy);
}

TrainableModel make_trainable(const Context& ctx, const MiniMaxM1& given, DType working, PackedWeights packed) {
  MM_CHECK(working == DType::kFloat32 || working == DType::kBFloat16, "working weights are ", working,
           ", expected F32 or BF16");
  const bool keep = packed == PackedWeights::kKeep && ctx.device == Device::kCpu;
  const MiniMaxM1 source = keep ? given : unpacked(given, *ctx.threads);
  TrainableModel out{.model = place_model(ctx, source, working), .parameters = {}};
  std::vector<Tensor> sources;
  MiniMaxM1 from = source;
  for_each_parameter(from, [&](const std::string&, Tensor& value) { sources.push_back(value); });
  size_t next = 0;
  for_each_parameter(out.model, [&](const std::string& name, Tensor& value) {
    const Tensor& from_source = sources[next++];
    if (from_source.dtype() == DType::kUInt8) return;  // packed
    const Tensor host = to_float32(from_source);
    const bool exact = working == DType::kFloat32 || is_always_float32(name, value);
    Tensor master;
    if (ctx.device == Device::kCpu) {
      master = host;
      value = exact ? master : to_bfloat16_tensor(host);
    } else {  // placed: experts lie side by side there
      master = exact ? value : ops::to_device(ctx, host);
    }
    out.parameters.push_back({name, value, master, value.rank() == 2 && name != kEmbeddingName});
  });
  return out;
}

PassReport run_pass(const Context& outer, const MiniMaxM1& model, const TrainBatch& batch, const PassOptions& options,
                    double share, Gradients& gradients, const ExpertShares* expert_shares) {
  check_batch(batch);
  PassReport report{.tokens = batch.token_count(), .targets = static_cast<int64_t>(batch.rows.size())};
  if (batch.rows.empty()) return report;
  Tape tape;
  const auto layers = static_cast<double>(model.layers.size());
  BalanceLoss balance{.coefficient = static_cast<float>(options.balance * share / layers), .shares = expert_shares};
  Context ctx = outer;
  ctx.tape = &tape;
  ctx.checkpoint_layers = options.checkpoint_layers;
  ctx.balance = options.balance > 0 ? &balance : nullptr;
  const Tensor log_probs = forward(ctx, model, batch);
  const std::vector<double> values = to_doubles(ctx, log_probs);
  const PolicyTerms terms = batch.advantages.empty() ? cross_entropy_terms(values, batch.weights)
                                                     : policy_terms(options.policy, values, batch.old_log_probs,
                                                                    batch.advantages, batch.weights);
  const std::vector<float> dlog_probs(terms.dlog_probs.begin(), terms.dlog_probs.end());
  gradients.add(log_probs, ops::to_device(ctx, Tensor::from(std::span<const float>(dlog_probs), log_probs.shape())));
  tape.backward(ctx, gradients);
  report.loss = terms.loss;
  report.policy = terms.counts;
  report.balance = balance.layers > 0 ? share * balance.sum / static_cast<double>(balance.layers) : 0;
  return report;
}

Trainer::Trainer(const Context& ctx, const TrainableModel& trainable, TrainerOptions options, comm::ProcessGroup* group,
                 Reparametrization* adapters)
    : ctx_(ctx),
      trainable_(trainable),
      group_(group),
      adapters_(adapters),
      options_(options),
      optimizer_(options.optimizer) {
  ctx_.tape = nullptr;
  for (const TrainedParameter& parameter : trainable.parameters)
    optimizer_.add(ctx_, parameter.value, parameter.decays, parameter.master);
}

PassReport Trainer::accumulate(const TrainBatch& batch, double share, const ExpertShares* expert_shares) {
  return run_pass(ctx_, model(), batch, options_.pass, share, gradients_, expert_shares);
}

ExpertShares Trainer::expert_shares(std::span<const TrainBatch> batches) const {
  const auto experts = static_cast<size_t>(model().config.experts);
  // [layers, experts] how many tokens chose each expert, and all tokens.
  std::vector<double> counts(model().layers.size() * experts + 1, 0.0);
  for (size_t i = 0; i < batches.size(); ++i) {
    if (!is_own(i) || batches[i].tokens.empty()) continue;
    RouterReplay fresh;
    const RouterReplay* choices = batches[i].router_replay.get();
    if (!choices || !choices->frozen()) {
      Context ctx = ctx_;
      ctx.router_replay = &fresh;
      model().hidden(ctx, batches[i].batch(), {});
      choices = &fresh;
    }
    counts.back() += static_cast<double>(batches[i].token_count());
    for (size_t layer = 0; layer < model().layers.size(); ++layer) {
      const Tensor chosen = ops::to_host(ctx_, choices->chosen().at(model().layers[layer].moe.router.data.raw()));
      for (const int32_t expert : chosen.span<int32_t>()) counts[layer * experts + static_cast<size_t>(expert)] += 1;
    }
  }
  if (group_) group_->all_reduce_sum(std::span(counts));
  ExpertShares shares;
  for (size_t layer = 0; layer < model().layers.size(); ++layer) {
    std::vector<double>& of_layer = shares[model().layers[layer].moe.router.data.raw()];
    for (size_t e = 0; e < experts; ++e) of_layer.push_back(counts[layer * experts + e] / counts.back());
  }
  return shares;
}

double Trainer::norm_limit() const {
  if (options_.skip_factor <= 0 || recent_norms_.size() < kRecentNorms) return std::numeric_limits<double>::infinity();
  std::vector<double> sorted(recent_norms_.begin(), recent_norms_.end());
  std::nth_element(sorted.begin(), sorted.begin() + sorted.size() / 2, sorted.end());
  return options_.skip_factor * sorted[sorted.size() / 2];
}

bool Trainer::is_own(size_t batch) const {
  return !group_ || static_cast<int>(batch % static_cast<size_t>(group_->size())) == group_->rank();
}

void Trainer::add_up_gradients() {
  if (!group_ || group_->size() == 1) return;
  for (const ops::AdamWSlot& slot : optimizer_.slots()) {
    // Also those that this process had no token for: all make the same calls.
    const Tensor gradient = gradients_.accumulator(slot.weight);
    const Tensor host = ops::to_host(ctx_, gradient);
    group_->all_reduce_sum(host.span<float>());
    if (host.raw() != gradient.raw()) ops::copy_to_device(ctx_, host, gradient);
  }
}

StepReport Trainer::update(double rate, const std::function<void()>& look) {
  if (adapters_) adapters_->project(ctx_, gradients_);
  add_up_gradients();
  if (look) look();
  const StepReport report = optimizer_.step(ctx_, gradients_, rate, norm_limit());
  if (std::isfinite(report.gradient_norm)) {
    recent_norms_.push_back(report.gradient_norm);
    if (recent_norms_.size() > kRecentNorms) recent_norms_.pop_front();
  }
  if (adapters_ && !report.skipped) adapters_->apply(ctx_);
  // Kept and zeroed: the next step needs them all again.
  for (const ops::AdamWSlot& slot : optimizer_.slots())
    if (const Tensor* gradient = gradients_.find(slot.weight)) ops::fill_zero(ctx_, *gradient);
  return report;
}

StepMetrics Trainer::step(std::span<const TrainBatch> batches, double rate, const std::function<void()>& look) {
  int64_t tokens = 0;
  std::optional<ExpertShares> shares;
  if (options_.balance_over_step && options_.pass.balance > 0 && batches.size() > 1) shares = expert_shares(batches);
  for (const TrainBatch& batch : batches) tokens += batch.token_count();
  StepMetrics metrics{.rate = rate};
  for (size_t i = 0; i < batches.size(); ++i) {
    if (!is_own(i)) continue;
    metrics.pass.add(accumulate(batches[i], static_cast<double>(batches[i].token_count()) / static_cast<double>(tokens),
                                shares ? &*shares : nullptr));
  }
  if (group_) add_up(metrics.pass, *group_);
  metrics.optimizer = update(rate, look);
  return metrics;
}

std::vector<double> Trainer::log_probs(const TrainBatch& batch) const {
  check_batch(batch);
  if (batch.rows.empty()) return {};
  Context ctx = ctx_;
  return to_doubles(ctx, forward(ctx, model(), batch));
}

}  // namespace minimax::train
