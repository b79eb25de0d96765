// Metrics: what /metrics tells of server and engine.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "engine/stats.h"
#include "server/http/http_server.h"

namespace minimax::server {

/// Counts of answered requests. From any thread.
class RequestCounts {
 public:
  /// `path`: of the route, so that strangers cannot make up as many as they like.
  void add(const std::string& path, const Outcome& outcome);
  using Counts = std::map<std::pair<std::string, int>, int64_t>;
  Counts counts() const;
  int64_t clients_gone() const;

 private:
  mutable std::mutex mutex_;
  Counts counts_;
  int64_t clients_gone_ = 0;
};

struct MetricsOptions {
  std::string model_name;
  bool vllm_names = false;  ///< vLLM's names as well
};

/// In Prometheus' text format.
std::string metrics_text(const MetricsOptions& options, const engine::EngineStats& engine, const HttpStats& http,
                         const RequestCounts& requests);

}  // namespace minimax::server
