// Why an answer ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string_view>

namespace minimax::engine {

enum class FinishReason : uint8_t {
  kNone,        ///< not ended yet
  kStopToken,   ///< the model ended its turn, or gave a token id the request named
  kStopString,  ///< the text came to hold a string the request named
  kLength,      ///< the request's limit of tokens, or the end of the context
  kToolCalls,   ///< the turn ended with calls of tools
  kCancelled,   ///< whoever asked went away or pressed Ctrl-C
  kError,       ///< this request failed
  kDeadline,    ///< the request's time was over
  kLoop,        ///< the model had begun to repeat itself (engine::LoopGuard)
};

inline constexpr size_t kFinishReasons = 9;

/// For logs and `--json`: none, stop_token, stop_string, length, tool_calls, cancelled, error, deadline,
/// loop.
std::string_view to_string(FinishReason reason);
std::ostream& operator<<(std::ostream& out, FinishReason reason);

/// As `finish_reason` of the OpenAI API: stop, length, tool_calls. What that API has no word for is spelled as vLLM
/// does (abort, error); deadline and loop are our own. Empty for kNone, where the API has null.
std::string_view openai_name(FinishReason reason);

}  // namespace minimax::engine
