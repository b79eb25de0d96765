// What the verbs that train share: where a run's folder lies, and how it says how far it is.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "cli/live_page.h"
#include "cli/terminal.h"
#include "comm/process_group.h"

namespace minimax::cli {

/// --out when given, else what the recipe says, else runs/ and the recipe's name.
std::filesystem::path run_output(const std::string& out, const std::filesystem::path& of_recipe,
                                 const std::string& recipe_file);

/// The processes that mpirun, srun or another starter of MPI programs has started; else this one alone.
std::unique_ptr<comm::ProcessGroup> open_process_group();

/// The page of --ui, and a note where it is; null without a port, and in all processes but the first.
std::unique_ptr<LivePage> open_live_page(const std::filesystem::path& run, std::optional<uint16_t> port,
                                         const comm::ProcessGroup& group, Terminal& terminal);

/// One line rewritten in place; a line that stays when a checkpoint was saved, and now and then.
class RunProgress {
 public:
  explicit RunProgress(Terminal& terminal) : terminal_(terminal) {}
  void show(const std::string& line, bool saved);

 private:
  using Clock = std::chrono::steady_clock;

  Terminal& terminal_;
  Clock::time_point last_note_ = Clock::now();
};

}  // namespace minimax::cli
