// Spelling suggestions for mistyped verbs, flags and settings.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace minimax::cli {

/// Edits (insert, delete, replace, swap of neighbours) between two words.
int edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word` when it is near enough to be meant (a third of its letters, at least one edit);
/// else empty.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace minimax::cli
