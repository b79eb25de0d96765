// The page of curves that a training run shows while it goes on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

namespace minimax::cli {

/// Serves a run folder's report on 127.0.0.1 from a thread of its own, for as long as it lives: "/" is the page, which
/// asks for "/body" again and again, "/metrics.jsonl" the figures themselves. Nothing can be changed through it.
class LivePage {
 public:
  /// `port` 0: any free one. Throws kIo when it is taken.
  LivePage(std::filesystem::path run, uint16_t port);
  ~LivePage();
  LivePage(const LivePage&) = delete;
  LivePage& operator=(const LivePage&) = delete;

  uint16_t port() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace minimax::cli
