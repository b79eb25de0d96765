#include "rl/tasks/countdown.h"

#include <cstdlib>
#include <optional>

#include "core/error.h"
#include "rl/rational.h"
#include "rl/tasks/draw.h"

namespace minimax::rl {
namespace {

constexpr int64_t kMaxLines = 60;  // of a trace; longer searches make no instance

struct Term {
  int64_t value;
  std::string text;  // in parentheses unless it is a number
};

struct Move {
  size_t left, right;
  char sign;
  int64_t value;
};

// Positive whole results only, as in the game.
std::optional<int64_t> apply(int64_t a, int64_t b, char sign) {
  switch (sign) {
    case '+':
      return a + b;
    case '*':
      return a * b;
    case '-':
      return a > b ? std::optional(a - b) : std::nullopt;
    default:
      return a % b == 0 ? std::optional(a / b) : std::nullopt;
  }
}

std::vector<Move> moves(const std::vector<Term>& terms) {
  std::vector<Move> out;
  for (size_t left = 0; left < terms.size(); ++left)
    for (size_t right = 0; right < terms.size(); ++right)
      for (const char sign : {'+', '-', '*', '/'}) {
        if (left == right || ((sign == '+' || sign == '*') && left > right)) continue;
        if (const auto value = apply(terms[left].value, terms[right].value, sign); value && *value < 1000)
          out.push_back({left, right, sign, *value});
      }
  return out;
}

std::vector<Term> after(const std::vector<Term>& terms, const Move& move) {
  std::vector<Term> out = {{move.value, cat("(", terms[move.left].text, move.sign, terms[move.right].text, ")")}};
  for (size_t term = 0; term < terms.size(); ++term)
    if (term != move.left && term != move.right) out.push_back(terms[term]);
  return out;
}

std::vector<int64_t> values(const std::vector<Term>& terms) {
  std::vector<int64_t> out;
  for (const Term& term : terms) out.push_back(term.value);
  return out;
}

io::json::array numbers_of(const std::vector<Term>& terms) {
  io::json::array out;
  for (const Term& term : terms) out.push_back(term.value);
  return out;
}

// Depth first; of two numbers all results are looked at, of more the moves that come nearest to the target or to one of
// its divisors first, three at most: a person's way of searching, whose dead ends stay in the trace.
std::optional<std::string> search(const std::vector<Term>& terms, int64_t target, std::vector<std::string>& lines) {
  std::vector<Move> ways = moves(terms);
  if (terms.size() == 2) {
    for (const Move& move : ways) {
      if (move.value != target) continue;
      lines.push_back(cat(terms[move.left].value, move.sign, terms[move.right].value, "=", target, " yes"));
      return after(terms, move)[0].text;
    }
    lines.push_back("no");
    return std::nullopt;
  }
  const auto distance = [target](const Move& move) {
    return target % move.value == 0 ? 0 : std::abs(target - move.value);
  };
  std::stable_sort(ways.begin(), ways.end(), [&](const Move& a, const Move& b) { return distance(a) < distance(b); });
  if (ways.size() > 3) ways.resize(3);
  for (const Move& move : ways) {
    const std::vector<Term> next = after(terms, move);
    lines.push_back(cat(terms[move.left].value, move.sign, terms[move.right].value, "=", move.value, " | ",
                        join(values(next), " ")));
    if (static_cast<int64_t>(lines.size()) > kMaxLines) return std::nullopt;
    if (auto found = search(next, target, lines)) return found;
  }
  return std::nullopt;
}

}  // namespace

Instance make_countdown(int64_t level, Rng& rng, const TraceOptions&) {
  constexpr int64_t kNumbers[kLevels] = {3, 3, 4, 4, 5};
  constexpr int64_t kMost[kLevels] = {10, 20, 10, 20, 20};
  for (;;) {
    std::vector<Term> terms;
    for (int64_t number = 0; number < kNumbers[level - 1]; ++number) {
      const int64_t value = between(rng, 1, kMost[level - 1]);
      terms.push_back({value, std::to_string(value)});
    }
    // The target comes from a random way through, so that there is one.
    std::vector<Term> way = terms;
    while (way.size() > 1) {
      const std::vector<Move> ways = moves(way);
      way = after(way, pick(rng, ways));
    }
    const int64_t target = way[0].value;
    if (target < 5 || target > 99) continue;
    std::vector<std::string> lines;
    const auto found = search(terms, target, lines);
    if (!found || static_cast<int64_t>(lines.size()) > kMaxLines) continue;
    return {.prompt = cat("numbers ", join(values(terms), " "), " target ", target),
            .thinking = join(lines, "\n"),
            .answer = found->substr(1, found->size() - 2),
            .gold = {{"numbers", numbers_of(terms)}, {"target", target}}};
  }
}

Verdict check_countdown(const io::json::object& gold, std::string_view answer) {
  std::vector<int64_t> numbers;
  for (const io::json::value& number : gold.at("numbers").as_array()) numbers.push_back(number.as_int64());
  const int64_t target = gold.at("target").as_int64();
  auto evaluated = evaluate(answer);
  if (!evaluated) return {false, "not_an_expression"};
  std::sort(numbers.begin(), numbers.end());
  std::sort(evaluated->numbers.begin(), evaluated->numbers.end());
  if (evaluated->numbers != numbers) return {false, "wrong_numbers"};
  if (evaluated->value != Rational{target, 1}) return {false, "wrong_value"};
  return {true, "correct"};
}

}  // namespace minimax::rl
