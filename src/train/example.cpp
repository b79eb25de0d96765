#include "train/example.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "text/chat_encode.h"

namespace minimax::train {
namespace {

text::ChatTemplate chosen_template(std::span<const text::Message> messages, std::span<const text::ToolDefinition> tools,
                                   text::ChatTemplate wanted) {
  if (wanted != text::ChatTemplate::kAuto) return wanted;
  const bool has_tools = !tools.empty() || std::any_of(messages.begin(), messages.end(), [](const text::Message& m) {
    return m.role == text::Role::kTool || !m.tool_calls.empty();
  });
  return has_tools ? text::ChatTemplate::kTools : text::ChatTemplate::kOfficial;
}

/// What follows `begin` in `whole`; `message` is named when `whole` does not begin so.
text::ChatPrompt rest_of(const text::ChatPrompt& whole, const text::ChatPrompt& begin, size_t message) {
  size_t same = 0;
  while (same < begin.size() && same < whole.size() && begin[same] == whole[same]) ++same;
  text::ChatPrompt rest(whole.begin() + static_cast<std::ptrdiff_t>(same), whole.end());
  const bool ends_inside = same + 1 == begin.size() && same < whole.size() && !begin[same].special &&
                           !whole[same].special && whole[same].text.starts_with(begin[same].text);
  MM_CHECK(same == begin.size() || ends_inside, "message ", message,
           " changes how the messages before it are rendered, so the conversation is no single sequence");
  if (ends_inside) rest.front().text.erase(0, begin[same].text.size());
  return rest;
}

void append(std::span<const int32_t> ids, bool target, Example& example) {
  example.tokens.insert(example.tokens.end(), ids.begin(), ids.end());
  example.targets.insert(example.targets.end(), ids.size(), target);
}

/// A turn of which only what follows its thinking is learned. The engine closes thinking after any token, or writes an
/// empty block at once, and each of these has ids of its own.
void append_answer_alone(text::ChatPrompt turn, const text::Tokenizer& tokenizer, size_t message, Example& example) {
  constexpr std::string_view kOpen = "<think>\n", kClose = "\n</think>\n\n";
  std::string& text = turn.front().text;
  const size_t close = turn.front().special ? text.npos : text.find(kClose);
  MM_CHECK(close != text.npos && text.starts_with(kOpen), "message ", message,
           R"( is to be learned without its thinking ("learn": "answer"), and has none)");
  const std::string_view thinking = std::string_view(text).substr(0, close);
  if (thinking == kOpen) {
    append(tokenizer.encode(cat(kOpen, kClose)), false, example);
  } else {
    append(tokenizer.encode(thinking), false, example);
    append(tokenizer.encode(kClose), false, example);
  }
  text.erase(0, close + kClose.size());
  append(text::encode(turn, tokenizer), true, example);
}

}  // namespace

int64_t Example::target_count() const {
  return std::count(targets.begin(), targets.end(), true);
}

Example conversation_example(std::span<const text::Message> messages, std::span<const text::ToolDefinition> tools,
                             const text::ChatOptions& options, const text::Tokenizer& tokenizer,
                             std::span<const Learn> learn) {
  MM_CHECK(options.keep_reasoning, "a conversation to learn from keeps its reasoning");
  MM_CHECK(learn.empty() || learn.size() == messages.size(), learn.size(), " marks of what to learn for ",
           messages.size(), " messages");
  text::ChatOptions render = options;
  render.chat_template = chosen_template(messages, tools, options.chat_template);
  Example example;
  text::ChatPrompt done, line_end;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != text::Role::kAssistant) continue;
    render.add_generation_prompt = true;
    const text::ChatPrompt prompt = text::render_chat(messages.first(i), tools, render);
    render.add_generation_prompt = false;
    const text::ChatPrompt whole = text::render_chat(messages.first(i + 1), tools, render);
    append(text::encode(rest_of(prompt, done, i), tokenizer), false, example);
    // What the template puts behind the end of the turn is not the assistant's.
    text::ChatPrompt answer = rest_of(whole, prompt, i);
    done = whole;
    while (!answer.empty() && !answer.back().special) {
      done.back().text.erase(done.back().text.size() - answer.back().text.size());
      if (done.back().text.empty()) done.pop_back();
      answer.pop_back();
    }
    const Learn wanted = learn.empty() ? Learn::kAll : learn[i];
    if (wanted == Learn::kAnswer)
      append_answer_alone(std::move(answer), tokenizer, i, example);
    else
      append(text::encode(answer, tokenizer), wanted == Learn::kAll, example);
  }
  if (!example.targets.empty()) example.targets.front() = false;
  return example;
}

Example text_example(std::string_view text, const text::Tokenizer& tokenizer) {
  Example example;
  if (const auto bos = tokenizer.bos_id()) append(std::array{*bos}, true, example);
  append(tokenizer.encode(text), true, example);
  if (const auto eos = tokenizer.eos_id()) append(std::array{*eos}, true, example);
  if (!example.targets.empty()) example.targets.front() = false;
  return example;
}

std::vector<Example> cut(const Example& example, int64_t max_tokens) {
  MM_CHECK(max_tokens >= 2, "cut: runs of ", max_tokens, " tokens, expected 2 or more");
  std::vector<Example> runs;
  const auto tokens = static_cast<int64_t>(example.tokens.size());
  for (int64_t begin = 0; begin == 0 || begin + 1 < tokens; begin += max_tokens - 1) {
    const int64_t end = std::min(begin + max_tokens, tokens);
    Example run{{example.tokens.begin() + begin, example.tokens.begin() + end},
                {example.targets.begin() + begin, example.targets.begin() + end}};
    if (!run.targets.empty()) run.targets.front() = false;
    if (run.target_count() > 0) runs.push_back(std::move(run));
  }
  return runs;
}

}  // namespace minimax::train
