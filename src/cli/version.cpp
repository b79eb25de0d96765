#include <fmt/format.h>

#include "cli/verbs.h"
#include "core/version.h"

namespace minimax::cli {

std::string version_line() {
  return fmt::format("minimax {} ({})", version(), commit());
}

int run_verb(const VersionOptions& options, Session& session) {
  if (options.json)
    session.terminal.print_line(fmt::format(R"({{"version": "{}", "commit": "{}"}})", version(), commit()));
  else
    session.terminal.print_line(version_line());
  return 0;
}

}  // namespace minimax::cli
