// AnswerText: one answer's way from ids to what clients see: text, reasoning, tool calls, stop strings.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/sampling/sampler.h"
#include "text/chat_output_parser.h"
#include "text/stop_strings.h"
#include "text/stream_decoder.h"

namespace minimax::server {

/// A token with its log-probs, for clients that asked for them.
struct TokenReport {
  int32_t id = -1;
  float log_prob = 0;
  std::vector<engine::TokenLogProb> top;
};

struct AnswerTextOptions {
  bool parse = true;  ///< false: all of it is content (/v1/completions)
  text::OutputParserOptions parser = {};
  /// End the answer where its content (not its reasoning, not the arguments of a call) comes to hold one of them.
  std::vector<std::string> stop = {};
  bool reports = false;  ///< keep TokenReports
};

/// Not thread-safe; one object reads one answer.
class AnswerText {
 public:
  AnswerText(const text::Tokenizer& tokenizer, AnswerTextOptions options);

  /// What one more token decides.
  struct Step {
    std::vector<text::OutputEvent> events;
    /// Tokens whose text is part of the content. They come with the events that show it or later ones.
    std::vector<TokenReport> tokens;
    bool stopped = false;     ///< a stop string was completed: the answer is over
    bool call_ended = false;  ///< a tool call was completed
    bool empty() const { return events.empty() && tokens.empty(); }
  };
  Step push(const engine::Sampled& token);
  /// The answer is over: what was held back.
  Step finish();

  /// Which string ended it.
  std::optional<std::string> stop_string() const;
  /// Complete calls so far.
  int64_t tool_calls() const { return tool_calls_; }
  /// Now inside the thinking block.
  bool in_reasoning() const { return options_.parse && parser_.in_reasoning(); }

 private:
  void take(std::vector<text::OutputEvent> events, Step& step);
  void add_content(std::string text, Step& step);

  AnswerTextOptions options_;
  text::Tokenizer tokenizer_;
  text::StreamDecoder decoder_;
  text::OutputParser parser_;
  text::StopStrings stops_;
  std::optional<int> stop_;
  int64_t tool_calls_ = 0;
  bool has_content_ = false, had_reasoning_ = false;
  std::vector<TokenReport> pending_;  // of content that is held back
};

}  // namespace minimax::server
