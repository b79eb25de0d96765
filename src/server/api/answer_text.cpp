#include "server/api/answer_text.h"

#include <utility>

namespace minimax::server {

using Kind = text::OutputEvent::Kind;

AnswerText::AnswerText(const text::Tokenizer& tokenizer, AnswerTextOptions options)
    : options_(std::move(options)),
      tokenizer_(tokenizer),
      decoder_(tokenizer),
      parser_(options_.parser),
      stops_(options_.stop) {}

void AnswerText::add_content(std::string text, Step& step) {
  text::StopStrings::Output output = stops_.push(text);
  stop_ = output.stop;
  step.stopped = stop_.has_value();
  text::append_event(step.events, Kind::kContent, output.text);
}

void AnswerText::take(std::vector<text::OutputEvent> events, Step& step) {
  for (text::OutputEvent& event : events) {
    if (stop_) return;
    if (event.kind == Kind::kContent) {
      add_content(std::move(event.text), step);
      continue;
    }
    if (event.kind == Kind::kToolCallBegin && stops_.held_bytes() > 0) {
      text::append_event(step.events, Kind::kContent, stops_.finish());
      stops_ = text::StopStrings(options_.stop);  // no stop string spans a call
    }
    if (event.kind == Kind::kToolCallEnd) {
      ++tool_calls_;
      step.call_ended = true;
    }
    step.events.push_back(std::move(event));
  }
}

AnswerText::Step AnswerText::push(const engine::Sampled& token) {
  Step step;
  if (stop_) return step;
  const bool was_reasoning = in_reasoning();
  std::string text = decoder_.push(token.id);
  if (options_.parse)
    take(parser_.feed(text), step);
  else
    add_content(std::move(text), step);
  bool reasoning = was_reasoning || in_reasoning();
  bool content = false;
  for (const text::OutputEvent& event : step.events) {
    reasoning = reasoning || event.kind == Kind::kReasoning;
    content = content || event.kind == Kind::kContent;
  }
  had_reasoning_ = had_reasoning_ || reasoning;
  if (reasoning && !content) pending_.clear();
  if (options_.reports && (!reasoning || content)) {
    // Line ends between the thinking and the answer belong to neither.
    const std::string_view bytes = tokenizer_.token_bytes(token.id);
    const bool between = had_reasoning_ && !has_content_ && !content && bytes.find_first_not_of('\n') == bytes.npos;
    if (!between) pending_.push_back({token.id, token.log_prob, token.top});
  }
  if (options_.parse && parser_.after_reasoning()) pending_.clear();  // of a tag
  has_content_ = has_content_ || content;
  if (content || !options_.parse) step.tokens = std::exchange(pending_, {});
  return step;
}

AnswerText::Step AnswerText::finish() {
  Step step;
  if (!stop_) {
    std::string text = decoder_.flush();
    if (options_.parse) {
      take(parser_.feed(text), step);
      take(parser_.finish(), step);
    } else {
      add_content(std::move(text), step);
    }
    if (!stop_) text::append_event(step.events, Kind::kContent, stops_.finish());
  }
  step.tokens = std::exchange(pending_, {});
  return step;
}

std::optional<std::string> AnswerText::stop_string() const {
  if (!stop_) return std::nullopt;
  return options_.stop[static_cast<size_t>(*stop_)];
}

}  // namespace minimax::server
