// Small draws that every task makes from its random numbers.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/rng.h"
#include "rl/answer.h"
#include "rl/tasks/task.h"

namespace minimax::rl {

/// Uniform in [least, most].
inline int64_t between(Rng& rng, int64_t least, int64_t most) {
  return least + static_cast<int64_t>(rng.below(static_cast<uint64_t>(most - least + 1)));
}

template <typename Items>
auto& pick(Rng& rng, Items& items) {
  return items[rng.below(std::size(items))];
}

/// Fisher and Yates, with the same result everywhere (std::shuffle leaves its draws open).
template <typename T>
void shuffle(Rng& rng, std::vector<T>& items) {
  for (size_t left = items.size(); left > 1; --left) std::swap(items[left - 1], items[rng.below(left)]);
}

struct Range {
  int64_t least, most;
};

/// The range of a level, 1 to kLevels.
inline Range of_level(const std::array<Range, kLevels>& ranges, int64_t level) {
  return ranges[static_cast<size_t>(level - 1)];
}
inline int64_t draw(Rng& rng, const std::array<Range, kLevels>& ranges, int64_t level) {
  const Range range = of_level(ranges, level);
  return between(rng, range.least, range.most);
}

template <typename Items>
std::string join(const Items& items, std::string_view separator) {
  std::string out;
  for (const auto& item : items) {
    if (!out.empty()) out += separator;
    if constexpr (std::is_arithmetic_v<std::remove_cvref_t<decltype(item)>>)
      out += std::to_string(item);
    else
      out += item;
  }
  return out;
}

/// The answer is the whole number gold["answer"].
inline Verdict check_integer(const io::json::object& gold, std::string_view answer) {
  const auto value = parse_integer(answer);
  if (!value) return {false, "not_an_integer"};
  return *value == gold.at("answer").as_int64() ? Verdict{true, "correct"} : Verdict{false, "wrong_value"};
}

/// The answer is the text gold["answer"], spaces ignored.
inline Verdict check_text(const io::json::object& gold, std::string_view answer) {
  const std::string_view want = gold.at("answer").as_string();
  std::string squeezed, squeezed_want;
  std::copy_if(answer.begin(), answer.end(), std::back_inserter(squeezed), [](char c) { return c != ' '; });
  std::copy_if(want.begin(), want.end(), std::back_inserter(squeezed_want), [](char c) { return c != ' '; });
  return squeezed == squeezed_want ? Verdict{true, "correct"} : Verdict{false, "wrong_value"};
}

/// The answer is the words of gold["answer"], in order, one or more spaces between.
inline Verdict check_words(const io::json::object& gold, std::string_view answer) {
  const std::string_view want = gold.at("answer").as_string();
  if (answer.find('\n') != std::string_view::npos) return {false, "several_lines"};
  return split_words(answer) == split_words(want) ? Verdict{true, "correct"} : Verdict{false, "wrong_value"};
}

}  // namespace minimax::rl
