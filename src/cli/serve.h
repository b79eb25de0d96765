// What `minimax serve` can be told.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/options.h"

namespace minimax::cli {

struct ServeOptions {
  ModelOptions model;
  SamplingOptions sampling;  ///< of requests that say nothing else

  std::string host = "127.0.0.1";
  int64_t port = 8080;
  std::vector<std::string> names;  ///< what the model is called; none: its folder's name
  bool any_name = true;
  std::vector<std::string> api_keys;
  std::string api_key_file;
  std::string tls_certificate, tls_key;
  std::vector<std::string> cors_origins, allowed_hosts;
  bool web = true;
  bool vllm_metrics = false;
  std::string access_log = "-";  ///< a file, "-" for stderr, "off"

  int64_t max_running = 16, max_waiting = 256, step_tokens = 512;
  std::string memory;  ///< "8GB"; empty: the engine's default
  bool prefix_cache = true;
  int64_t drafts = 0;
  std::string spill_folder, spill;
  std::string session_folder;
  int64_t max_sessions = 1000;

  std::string chat_template = "auto";
  std::string system;
  int64_t max_thinking_tokens = -1;
  bool keep_reasoning = false;
  std::string reasoning_field = "both";

  int64_t max_connections = 10000;
  int64_t max_body_mb = 32;
  double shutdown_seconds = 30;
};

}  // namespace minimax::cli
