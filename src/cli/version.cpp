#include <fmt/format.h>

#include "cli/verbs.h"
#include "version.h"

namespace minimax::cli {

std::string version_line() {
  return fmt::format("minimax {} ({})", MINIMAX_VERSION, MINIMAX_COMMIT);
}

int run_verb(const VersionOptions& options, Session& session) {
  if (options.json)
    session.terminal.print_line(fmt::format(R"({{"version": "{}", "commit": "{}"}})", MINIMAX_VERSION, MINIMAX_COMMIT));
  else
    session.terminal.print_line(version_line());
  return 0;
}

}  // namespace minimax::cli
