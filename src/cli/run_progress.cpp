#include "cli/run_progress.h"

#include <fmt/format.h>

#include <cstdlib>

namespace minimax::cli {

std::filesystem::path run_output(const std::string& out, const std::filesystem::path& of_recipe,
                                 const std::string& recipe_file) {
  if (!out.empty()) return out;
  if (!of_recipe.empty()) return of_recipe;
  return std::filesystem::path("runs") / std::filesystem::path(recipe_file).stem();
}

std::unique_ptr<comm::ProcessGroup> open_process_group() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"})
    if (std::getenv(name)) return comm::open_mpi();
  return comm::one_process();
}

std::unique_ptr<LivePage> open_live_page(const std::filesystem::path& run, std::optional<uint16_t> port,
                                         const comm::ProcessGroup& group, Terminal& terminal) {
  if (!port || !group.is_first()) return nullptr;
  auto page = std::make_unique<LivePage>(run, *port);
  terminal.note(fmt::format("curves at http://127.0.0.1:{}/", page->port()));
  return page;
}

void RunProgress::show(const std::string& line, bool saved) {
  const bool quiet_for_long = Clock::now() - last_note_ > std::chrono::seconds(terminal_.err_is_tty() ? 60 : 30);
  if (!saved && !quiet_for_long) return terminal_.progress(line);
  terminal_.clear_progress();
  terminal_.note(line + (saved ? "  saved" : ""));
  last_note_ = Clock::now();
}

}  // namespace minimax::cli
