#include "rl/tasks/boolean.h"

#include "core/error.h"
#include "rl/tasks/draw.h"

namespace minimax::rl {
namespace {

char letter(bool value) {
  return value ? 'T' : 'F';
}

struct Expression {
  std::string text;
  bool value = false;
};

// A random expression of exactly this depth, and its reductions, innermost first, one operator a line.
Expression random_expression(Rng& rng, int64_t depth, std::vector<std::string>& steps) {
  if (depth == 0) {
    const bool value = rng.below(2) == 0;
    return {std::string(1, letter(value)), value};
  }
  if (rng.below(3) == 0) {
    const Expression inner = random_expression(rng, depth - 1, steps);
    steps.push_back(cat("not ", letter(inner.value), "=", letter(!inner.value)));
    return {"not " + inner.text, !inner.value};
  }
  const bool conjunction = rng.below(2) == 0;
  const bool deep_left = rng.below(2) == 0;
  const int64_t shallow = between(rng, 0, std::min<int64_t>(1, depth - 1));
  const Expression left = random_expression(rng, deep_left ? depth - 1 : shallow, steps);
  const Expression right = random_expression(rng, deep_left ? shallow : depth - 1, steps);
  const bool value = conjunction ? left.value && right.value : left.value || right.value;
  const char* word = conjunction ? " and " : " or ";
  steps.push_back(cat(letter(left.value), word, letter(right.value), "=", letter(value)));
  return {cat("(", left.text, word, right.text, ")"), value};
}

struct BracketKind {
  char open, close;
};
constexpr BracketKind kBrackets[] = {{'(', ')'}, {'[', ']'}, {'{', '}'}, {'<', '>'}};

}  // namespace

Instance make_boolean(int64_t level, Rng& rng, const TraceOptions&) {
  constexpr std::array<Range, kLevels> kDepth = {{{2, 2}, {2, 3}, {3, 3}, {3, 4}, {5, 5}}};
  std::vector<std::string> prompt, thinking, answer;
  for (const char name : {'a', 'b', 'c'}) {
    std::vector<std::string> steps;
    const Expression expression = random_expression(rng, draw(rng, kDepth, level), steps);
    prompt.push_back(cat(name, ": ", expression.text));
    thinking.push_back(cat(name, ": ", join(steps, "\n")));
    answer.push_back(std::string(1, letter(expression.value)));
  }
  return {.prompt = join(prompt, "\n"),
          .thinking = join(thinking, "\n"),
          .answer = join(answer, " "),
          .gold = {{"answer", join(answer, " ")}}};
}

Instance make_brackets(int64_t level, Rng& rng, const TraceOptions&) {
  constexpr std::array<Range, kLevels> kLength = {{{4, 8}, {4, 10}, {6, 12}, {8, 16}, {17, 30}}};
  constexpr int64_t kKinds[kLevels] = {2, 3, 4, 4, 4};
  const int64_t length = draw(rng, kLength, level);
  const auto kinds = static_cast<uint64_t>(kKinds[level - 1]);
  std::string prefix, owed;  // the last of `owed` closes first
  std::vector<std::string> lines;
  while (static_cast<int64_t>(prefix.size()) < length || owed.empty()) {
    if (owed.empty() || (owed.size() < 8 && rng.uniform() < 0.55)) {
      const BracketKind kind = kBrackets[rng.below(kinds)];
      prefix += kind.open;
      owed += kind.close;
    } else {
      prefix += owed.back();
      owed.pop_back();
    }
    lines.push_back(cat(prefix.back(), owed.empty() ? "" : " ", std::string(owed.rbegin(), owed.rend())));
  }
  const std::string answer(owed.rbegin(), owed.rend());
  return {.prompt = "close: " + prefix, .thinking = join(lines, "\n"), .answer = answer, .gold = {{"answer", answer}}};
}

}  // namespace minimax::rl
