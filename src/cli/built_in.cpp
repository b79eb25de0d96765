#include "cli/built_in.h"

#include <vector>

namespace minimax::cli {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> places() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return {};
  const fs::path folder = program.parent_path();
  return {
      (folder / MINIMAX_MODELS_FOLDER).lexically_normal(),  // installed
      folder / "models",                                    // a copy of both, side by side
      (folder / "../../models").lexically_normal(),         // build/PRESET/minimax in a source tree
  };
}

}  // namespace

fs::path built_in_folder(std::string_view name) {
  if (name != kBuiltInModel) return {};
  std::error_code error;
  for (const fs::path& place : places())
    if (fs::exists(place / name / "config.json", error)) return place / name;
  return {};
}

std::string built_in_places() {
  std::string out;
  for (const fs::path& place : places()) out += (out.empty() ? "" : ", ") + place.string();
  return out;
}

}  // namespace minimax::cli
