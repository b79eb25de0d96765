// Problem: one thing to solve with a way to score it, in the record that all environments share; and its JSON form.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"
#include "text/chat_message.h"

namespace minimax::rl {

/// Which problems are for what. Generated problems are divided by a hash of their text, so that no problem of one split
/// is ever made for another.
enum class Split : uint8_t {
  kWarmup,   ///< supervised traces
  kTrain,    ///< reinforcement learning
  kHeldOut,  ///< evaluation
};

std::string_view to_string(Split split);
/// warmup, train, heldout. Throws kInvalidArgument for another name.
Split parse_split(std::string_view name);

struct VerifierSpec {
  std::string name;  ///< a task's name, math, code, tool_dialogue, or external
  int64_t version = 1;
  io::json::object params;
};

struct Limits {
  int64_t max_new = 512;  ///< tokens of one turn
  int64_t max_turns = 1;
  double wall_seconds = 10;  ///< of the verifier
};

struct Problem {
  std::string id;
  std::string env;   ///< logic, math, code, tool
  std::string task;  ///< chain_sum, ...
  Split split = Split::kTrain;
  std::vector<text::Message> messages;  ///< the prompt
  std::vector<text::ToolDefinition> tools;
  io::json::object gold;  ///< what the verifier needs; never shown to the model
  VerifierSpec verifier;
  int64_t level = 1;  ///< of difficulty
  Limits limits;
  uint64_t seed = 0;
  std::string provenance = "generated";
};

/// What the model made of a problem.
struct Attempt {
  std::string_view text;                      ///< what it wrote, thinking included, without the id that ended it
  bool finished = true;                       ///< it ended the answer itself; false: cut off
  std::span<const std::string> earlier = {};  ///< its turns before this one, where there were several
};

struct Score {
  /// 1 right, 0 wrong; nothing when nobody could tell (our fault, never the model's): such a sample is left out.
  std::optional<double> score;
  bool correct = false;
  bool format_ok = false;  ///< one thinking block, closed, and one answer
  std::string extracted;   ///< the answer as it was read
  std::string why;         ///< one word: correct, wrong_value, no_answer, ...
  double ms = 0;           ///< the verifier's time
  int64_t verifier_version = 1;
};

io::json::object to_json(const Problem& problem);
io::json::object to_json(const Score& score);
/// One line of a file of problems. `messages` (at least one) and `verifier` are needed; the rest has defaults. Throws
/// kInvalidArgument that names the place.
Problem problem_from_json(const io::JsonField& record);

/// Messages as JSON, in the form that text::messages_from_json reads.
io::json::array to_json(const std::vector<text::Message>& messages);

}  // namespace minimax::rl
