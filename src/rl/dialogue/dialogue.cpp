#include "rl/dialogue/dialogue.h"

#include "core/error.h"
#include "rl/answer.h"
#include "rl/dialogue/tools.h"
#include "rl/tasks/draw.h"

namespace minimax::rl {
namespace {

constexpr std::string_view kKeys[] = {"apples", "pears", "plums", "boxes", "chairs", "lamps", "nails", "ropes"};
constexpr std::string_view kTitles[] = {"review", "dentist", "lunch", "training", "call", "visit"};

struct Call {
  std::string name;
  io::json::object arguments;
  std::string thought;
};

/// Builds a dialogue by doing it: every call runs in a world, whose answers become part of the solution.
class Script {
 public:
  Script(io::json::object world, Problem& problem) : world_(world), problem_(problem) {
    problem_.verifier.params["world"] = std::move(world);
  }

  void user(const std::string& text) {
    if (problem_.messages.empty()) {
      problem_.messages.push_back(text::text_message(text::Role::kUser, text));
    } else {
      solution_.push_back(text::text_message(text::Role::kUser, text));
      user_.push_back(io::json::value(text));
    }
  }

  /// The tool's result, as text or number.
  io::json::value call(const Call& call) {
    text::Message turn;
    turn.role = text::Role::kAssistant;
    turn.reasoning = call.thought;
    const std::string id = cat("call_", ++calls_), arguments = io::write_json(call.arguments, io::JsonStyle::kPython);
    turn.tool_calls.push_back({id, call.name, arguments});
    solution_.push_back(std::move(turn));
    const std::string answer = world_.call(call.name, arguments);
    text::Message result = text::text_message(text::Role::kTool, answer);
    result.tool_call_id = id;
    result.name = call.name;
    solution_.push_back(std::move(result));
    const io::json::value parsed = io::parse_json(answer, "tool");
    const io::json::value* value = parsed.as_object().if_contains("result");
    MM_CHECK_KIND(kInternal, value, "dialogue: ", call.name, " answered ", answer);
    return *value;
  }

  void answer(const std::string& thought, const std::string& text, const std::string& must_end) {
    text::Message turn = text::text_message(text::Role::kAssistant, text);
    turn.reasoning = thought;
    solution_.push_back(std::move(turn));
    says_.push_back(io::json::value(must_end));
  }

  std::vector<text::Message> finish() {
    problem_.gold["state"] = world_.state();
    problem_.gold["says"] = std::move(says_);
    problem_.gold["user"] = std::move(user_);
    problem_.limits.max_turns = 2 * calls_ + 4;
    return std::move(solution_);
  }

 private:
  ToolWorld world_;
  Problem& problem_;
  std::vector<text::Message> solution_;
  io::json::array says_, user_;
  int64_t calls_ = 0;
};

struct Stock {
  io::json::object world;
  std::vector<std::string> keys;
};

Stock random_stock(Rng& rng) {
  std::vector<std::string> keys(std::begin(kKeys), std::end(kKeys));
  shuffle(rng, keys);
  keys.resize(4);
  io::json::object store;
  for (const std::string& key : keys) store[key] = std::to_string(between(rng, 2, 99));
  Stock stock{.keys = keys};
  stock.world["store"] = std::move(store);
  stock.world["events"] = io::json::array{};
  return stock;
}

int64_t stored(Script& script, const std::string& key) {
  return *parse_integer(script.call({"get", {{"key", key}}, cat("look up ", key)}).as_string());
}

int64_t add(Script& script, int64_t a, int64_t b) {
  return script.call({"calculator", {{"expression", cat(a, "+", b)}}, cat("add ", a, " and ", b)}).as_int64();
}

void one_call(Rng& rng, Script& script, const Stock& stock) {
  switch (rng.below(3)) {
    case 0: {
      const std::string expression =
          cat(between(rng, 12, 99), rng.below(2) ? "*" : "+", between(rng, 12, 99), "-", between(rng, 2, 99));
      script.user(cat("What is ", expression, "?"));
      const int64_t value = script.call({"calculator", {{"expression", expression}}, "work it out"}).as_int64();
      return script.answer("done", cat("It is ", value, "."), std::to_string(value));
    }
    case 1: {
      constexpr std::pair<std::string_view, std::string_view> kPairs[] = {
          {"km", "m"}, {"m", "cm"}, {"kg", "g"}, {"h", "min"}, {"d", "h"}, {"cm", "mm"}, {"t", "kg"}, {"h", "s"}};
      const auto& [from, to] = pick(rng, kPairs);
      const int64_t amount = between(rng, 2, 99);
      script.user(cat("How many ", to, " are ", amount, " ", from, "?"));
      const int64_t value =
          script.call({"convert", {{"value", amount}, {"from", from}, {"to", to}}, "convert it"}).as_int64();
      return script.answer("done", cat("That is ", value, "."), std::to_string(value));
    }
    default: {
      const std::string& key = pick(rng, stock.keys);
      script.user(cat("How many ", key, " are in the store?"));
      const int64_t value = stored(script, key);
      return script.answer("done", cat("There are ", value, "."), std::to_string(value));
    }
  }
}

int64_t sum_of_two(Rng& rng, Script& script, const Stock& stock, std::string_view more) {
  std::vector<std::string> keys = stock.keys;
  shuffle(rng, keys);
  script.user(cat("How many ", keys[0], " and ", keys[1], " are there together?", more));
  const int64_t first = stored(script, keys[0]);
  return add(script, first, stored(script, keys[1]));
}

void finish_sum(Script& script, int64_t sum) {
  script.answer("done", cat("Together there are ", sum, "."), std::to_string(sum));
}

void store(Script& script, const std::string& key, int64_t value) {
  script.call({"set", {{"key", key}, {"value", std::to_string(value)}}, cat("store ", value, " as ", key)});
}

void conversion_and_event(Rng& rng, Script& script) {
  const std::string title(pick(rng, kTitles));
  const int64_t hours = between(rng, 1, 4);
  const std::string date = cat("2024-0", between(rng, 1, 9), "-", between(rng, 10, 28));
  const std::string time = cat(between(rng, 10, 18), ":00");
  script.user(
      cat("Put a ", title, " of ", hours, " h into the calendar on ", date, " at ", time, ". How many minutes is it?"));
  const int64_t minutes =
      script.call({"convert", {{"value", hours}, {"from", "h"}, {"to", "min"}}, "hours to minutes"}).as_int64();
  script.call({"add_event", {{"title", title}, {"date", date}, {"time", time}, {"minutes", minutes}}, "add the event"});
  script.answer("done", cat("It is in; minutes: ", minutes, "."), std::to_string(minutes));
}

std::string_view last_word(std::string_view text) {
  const auto words = split_words(text);
  if (words.empty()) return {};
  std::string_view word = words.back();
  while (!word.empty() && std::string_view(".!?,;:*\"')").find(word.back()) != std::string_view::npos)
    word.remove_suffix(1);
  while (!word.empty() && std::string_view("*\"'(").find(word.front()) != std::string_view::npos) word.remove_prefix(1);
  return word;
}

class Dialogue : public Episode {
 public:
  explicit Dialogue(const Problem& problem)
      : problem_(problem), world_(problem.verifier.params.at("world").as_object()), gold_(problem.gold) {}

