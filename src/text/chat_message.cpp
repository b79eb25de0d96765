#include "text/chat_message.h"

#include <utility>

namespace minimax::text {

std::string_view to_string(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kUser:
      return "user";
    case Role::kAssistant:
      return "assistant";
    case Role::kTool:
      return "tool";
  }
  return "?";
}

Message text_message(Role role, std::string text) {
  return {.role = role, .content = {{.text = std::move(text)}}};
}

}  // namespace minimax::text
