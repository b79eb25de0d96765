#include "server/api/metrics.h"

#include <map>

#include "server/api/prometheus.h"

namespace minimax::server {
namespace {

double share(int64_t part, int64_t of) {
  return of > 0 ? static_cast<double>(part) / static_cast<double>(of) : 0;
}

void add_engine(PrometheusText& out, const engine::EngineStats& e) {
  const auto gauge = [&](std::string_view name, std::string_view help, int64_t value) {
    out.gauge("minimax_" + std::string(name), help, static_cast<double>(value));
  };
  const auto counter = [&](std::string_view name, std::string_view help, int64_t value) {
    out.counter("minimax_" + std::string(name) + "_total", help, static_cast<double>(value));
  };
  gauge("requests_running", "Requests in the batch.", e.requests_running);
  gauge("requests_waiting", "Requests that wait for their first step.", e.requests_waiting);
  gauge("sequences_running", "Answers in the batch.", e.sequences_running);
  gauge("cache_memory_bytes", "Pages, state slots and snapshots in use.", e.memory_bytes);
  gauge("cache_memory_limit_bytes", "Their one budget.", e.memory_limit_bytes);
  gauge("kv_pages_used", "KV pages of 64 tokens in use.", e.pages_used);
  gauge("kv_page_bytes", "Bytes of a page over all softmax layers.", e.page_bytes);
  gauge("state_slots_used", "Lightning state slots in use.", e.slots_used);
  gauge("state_slot_bytes", "Bytes of a slot.", e.slot_bytes);
  gauge("snapshot_bytes", "Lightning states kept by the prefix cache.", e.snapshot_bytes);
  gauge("prefix_cache_pages", "Pages held by the prefix cache.", e.cached_pages);
  gauge("prefix_cache_snapshots", "Snapshots held by the prefix cache.", e.cached_snapshots);
  gauge("prefix_cache_spilled_bytes", "Cached prefixes that lie on disk.", e.spilled_bytes);
  gauge("sessions", "Sessions in memory.", e.sessions);
  counter("steps", "Forward passes.", e.steps);
  counter("requests_submitted", "Requests taken.", e.requests_submitted);
  counter("requests_refused", "Requests refused because the queue was full.", e.requests_refused);
  counter("requests_finished", "Requests that came to their end.", e.requests_finished);
  counter("requests_failed", "Requests that failed.", e.requests_failed);
  counter("requests_cancelled", "Requests whose client left.", e.requests_cancelled);
  counter("requests_past_deadline", "Requests whose time was over.", e.requests_past_deadline);
  counter("prompt_tokens", "Prompt tokens computed, cached ones not counted.", e.prompt_tokens);
  counter("generated_tokens", "Tokens of answers.", e.generated_tokens);
  counter("reasoning_tokens", "Of these, thinking.", e.reasoning_tokens);
  counter("prefix_cache_queries", "Prompts looked up.", e.cache_queries);
  counter("prefix_cache_query_tokens", "Their tokens.", e.cache_query_tokens);
  counter("prefix_cache_hit_tokens", "Of these, found.", e.cache_hit_tokens);
  counter("prefix_cache_evictions", "Prefixes forgotten.", e.cache_evictions);
  counter("prefix_cache_spills", "Prefixes written to disk.", e.cache_spills);
  counter("prefix_cache_spill_loads", "Prefixes read back.", e.cache_spill_loads);
  counter("preemptions", "Sequences set aside for others.", e.preemptions);
  counter("recomputed_tokens", "Tokens computed again after that.", e.recomputed_tokens);
  counter("drafted_tokens", "Tokens tried by prompt lookup.", e.drafted_tokens);
  counter("accepted_tokens", "Of these, kept.", e.accepted_tokens);
  counter("thinking_budget_hits", "Answers whose thinking was ended.", e.thinking_budget_hits);
  counter("loop_guard_hits", "Answers that had begun to repeat themselves.", e.loop_guard_hits);
  out.head("minimax_answers_finished_total", "Answers by how they ended.", "counter");
  for (size_t reason = 1; reason < e.answers_finished.size(); ++reason)
    out.line("minimax_answers_finished_total",
             {{"reason", std::string(to_string(static_cast<engine::FinishReason>(reason)))}},
             static_cast<double>(e.answers_finished[reason]));
  out.histogram("minimax_queue_seconds", "From request to its first step.", e.queue_seconds);
  out.histogram("minimax_time_to_first_token_seconds", "From request to first token.", e.time_to_first_token);
  out.histogram("minimax_inter_token_seconds", "From token to token of an answer.", e.inter_token);
  out.histogram("minimax_request_seconds", "From request to its end.", e.request_seconds);
  out.histogram("minimax_step_seconds", "Of one forward pass.", e.step_seconds);
}

void add_http(PrometheusText& out, const HttpStats& http, const RequestCounts& requests) {
  out.gauge("minimax_http_connections", "Open connections.", static_cast<double>(http.connections));
  out.counter("minimax_http_connections_total", "Connections accepted.", static_cast<double>(http.accepted));
  out.counter("minimax_http_refused_total", "Connections refused: too many.", static_cast<double>(http.refused));
  out.counter("minimax_http_timeouts_total", "Connections closed: too slow to ask or to read.",
              static_cast<double>(http.timed_out));
  out.counter("minimax_http_slow_readers_total", "Streams dropped: too much was waiting.",
              static_cast<double>(http.dropped_slow));
  out.counter("minimax_http_clients_gone_total", "Requests whose client left before the end.",
              static_cast<double>(requests.clients_gone()));
  out.head("minimax_http_requests_total", "Requests answered.", "counter");
  for (const auto& [key, count] : requests.counts())
    out.line("minimax_http_requests_total", {{"path", key.first}, {"status", std::to_string(key.second)}},
             static_cast<double>(count));
}

std::string_view vllm_reason(engine::FinishReason reason) {
  switch (reason) {
    case engine::FinishReason::kNone:
    case engine::FinishReason::kStopToken:
    case engine::FinishReason::kStopString:
    case engine::FinishReason::kToolCalls:
      return "stop";
    case engine::FinishReason::kLength:
      return "length";
    case engine::FinishReason::kCancelled:
    case engine::FinishReason::kDeadline:
      return "abort";
    case engine::FinishReason::kError:
      return "error";
    case engine::FinishReason::kLoop:
      return "repetition";
  }
  return "error";
}

// The names that dashboards made for vLLM look for.
void add_vllm(PrometheusText& out, const engine::EngineStats& e) {
  const auto count = [](int64_t value) { return static_cast<double>(value); };
  const double used = share(e.memory_bytes, e.memory_limit_bytes);
  out.gauge("vllm:num_requests_running", "Requests in the batch.", count(e.requests_running));
  out.gauge("vllm:num_requests_waiting", "Requests that wait.", count(e.requests_waiting));
  out.gauge("vllm:kv_cache_usage_perc", "Share of the cache budget in use.", used);
  out.gauge("vllm:gpu_cache_usage_perc", "The same under its older name.", used);
  out.counter("vllm:num_preemptions_total", "Sequences set aside for others.", count(e.preemptions));
  out.counter("vllm:prompt_tokens_total", "Prompt tokens, cached ones too.",
              count(e.prompt_tokens + e.cache_hit_tokens));
  out.counter("vllm:generation_tokens_total", "Tokens of answers.", count(e.generated_tokens));
  out.counter("vllm:prefix_cache_queries_total", "Prompt tokens looked up.", count(e.cache_query_tokens));
  out.counter("vllm:prefix_cache_hits_total", "Of these, found.", count(e.cache_hit_tokens));
  out.counter("vllm:spec_decode_num_draft_tokens_total", "Tokens tried.", count(e.drafted_tokens));
  out.counter("vllm:spec_decode_num_accepted_tokens_total", "Of these, kept.", count(e.accepted_tokens));
  out.head("vllm:request_success_total", "Answers by how they ended.", "counter");
  std::map<std::string_view, int64_t> answers;
  for (size_t reason = 1; reason < e.answers_finished.size(); ++reason)
    answers[vllm_reason(static_cast<engine::FinishReason>(reason))] += e.answers_finished[reason];
  for (const auto& [word, number] : answers)
    out.line("vllm:request_success_total", {{"finished_reason", std::string(word)}}, count(number));
  out.histogram("vllm:time_to_first_token_seconds", "From request to first token.", e.time_to_first_token);
  out.histogram("vllm:inter_token_latency_seconds", "From token to token.", e.inter_token);
  out.histogram("vllm:time_per_output_token_seconds", "The same under its older name.", e.inter_token);
  out.histogram("vllm:e2e_request_latency_seconds", "From request to its end.", e.request_seconds);
  out.histogram("vllm:request_queue_time_seconds", "From request to its first step.", e.queue_seconds);
}

}  // namespace

void RequestCounts::add(const std::string& path, const Outcome& outcome) {
  const std::lock_guard lock(mutex_);
  ++counts_[{path, outcome.status}];
  clients_gone_ += outcome.client_gone ? 1 : 0;
}

RequestCounts::Counts RequestCounts::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

int64_t RequestCounts::clients_gone() const {
  const std::lock_guard lock(mutex_);
  return clients_gone_;
}

std::string metrics_text(const MetricsOptions& options, const engine::EngineStats& engine, const HttpStats& http,
                         const RequestCounts& requests) {
  PrometheusText out;
  add_engine(out, engine);
  add_http(out, http, requests);
  std::string text = out.text();
  if (options.vllm_names) {
    PrometheusText vllm({{"model_name", options.model_name}});
    add_vllm(vllm, engine);
    text += vllm.text();
  }
  return text;
}

}  // namespace minimax::server
