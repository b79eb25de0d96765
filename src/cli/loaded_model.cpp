#include "cli/loaded_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>

#include "cli/common_flags.h"
#include "cli/device.h"
#include "cli/host_model.h"
#include "cli/input.h"
#include "cpu/isa.h"
#include "engine/generate.h"
#include "model/placement.h"
#include "text/stop_strings.h"
#include "text/stream_decoder.h"

namespace minimax::cli {

struct LoadedModel::State {
  Terminal& terminal;
  std::string folder, name;
  std::unique_ptr<cuda::Gpu> gpu;  // null: the CPU
  ThreadPool threads;
  Arena arena;
  bool deterministic;
  MatmulPrecision precision = MatmulPrecision::kFloat32;
  KvPrecision kv_precision = KvPrecision::kFloat32;
  MiniMaxM1 model;
  std::optional<text::Tokenizer> tokenizer;
  std::string no_tokenizer;  // why there is none
  text::PromptTemplate prompt_template;
  std::string no_template;  // what is wrong with the folder's
  std::optional<engine::Generator> generator;

  State(Terminal& terminal, const ModelOptions& options, int thread_count)
      : terminal(terminal),
        gpu(open_device(options)),
        threads(thread_count),
        arena(gpu.get()),
        deterministic(options.deterministic),
        precision(precision_of(options, gpu.get())),
        kv_precision(options.kv_precision) {}

  Context context() {
    return {.device = gpu ? Device::kCuda : Device::kCpu,
            .gpu = gpu.get(),
            .arena = &arena,
            .threads = &threads,
            .matmul_precision = precision,
            .kv_precision = kv_precision,
            .deterministic = deterministic};
  }

  // Ids that must not be sampled when text is wanted: specials that end nothing, and rows without a token.
  std::vector<int32_t> banned_ids(const std::vector<int32_t>& stop_ids) const {
    std::vector<int32_t> banned;
    for (int64_t id = 0; id < model.config.vocab; ++id) {
      const auto token = static_cast<int32_t>(id);
      const bool stops = std::find(stop_ids.begin(), stop_ids.end(), token) != stop_ids.end();
      if (!stops && !tokenizer->is_ordinary(token)) banned.push_back(token);
    }
    return banned;
  }

