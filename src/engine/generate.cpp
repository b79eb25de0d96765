#include "engine/generate.h"

#include <algorithm>

#include "engine/state/state_cache.h"

namespace minimax::engine {
namespace {

EngineOptions engine_options(const ModelConfig& config, const Generator::Options& options, const Context& ctx) {
  // Beside the running sequence there is room for the snapshots of two turns: ends of prompts and of answers. On a GPU
  // two thirds of what the slots leave are pages.
  const int64_t kv = (StateCache::pages_for(options.context) + 4) * kChunk *
                     std::max<int64_t>(StateCache::kv_bytes_per_token(config), 16);
  EngineOptions engine;
  engine.context = options.context;
  engine.memory_bytes = (ctx.gpu ? kv / 2 * 3 : kv) + 5 * StateCache::state_bytes_per_sequence(config) +
                        4 * config.vocab * size_of(DType::kFloat32);
  engine.max_running = 1;
  engine.step_tokens = options.prefill_chunk;
  engine.precision = ctx.matmul_precision;
  engine.kv_precision = ctx.kv_precision;
  engine.gpu = ctx.gpu;
  engine.deterministic = ctx.deterministic;
  return engine;
}

/// Puts a result together, and asks the caller at each step whether to go on.
class Caller : public Listener {
 public:
  Caller(const OnToken& on_token, const OnPrefill& on_prefill) : on_token_(on_token), on_prefill_(on_prefill) {}

  void on_prompt(int64_t done, int64_t total) override {
    if (on_prefill_ && !on_prefill_(done, total)) wanted = false;
  }
  FinishReason on_token(const Token& token) override {
    if (!wanted) return FinishReason::kCancelled;
    result.ids.push_back(token.sampled.id);
    result.log_probs.push_back(token.sampled.log_prob);
    if (on_token_ && !on_token_(token.sampled)) wanted = false;
    return wanted ? FinishReason::kNone : FinishReason::kCancelled;
  }
  void on_finish(const AnswerEnd& end) override { ending = end; }
  void on_done(const Usage& usage) override {
    result.prompt_tokens = usage.prompt_tokens;
    result.cached_tokens = usage.cached_tokens;
    result.prefill_seconds = usage.prefill_seconds;
    result.decode_seconds = usage.decode_seconds;
  }

  GenerateResult result;
  AnswerEnd ending;
  bool wanted = true;

 private:
  const OnToken& on_token_;
  const OnPrefill& on_prefill_;
};

}  // namespace

Generator::Generator(const MiniMaxM1& model, const Context& ctx, Options options)
    : engine_(model, *ctx.threads, engine_options(model.config, options, ctx)) {}

Generator::Generator(const MiniMaxM1& model, ThreadPool& threads, Options options, MatmulPrecision precision)
    : Generator(model, {.threads = &threads, .matmul_precision = precision}, options) {}

GenerateResult Generator::generate(std::span<const int32_t> prompt, const GenerateOptions& options,
                                   const OnToken& on_token, const OnPrefill& on_prefill) {
  Request request;
  request.prompt.assign(prompt.begin(), prompt.end());
  request.sampling = options.sampling;
  request.max_tokens = options.max_tokens;
  request.stop_ids = options.stop_ids;
  request.banned = options.banned;
  const auto caller = std::make_shared<Caller>(on_token, on_prefill);
  const RequestId id = engine_.submit(std::move(request), caller);
  while (engine_.step())
    if (!caller->wanted) engine_.cancel(id);
  if (caller->ending.reason == FinishReason::kError) throw Error(caller->ending.error_kind, caller->ending.error);
  caller->result.finish = caller->ending.reason;
  return std::move(caller->result);
}

}  // namespace minimax::engine
