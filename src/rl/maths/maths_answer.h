// Whether two mathematical answers say the same: numbers, expressions, tuples, intervals, sets, matrices, equations.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rl/tasks/task.h"

namespace minimax::rl {

struct MathsRules {
  bool percent_is_hundredth = false;     ///< 50% is 1/2, besides being 50
  std::optional<int64_t> decimals = {};  ///< numbers that agree when rounded to so many decimals are equal
};

/// Symmetric in its arguments. LaTeX or plain; dollar signs, text around, units, degree and percent signs, a leading
/// "x =" and thousands commas are taken away first. Then, in this order: the same text; numbers, exactly; expressions,
/// as functions; tuples and intervals in order and with their brackets; sets in any order, a \pm standing for its two
/// values; matrices; equations up to a factor; numbers in a base; words, in any case.
bool same_maths(std::string_view a, std::string_view b, const MathsRules& rules = {});

/// What same_maths compares when nothing else helps: the answer without what does not change its value.
std::string normalize_maths(std::string_view text);

/// The verifier "math": the answer against gold["answer"], a text; verifier params "percent" (bool) and "decimals".
Verdict check_maths(const io::json::object& gold, const io::json::object& params, std::string_view answer);

}  // namespace minimax::rl
