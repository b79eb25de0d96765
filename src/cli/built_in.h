// The model that comes with the program, and where it lies.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace minimax::cli {

/// What MODEL may be instead of a folder; the default of the verbs that need no model of the user's.
constexpr const char* kBuiltInModel = "nano";

/// The folder of a built-in model: of an installed program in share/minimax/models, of one in its build folder in the
/// source tree. Empty for other names, and when it is in none of these places.
std::filesystem::path built_in_folder(std::string_view name);
/// Where it was looked for, for messages.
std::string built_in_places();

}  // namespace minimax::cli
