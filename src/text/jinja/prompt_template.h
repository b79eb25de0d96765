// PromptTemplate: the chat template that a checkpoint brings along, or that the user names, ready to render prompts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/json_fwd.h"
#include "text/chat_message.h"
#include "text/chat_template.h"

namespace minimax::text {

class Tokenizer;

namespace jinja {
class Template;
}

/// Immutable; copies share. Thread-safe.
///
/// MiniMax-M1's two templates are recognised by what they make of a few conversations, whatever their text, and
/// rendered natively. Others are interpreted (docs/chat_format.md has the subset of Jinja). Special tokens come from
/// the template's own text alone: nothing in messages, tools and extra variables can become one.
class PromptTemplate {
 public:
  struct Options {
    /// Of ChatOptions, keep_all_text and chat_template mean something to MiniMax-M1's templates only.
    ChatOptions chat = {};
    /// More variables for an interpreted template, a JSON object (chat_template_kwargs); null for none.
    const io::json::object* extra = nullptr;
    /// What strftime_now tells, in seconds since 1970; negative: the time.
    int64_t now = -1;
  };

  /// MiniMax-M1's templates, as `ChatOptions::chat_template` chooses between them.
  PromptTemplate();
  /// The template of a checkpoint: chat_template.jinja, else "chat_template" of chat_template.json or
  /// tokenizer_config.json (one text, or a list of named ones, of which "default" is taken, and "tool_use" when there
  /// are tools); MiniMax-M1's when there is none. Throws kInvalidArgument naming the file and line for one that cannot
  /// be read.
  static PromptTemplate load(const std::filesystem::path& folder, const Tokenizer& tokenizer);
  /// A file with a template, or with a JSON object that has "chat_template". Throws kNotFound too.
  static PromptTemplate from_file(const std::filesystem::path& file, const Tokenizer& tokenizer);
  /// `what` names it in errors.
  static PromptTemplate from_source(std::string_view source, const Tokenizer& tokenizer, std::string_view what);

  /// The prompt of a conversation. Throws kInvalidArgument with what the template has against it; for MiniMax-M1's
  /// templates as render_chat does.
  ChatPrompt render(std::span<const Message> messages, std::span<const ToolDefinition> tools,
                    const Options& options) const;
  ChatPrompt render(std::span<const Message> messages, std::span<const ToolDefinition> tools = {}) const {
    return render(messages, tools, Options{});
  }

  /// True when one of MiniMax-M1's is rendered natively.
  bool native() const { return !normal_; }
  /// For people: parts of the template that are not known here, and fail the conversations that reach them.
  std::vector<std::string> doubts() const;
  /// For people: "MiniMax-M1 (native)", "chat_template.jinja (interpreted)".
  const std::string& description() const { return description_; }

 private:
  struct Interpreted;

  static PromptTemplate from_json(const io::json::value& config, const Tokenizer& tokenizer, std::string_view what);

  ChatTemplate choice_ = ChatTemplate::kAuto;  // natively: which, where the caller leaves it open
  std::shared_ptr<const Interpreted> normal_;  // null: natively
  std::shared_ptr<const Interpreted> with_tools_;
  std::string description_;
};

}  // namespace minimax::text
