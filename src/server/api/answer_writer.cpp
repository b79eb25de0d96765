#include "server/api/answer_writer.h"

#include <chrono>
#include <random>

#include "core/rng.h"

namespace minimax::server {

void SseStream::begin() {
  // X-Accel-Buffering: nginx would hold events back.
  exchange_->begin_stream({.content_type = "text/event-stream; charset=utf-8",
                           .headers = {{"cache-control", "no-cache"}, {"x-accel-buffering", "no"}}});
}

void SseStream::send(std::string_view data, std::string_view event) {
  std::string piece;
  piece.reserve(data.size() + event.size() + 20);
  if (!event.empty()) piece.append("event: ").append(event).append("\n");
  piece.append("data: ").append(data);
  constexpr size_t kBlock = 64, kEnd = 4;  // "} and two line ends
  if (obfuscate_ && piece.ends_with('}')) {
    piece.pop_back();
    piece += R"(,"obfuscation":")";
    piece.append(kBlock - (piece.size() + kEnd) % kBlock, 'x');
    piece += "\"}";
  }
  piece += "\n\n";
  exchange_->send(piece);
}

std::string new_id(std::string_view prefix) {
  constexpr std::string_view kLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  constexpr int kLength = 24;
  thread_local std::random_device device;
  Rng rng(uint64_t{device()} << 32 | device());
  std::string id(prefix);
  for (int at = 0; at < kLength; ++at) id += kLetters[rng.below(kLetters.size())];
  return id;
}

int64_t unix_seconds() {
  using namespace std::chrono;
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace minimax::server