  std::vector<int32_t> stop_ids(const SamplingOptions& sampling) const {
    std::vector<int32_t> ids = sampling.stop_ids;
    if (sampling.ignore_eos) return ids;
    if (tokenizer) ids.insert(ids.end(), tokenizer->stop_ids().begin(), tokenizer->stop_ids().end());
    for (const int64_t id : model.config.eos) ids.push_back(static_cast<int32_t>(id));
    return ids;
  }
};

LoadedModel::LoadedModel(const ModelOptions& options, Session& session) {
  check_model_folder(options.model);
  const std::filesystem::path folder = options.model;
  state_ = std::make_unique<State>(session.terminal, options, session.global.threads);
  State& state = *state_;
  state.folder = options.model;
  const auto canonical = std::filesystem::canonical(folder);
  state.name = canonical.filename().string();
  state.terminal.progress(fmt::format("loading {}…", state.name));
  const auto begin = std::chrono::steady_clock::now();
  state.model = place_model(state.context(), load_host_model(options, folder, state.threads));
  for (const std::string& warning : state.model.config.warnings) state.terminal.warn(warning);
  try {
    state.tokenizer = text::Tokenizer::load(folder);
    if (state.tokenizer->vocab_size() > state.model.config.vocab)
      state.terminal.warn(fmt::format("{}: the tokenizer has {} ids, the model {}", state.name,
                                      state.tokenizer->vocab_size(), state.model.config.vocab));
    try {
      state.prompt_template = text::PromptTemplate::load(folder, *state.tokenizer);
    } catch (const Error& error) {
      state.no_template = error.what();  // prompts of ids or raw text do without
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNotFound) throw;
    state.no_tokenizer = error.what();
  }
  engine::Generator::Options generator;
  if (options.context_size > 0) generator.context = options.context_size;
  generator.context = std::min(generator.context, state.model.config.max_positions);
  state.generator.emplace(state.model, state.context(), generator);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  const std::string where =
      state.gpu ? "on the GPU" : fmt::format("{} threads, {} kernels", state.threads.size(), cpu::kernels().isa);
  state.terminal.info(fmt::format("{} loaded in {}; {}, room for {} tokens", state.name, human_seconds(seconds.count()),
                                  where, generator.context));
  state.terminal.clear_progress();
}

LoadedModel::~LoadedModel() = default;

const std::string& LoadedModel::name() const {
  return state_->name;
}
const ModelConfig& LoadedModel::config() const {
  return state_->model.config;
}
const MiniMaxM1& LoadedModel::model() const {
  return state_->model;
}
Context LoadedModel::context() {
  return state_->context();
}
bool LoadedModel::has_tokenizer() const {
  return state_->tokenizer.has_value();
}

const text::Tokenizer& LoadedModel::tokenizer() const {
  MM_CHECK_KIND(kNotFound, state_->tokenizer.has_value(), state_->no_tokenizer,
                "; without a tokenizer the model takes ids only: minimax run ", state_->folder, " --ids '[1, 2, 3]'");
  return *state_->tokenizer;
}

const text::PromptTemplate& LoadedModel::prompt_template() const {
  MM_CHECK(state_->no_template.empty(), state_->no_template);
  return state_->prompt_template;
}

Answer LoadedModel::generate(std::span<const int32_t> prompt, const SamplingOptions& sampling,
                             const AnswerCallbacks& callbacks) {
  State& state = *state_;
  Answer answer;
  answer.seed = seed_of(sampling);
  engine::GenerateOptions options;
  options.sampling = sampling.params;
  options.sampling.seed = answer.seed;
  if (sampling.max_tokens > 0) options.max_tokens = sampling.max_tokens;
  options.stop_ids = state.stop_ids(sampling);
  if (state.tokenizer && !callbacks.any_id) options.banned = state.banned_ids(options.stop_ids);
  if (!sampling.stop.empty()) tokenizer();  // throws when there is none

  std::optional<text::StreamDecoder> decoder;
  if (state.tokenizer) decoder.emplace(*state.tokenizer);
  text::StopStrings stops(sampling.stop);
  bool stopped = false;
  const auto show = [&](const std::string& text) {
    answer.text += text;
    if (callbacks.on_text && !text.empty()) callbacks.on_text(text);
  };
  const auto decoded = [&](const std::string& text) {
    const text::StopStrings::Output output = stops.push(text);
    stopped = output.stop.has_value();
    show(output.text);
  };
  const auto wanted = [&] { return !callbacks.stop_now || !callbacks.stop_now(); };
  const auto on_token = [&](const engine::Sampled& token) {
    const bool ends = std::find(options.stop_ids.begin(), options.stop_ids.end(), token.id) != options.stop_ids.end();
    if (decoder && !ends) decoded(decoder->push(token.id));
    return wanted() && !stopped;
  };
  const auto on_prefill = [&](int64_t done, int64_t total) {
    if (done < total - 1) state.terminal.progress(fmt::format("reading the prompt: {} of {} tokens", done, total));
    return wanted();
  };
  engine::GenerateResult result = state.generator->generate(prompt, options, on_token, on_prefill);
  state.terminal.clear_progress();
  if (decoder) decoded(decoder->flush());
  show(stops.finish());

  answer.ids = std::move(result.ids);
  answer.log_probs = std::move(result.log_probs);
  answer.finish = stopped ? engine::FinishReason::kStopString : result.finish;
  answer.prompt_tokens = result.prompt_tokens;
  answer.reused_tokens = result.cached_tokens;
  answer.prompt_seconds = result.prefill_seconds;
  answer.answer_seconds = result.decode_seconds;
  return answer;
}

std::string Answer::speed() const {
  const auto rate = [](int64_t tokens, double seconds) {
    return seconds > 0 ? fmt::format(", {:.1f} tokens/s", static_cast<double>(tokens) / seconds) : "";
  };
  const auto count = static_cast<int64_t>(ids.size());
  const int64_t computed = prompt_tokens - reused_tokens;
  return fmt::format("{} token{}{}; prompt {} token{} in {}", count, count == 1 ? "" : "s", rate(count, answer_seconds),
                     computed, computed == 1 ? "" : "s", human_seconds(prompt_seconds));
}

}  // namespace minimax::cli
