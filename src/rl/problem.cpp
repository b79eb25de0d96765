#include "rl/problem.h"

#include <utility>

#include "core/error.h"
#include "text/chat_json.h"

namespace minimax::rl {
namespace {

constexpr std::pair<Split, std::string_view> kSplits[] = {
    {Split::kWarmup, "warmup"}, {Split::kTrain, "train"}, {Split::kHeldOut, "heldout"}};

io::json::object to_json(const text::Message& message) {
  std::string content;
  for (const text::ContentPart& part : message.content) content += part.text;
  io::json::object out{{"role", text::to_string(message.role)}};
  if (message.reasoning) out["reasoning_content"] = *message.reasoning;
  out["content"] = content;
  if (!message.tool_calls.empty()) {
    io::json::array calls;
    for (const text::ToolCall& call : message.tool_calls) {
      io::json::object function{{"name", call.name}, {"arguments", call.arguments}};
      calls.push_back(io::json::object{{"id", call.id}, {"type", "function"}, {"function", std::move(function)}});
    }
    out["tool_calls"] = std::move(calls);
  }
  if (!message.tool_call_id.empty()) out["tool_call_id"] = message.tool_call_id;
  if (!message.name.empty()) out["name"] = message.name;
  return out;
}

}  // namespace

std::string_view to_string(Split split) {
  for (const auto& [value, name] : kSplits)
    if (value == split) return name;
  return "?";
}

Split parse_split(std::string_view name) {
  for (const auto& [value, word] : kSplits)
    if (word == name) return value;
  throw Error(ErrorKind::kInvalidArgument, cat("split \"", name, "\", expected warmup, train or heldout"));
}

io::json::array to_json(const std::vector<text::Message>& messages) {
  io::json::array out;
  for (const text::Message& message : messages) out.push_back(to_json(message));
  return out;
}

io::json::object to_json(const Problem& problem) {
  io::json::array tools;
  for (const text::ToolDefinition& tool : problem.tools) tools.push_back(io::parse_json(tool.json, "tool"));
  io::json::object verifier{
      {"name", problem.verifier.name}, {"v", problem.verifier.version}, {"params", problem.verifier.params}};
  io::json::object limits{{"max_new", problem.limits.max_new},
                          {"max_turns", problem.limits.max_turns},
                          {"wall_s", problem.limits.wall_seconds}};
  io::json::object out{{"id", problem.id},
                       {"env", problem.env},
                       {"task", problem.task},
                       {"split", to_string(problem.split)},
                       {"messages", to_json(problem.messages)}};
  out["tools"] = std::move(tools);
  out["gold"] = problem.gold;
  out["verifier"] = std::move(verifier);
  out["difficulty"] = io::json::object{{"level", problem.level}};
  out["limits"] = std::move(limits);
  out["seed"] = problem.seed;
  out["provenance"] = problem.provenance;
  return out;
}

io::json::object to_json(const Score& score) {
  io::json::object out;
  out["score"] = score.score ? io::json::value(*score.score) : io::json::value(nullptr);
  out["correct"] = score.correct;
  out["format_ok"] = score.format_ok;
  out["extracted"] = score.extracted;
  out["why"] = score.why;
  out["ms"] = score.ms;
  out["verifier_v"] = score.verifier_version;
  return out;
}

Problem problem_from_json(const io::JsonField& record) {
  Problem problem;
  problem.id = record["id"].string_or("");
  problem.env = record["env"].string_or("user");
  problem.task = record["task"].string_or("");
  problem.split = parse_split(record["split"].string_or("train"));
  problem.messages = text::messages_from_json(record["messages"]);
  problem.tools = text::tools_from_json(record["tools"]);
  if (record["gold"].has_value()) problem.gold = record["gold"].object();
  const io::JsonField verifier = record["verifier"];
  problem.verifier.name = verifier["name"].string();
  problem.verifier.version = verifier["v"].integer_or(1, 1, 1 << 20);
  if (verifier["params"].has_value()) problem.verifier.params = verifier["params"].object();
  if (const io::JsonField difficulty = record["difficulty"]; difficulty.has_value())
    problem.level = difficulty["level"].integer_or(1, 0, 1000);
  if (const io::JsonField limits = record["limits"]; limits.has_value()) {
    problem.limits.max_new = limits["max_new"].integer_or(problem.limits.max_new, 1, 1 << 24);
    problem.limits.max_turns = limits["max_turns"].integer_or(problem.limits.max_turns, 1, 1000);
    problem.limits.wall_seconds = limits["wall_s"].number_or(problem.limits.wall_seconds, 0.001, 3600);
  }
  problem.seed = static_cast<uint64_t>(record["seed"].integer_or(0));
  problem.provenance = record["provenance"].string_or("user");
  return problem;
}

}  // namespace minimax::rl
