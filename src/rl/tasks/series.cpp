#include "rl/tasks/series.h"

#include <cstdlib>
#include <optional>

#include "core/error.h"
#include "rl/tasks/draw.h"

namespace minimax::rl {
namespace {

int64_t days_in_month(int64_t year, int64_t month) {
  constexpr int64_t kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : kDays[month - 1];
}

std::string two_digits(int64_t number) {
  return cat(number < 10 ? "0" : "", number);
}

// What comes next, each rule with what it needs to be sure; nothing when the rule does not fit.
using Terms = std::vector<int64_t>;

std::optional<int64_t> linear(const Terms& x) {
  for (size_t at = 2; at < x.size(); ++at)
    if (x[at] - x[at - 1] != x[1] - x[0]) return std::nullopt;
  return x.back() + x[1] - x[0];
}
std::optional<int64_t> geometric(const Terms& x) {
  if (x[0] == 0 || x[1] % x[0] != 0) return std::nullopt;
  const int64_t ratio = x[1] / x[0];
  for (size_t at = 1; at < x.size(); ++at)
    if (x[at] != x[at - 1] * ratio) return std::nullopt;
  return x.back() * ratio;
}
std::optional<int64_t> fibonacci(const Terms& x) {
  for (size_t at = 2; at < x.size(); ++at)
    if (x[at] != x[at - 1] + x[at - 2]) return std::nullopt;
  return x.back() + x[x.size() - 2];
}
std::optional<int64_t> alternating(const Terms& x) {
  for (size_t at = 3; at < x.size(); ++at)
    if (x[at] - x[at - 1] != x[at - 2] - x[at - 3]) return std::nullopt;
  return x.back() + x[x.size() - 2] - x[x.size() - 3];
}
std::optional<int64_t> quadratic(const Terms& x) {
  for (size_t at = 3; at < x.size(); ++at)
    if (x[at] - 3 * x[at - 1] + 3 * x[at - 2] - x[at - 3] != 0) return std::nullopt;
  const size_t n = x.size();
  return 3 * x[n - 1] - 3 * x[n - 2] + x[n - 3];
}

struct Rule {
  std::string_view name;
  std::optional<int64_t> (*next)(const Terms&);
};
constexpr Rule kRules[] = {{"linear", linear},
                           {"geometric", geometric},
                           {"alternating", alternating},
                           {"fibonacci", fibonacci},
                           {"quadratic", quadratic}};

Terms random_terms(Rng& rng, size_t rule, int64_t size) {
  constexpr size_t kCount = 6;
  Terms x;
  const int64_t start = between(rng, 1, size), step = between(rng, 2, size / 2 + 2), other = between(rng, 1, size / 2);
  const int64_t direction = rng.below(3) == 0 ? -1 : 1;
  switch (rule) {
    case 0:
      for (size_t at = 0; at < kCount; ++at) x.push_back(start + direction * step * static_cast<int64_t>(at));
      break;
    case 1: {
      int64_t value = between(rng, 1, 5);
      const int64_t ratio = between(rng, 2, 3 + size / 20);
      for (size_t at = 0; at < 5; ++at, value *= ratio) x.push_back(value);
      break;
    }
    case 2: {
      int64_t value = start;
      for (size_t at = 0; at < kCount; ++at) {
        x.push_back(value);
        value += at % 2 == 0 ? step : direction * other;
      }
      break;
    }
    case 3:
      x = {between(rng, 1, size / 2), between(rng, 1, size / 2)};
      while (x.size() < kCount) x.push_back(x[x.size() - 1] + x[x.size() - 2]);
      break;
    default: {
      const int64_t bend = between(rng, 1, size / 10 + 1);
      int64_t value = start, grows = direction * step;
      for (size_t at = 0; at < kCount; ++at, value += grows, grows += bend) x.push_back(value);
    }
  }
  return x;
}

Terms differences(const Terms& x) {
  Terms out;
  for (size_t at = 1; at < x.size(); ++at) out.push_back(x[at] - x[at - 1]);
  return out;
}

}  // namespace

Instance make_date(int64_t level, Rng& rng, const TraceOptions&) {
  constexpr std::array<Range, kLevels> kDays = {{{1, 30}, {1, 45}, {10, 60}, {20, 90}, {91, 400}}};
  int64_t year = between(rng, 1900, 2099), month = between(rng, 1, 12);
  int64_t day = between(rng, 1, days_in_month(year, month));
  const int64_t days = draw(rng, kDays, level);
  const auto year_month = [&] { return cat(year, "-", two_digits(month)); };
  const std::string prompt = cat(year_month(), "-", two_digits(day), " +", days, " days");
  std::vector<std::string> lines = {cat(day, "+", days, "=", day + days)};
  day += days;
  while (day > days_in_month(year, month)) {
    const int64_t length = days_in_month(year, month);
    lines.push_back(cat(year_month(), " has ", length, ": ", day, "-", length, "=", day - length));
    day -= length;
    month = month % 12 + 1;
    year += month == 1;
  }
  lines.push_back(cat(year_month(), " day ", day));
  const std::string answer = cat(year_month(), "-", two_digits(day));
  return {.prompt = prompt, .thinking = join(lines, "\n"), .answer = answer, .gold = {{"answer", answer}}};
}

Instance make_next_number(int64_t level, Rng& rng, const TraceOptions&) {
  constexpr uint64_t kRuleCount[kLevels] = {2, 3, 4, 5, 5};
  constexpr int64_t kSize[kLevels] = {10, 15, 20, 30, 90};
  for (;;) {
    const size_t rule = rng.below(kRuleCount[level - 1]);
    const Terms x = random_terms(rng, rule, kSize[level - 1]);
    const auto next = kRules[rule].next(x);
    // One answer only: another rule that fits must agree, and the rule's name in the trace must be the first that fits.
    bool unclear = !next;
    for (size_t other = 0; other < std::size(kRules); ++other)
      if (const auto value = kRules[other].next(x)) unclear = unclear || value != next || other < rule;
    if (unclear || std::abs(*next) > 100000) continue;
    std::vector<std::string> lines = {join(differences(x), " ")};
    if (rule >= 2) lines.push_back(join(differences(differences(x)), " "));
    lines.emplace_back(kRules[rule].name);
    return {.prompt = "next: " + join(x, " "),
            .thinking = join(lines, "\n"),
            .answer = std::to_string(*next),
            .gold = {{"answer", *next}}};
  }
}

}  // namespace minimax::rl
