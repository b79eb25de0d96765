#include "rl/tasks/arithmetic.h"

#include "core/error.h"
#include "rl/tasks/draw.h"

namespace minimax::rl {
namespace {

int64_t power_of_ten(int64_t exponent) {
  int64_t value = 1;
  for (; exponent > 0; --exponent) value *= 10;
  return value;
}

// A number of exactly so many digits.
int64_t number_of_digits(Rng& rng, int64_t digits) {
  return between(rng, digits == 1 ? 0 : power_of_ten(digits - 1), power_of_ten(digits) - 1);
}

// One off, which is how people and models slip.
int64_t slipped(Rng& rng, int64_t value) {
  return value + (rng.below(2) == 0 ? 1 : -1);
}

Instance integer_instance(std::string prompt, std::string thinking, int64_t answer) {
  return {.prompt = std::move(prompt),
          .thinking = std::move(thinking),
          .answer = std::to_string(answer),
          .gold = {{"answer", answer}}};
}

}  // namespace

Instance make_addition(int64_t level, Rng& rng, const TraceOptions& options) {
  constexpr std::array<Range, kLevels> kDigits = {{{1, 3}, {2, 4}, {3, 5}, {4, 6}, {7, 10}}};
  const int64_t a = number_of_digits(rng, draw(rng, kDigits, level));
  const int64_t b = number_of_digits(rng, draw(rng, kDigits, level));
  std::vector<std::string> lines;
  const bool slips = rng.uniform() < options.slips;
  const auto columns = static_cast<int64_t>(std::to_string(std::max(a, b)).size());
  const int64_t slip_at = between(rng, 0, columns - 1);
  int64_t carry = 0, rest_a = a, rest_b = b;
  for (int64_t column = 0; column < columns; ++column, rest_a /= 10, rest_b /= 10) {
    const int64_t sum = rest_a % 10 + rest_b % 10 + carry;
    const std::string left = cat(rest_a % 10, "+", rest_b % 10, "+", carry, "=");
    std::string line = left;
    if (slips && column == slip_at) line += cat(slipped(rng, sum), " wait ", left);
    lines.push_back(line + cat(sum, " w", sum % 10, " c", sum / 10));
    carry = sum / 10;
  }
  return integer_instance(cat(a, "+", b, "="), join(lines, "\n"), a + b);
}

Instance make_chain_sum(int64_t level, Rng& rng, const TraceOptions& options) {
  constexpr std::array<Range, kLevels> kTerms = {{{2, 2}, {3, 3}, {4, 4}, {5, 5}, {6, 8}}};
  const int64_t terms = draw(rng, kTerms, level);
  int64_t total = between(rng, 1, 99);
  std::string prompt = std::to_string(total);
  std::vector<std::string> lines;
  const int64_t slip_at = rng.uniform() < options.slips ? between(rng, 1, terms - 1) : 0;
  for (int64_t term = 1; term < terms; ++term) {
    const int64_t value = between(rng, 1, 99);
    const char sign = rng.below(2) == 0 ? '+' : '-';
    prompt += cat(sign, value);
    const int64_t next = sign == '+' ? total + value : total - value;
    const std::string left = cat(total, sign, value, "=");
    std::string line = left;
    if (term == slip_at) line += cat(slipped(rng, next), " wait ", left);
    lines.push_back(line + std::to_string(next));
    total = next;
  }
  return integer_instance(prompt + "=", join(lines, "\n"), total);
}

Instance make_multiplication(int64_t level, Rng& rng, const TraceOptions& options) {
  constexpr std::array<Range, kLevels> kDigits = {{{2, 1}, {3, 1}, {2, 2}, {3, 2}, {4, 3}}};  // of each factor
  const Range digits = of_level(kDigits, level);
  const int64_t a = number_of_digits(rng, digits.least);
  const int64_t b = between(rng, digits.most == 1 ? 2 : power_of_ten(digits.most - 1), power_of_ten(digits.most) - 1);
  std::vector<std::string> lines;
  const int64_t slip_at = rng.uniform() < options.slips ? between(rng, 0, digits.most - 1) : -1;
  int64_t total = 0, rest = b, place = 1;
  for (int64_t digit = 0; digit < digits.most; ++digit, rest /= 10, place *= 10) {
    const int64_t partial = a * (rest % 10) * place;
    const std::string left = cat(a, "*", rest % 10 * place, "=");
    std::string line = left;
    if (digit == slip_at) line += cat(slipped(rng, partial), " wait ", left);
    lines.push_back(line + std::to_string(partial));
    if (digit > 0) lines.push_back(cat(total, "+", partial, "=", total + partial));
    total += partial;
  }
  return integer_instance(cat(a, "*", b, "="), join(lines, "\n"), total);
}

}  // namespace minimax::rl
