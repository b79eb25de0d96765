// Conversation: what was said in a chat, and its file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "text/chat_message.h"

namespace minimax::cli {

struct Conversation {
  std::string system;                   ///< empty: none
  std::vector<text::Message> messages;  ///< of user and assistant in turn

  /// With the system message in front, as the template wants them.
  std::vector<text::Message> prompt() const;
  /// Takes back the last answer and the question before it; returns the question, empty when there is none.
  std::string take_back();

  /// {"messages": [{"role": "user", "content": "..."}, ...]}, the form of the OpenAI API, with "reasoning_content" of
  /// answers. Written atomically. Throws kIo.
  void save(const std::filesystem::path& file) const;
  /// The same, and a bare list of messages. Throws kNotFound, kIo, kInvalidArgument naming the place.
  static Conversation load(const std::filesystem::path& file);
};

}  // namespace minimax::cli