  std::vector<text::Message> reply(const text::ParsedOutput& turn) override {
    std::vector<text::Message> out;
    for (const text::ToolCall& call : turn.tool_calls) {
      text::Message result = text::text_message(text::Role::kTool, world_.call(call.name, call.arguments));
      result.tool_call_id = call.id;
      result.name = call.name;
      out.push_back(std::move(result));
    }
    if (!out.empty()) return out;
    if (turn.content.find("<tool_calls>") != std::string::npos) {
      ++broken_;
      text::Message error = text::text_message(
          text::Role::kTool,
          R"({"error": "the calls are not JSON objects with name and arguments, one on each line"})");
      error.name = "tools";
      return {error};
    }
    answers_.emplace_back(trim(turn.content));
    const io::json::array& user = gold_.at("user").as_array();
    if (answers_.size() > user.size()) return {};
    return {text::text_message(text::Role::kUser, std::string(user[answers_.size() - 1].as_string()))};
  }

  Score score(const Attempt& last) override {
    Score score{.score = 0, .format_ok = broken_ == 0 && last.finished};
    score.verifier_version = problem_.verifier.version;
    const io::json::array& says = gold_.at("says").as_array();
    score.extracted = answers_.empty() ? "" : answers_.back();
    if (!last.finished || answers_.size() != says.size()) {
      score.why = last.finished ? "no_answer" : "cut_off";
      return score;
    }
    for (size_t at = 0; at < says.size(); ++at)
      if (last_word(answers_[at]) != std::string_view(says[at].as_string())) {
        score.why = "wrong_value";
        return score;
      }
    // Equal worlds have equal texts; the record's own may have its keys in another order.
    const ToolWorld goal(gold_.at("state").as_object());
    if (io::write_json(world_.state()) != io::write_json(goal.state())) {
      score.why = "wrong_state";
      return score;
    }
    score.correct = true;
    score.why = broken_ > 0 ? "broken_call" : "correct";
    score.score = score.format_ok ? 1 : 0;
    return score;
  }

 private:
  const Problem& problem_;
  ToolWorld world_;
  const io::json::object& gold_;
  std::vector<std::string> answers_;
  int64_t broken_ = 0;
};

}  // namespace

GeneratedDialogue make_dialogue(int64_t level, uint64_t seed, Split split) {
  MM_CHECK(level >= 1 && level <= kLevels, "tool_dialogue: level ", level, ", expected 1 to ", kLevels);
  // The split decides the stream, and with it all draws: equal dialogues of two splits are as good as impossible but at
  // level 1.
  Rng rng(seed, 0x746f6f6c + static_cast<uint64_t>(level) * 16 + static_cast<uint64_t>(split));
  GeneratedDialogue out;
  Problem& problem = out.problem;
  problem.id = cat("tool_dialogue/", level, "/", to_string(split), "/", seed);
  problem.env = "tool";
  problem.task = "tool_dialogue";
  problem.split = split;
  problem.level = level;
  problem.seed = seed;
  problem.tools = tool_definitions();
  problem.verifier.name = "tool_dialogue";
  const Stock stock = random_stock(rng);
  Script script(stock.world, problem);
  if (level == 1) one_call(rng, script, stock);
  if (level == 2) finish_sum(script, sum_of_two(rng, script, stock, ""));
  if (level == 3) {
    const int64_t sum = sum_of_two(rng, script, stock, " Store the number under total.");
    store(script, "total", sum);
    finish_sum(script, sum);
  }
  if (level == 4) conversion_and_event(rng, script);
  if (level == 5) {
    const int64_t sum = sum_of_two(rng, script, stock, "");
    finish_sum(script, sum);
    const int64_t factor = between(rng, 2, 9);
    script.user(cat("And ", factor, " times as many? Store that under order."));
    const int64_t value = script.call({"calculator", {{"expression", cat(sum, "*", factor)}}, "multiply"}).as_int64();
    store(script, "order", value);
    script.answer("done", cat("It is stored: ", value, "."), std::to_string(value));
  }
  out.solution = script.finish();
  return out;
}

std::unique_ptr<Episode> begin_dialogue(const Problem& problem) {
  return std::make_unique<Dialogue>(problem);
}

}  // namespace minimax::rl
