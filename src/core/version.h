// Which program this is: version and commit, in a translation unit of its own so that a commit rebuilds nothing else.
#pragma once

#include <string_view>

namespace minimax {

/// As in "0.1.0": the project's version in the top CMakeLists.txt.
std::string_view version();
/// The commit built, 12 hexadecimal digits; "unknown" when built outside a git checkout.
std::string_view commit();

}  // namespace minimax
