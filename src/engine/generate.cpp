#include "engine/generate.h"

#include "cuda/gpu.h"

#include <algorithm>
#include <chrono>

namespace minimax::engine {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int64_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

}  // namespace

Generator::Generator(const MiniMaxM1& model, const Context& ctx, Options options)
    : model_(model),
      options_(options),
      arena_(ctx.gpu),
      ctx_(ctx),
      cache_(model.config, options.context, 1, ctx),
      sequence_(cache_.open()) {
  ctx_.arena = &arena_;
  if (ctx_.device == Device::kCuda) step_graph_.emplace(model_, ctx_);
}

Generator::Generator(const MiniMaxM1& model, ThreadPool& threads, Options options, MatmulPrecision precision)
    : Generator(model, {.threads = &threads, .matmul_precision = precision}, options) {}

void Generator::reset() {
  cache_.close(sequence_);
  sequence_ = cache_.open();
  history_.clear();
  prompt_end_.reset();
}

/// Brings the caches to the longest usable prefix of `prompt` and returns its length. At least one token of the prompt
/// is left to compute: its logits are needed.
int64_t Generator::reuse(std::span<const int32_t> prompt) {
  const auto all_but_last = prompt.first(prompt.size() - 1);
  const int64_t common = common_prefix(history_, all_but_last);
  if (common == static_cast<int64_t>(history_.size())) return common;
  // A lightning state cannot be cut short; it can only go back to a mark.
  if (prompt_end_ && prompt_end_->length <= common) {
    cache_.rewind(sequence_, *prompt_end_);
    history_.resize(static_cast<size_t>(prompt_end_->length));
    return prompt_end_->length;
  }
  reset();
  return 0;
}

Tensor Generator::forward(std::span<const int32_t> ids) {
  cache_.reserve(sequence_, sequence_.length + static_cast<int64_t>(ids.size()));
  BatchBuilder batch;
  batch.add(sequence_, ids, BatchBuilder::Logits::kLast);
  const Batch built = batch.build();
  const Tensor logits = to_host(step_graph_ && StepGraph::takes(built) ? step_graph_->forward(built, cache_.layers())
                                                                       : model_.forward(ctx_, built, cache_.layers()));
  sequence_.length += static_cast<int64_t>(ids.size());
  history_.insert(history_.end(), ids.begin(), ids.end());
  return logits;
}

GenerateResult Generator::generate(std::span<const int32_t> prompt, const GenerateOptions& options,
                                   const OnToken& on_token, const OnPrefill& on_prefill) {
  const int64_t prompt_tokens = static_cast<int64_t>(prompt.size());
  MM_CHECK(prompt_tokens > 0, "the prompt is empty, expected at least one token");
  MM_CHECK(prompt_tokens < options_.context, "the prompt has ", prompt_tokens, " tokens, the context holds ",
           options_.context, " with the answer");
  for (const int32_t id : prompt)
    MM_CHECK(id >= 0 && id < model_.config.vocab, "prompt id ", id, ", expected 0 to ", model_.config.vocab - 1);
  if (!dead_ids_known_) {
    dead_ids_ = model_.dead_ids();
    dead_ids_known_ = true;
  }
  std::vector<int32_t> banned = dead_ids_;
  banned.insert(banned.end(), options.banned.begin(), options.banned.end());
  Sampler sampler(options.sampling, model_.config.vocab, prompt, banned);

  GenerateResult result{.prompt_tokens = prompt_tokens};
  const int64_t room = options_.context - prompt_tokens;
  const int64_t limit = options.max_tokens < 0 ? room : std::min(options.max_tokens, room);

  try {
    auto start = std::chrono::steady_clock::now();
    result.cached_tokens = reuse(prompt);
    Tensor logits;
    for (int64_t done = result.cached_tokens; done < prompt_tokens;) {
      // The last token goes alone: the mark before it serves the next turn, whose prompt may drop this answer's
      // thinking.
      const int64_t end = std::min(done + options_.prefill_chunk, std::max(done + 1, prompt_tokens - 1));
      if (end == prompt_tokens) prompt_end_ = cache_.mark(sequence_);
      logits = forward(prompt.subspan(static_cast<size_t>(done), static_cast<size_t>(end - done)));
      done = end;
      if (on_prefill && !on_prefill(done, prompt_tokens)) {
        reset();
        result.finish = FinishReason::kCancelled;
        return result;
      }
    }
    result.prefill_seconds = seconds_since(start);

    start = std::chrono::steady_clock::now();
    while (static_cast<int64_t>(result.ids.size()) < limit) {
      const Sampled token = sampler.sample(logits.span<float>(), scratch_);
      sampler.accept(token.id);
      result.ids.push_back(token.id);
      result.log_probs.push_back(token.log_prob);
      const bool stopped =
          std::find(options.stop_ids.begin(), options.stop_ids.end(), token.id) != options.stop_ids.end();
      const bool wanted = !on_token || on_token(token);
      if (stopped || !wanted) {
        result.finish = stopped ? FinishReason::kStopToken : FinishReason::kCancelled;
        break;
      }
      if (static_cast<int64_t>(result.ids.size()) < limit) logits = forward({&result.ids.back(), 1});
    }
    result.decode_seconds = seconds_since(start);
  } catch (...) {
    reset();
    throw;
  }
  return result;
}

}  // namespace minimax::engine
