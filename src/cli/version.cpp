#include <fmt/format.h>

#include <memory>

#include "cli/verbs.h"
#include "core/version.h"
#include "io/json.h"

namespace minimax::cli {

Command define_version() {
  auto json = std::make_shared<bool>(false);
  Command command{.name = "version",
                  .summary = "print version and commit",
                  .usage = "[--json]",
                  .examples = {{"minimax version --json"}},
                  .run = [json](Command&, Session& session) {
                    if (*json) {
                      const io::json::object object{{"version", version()}, {"commit", commit()}};
                      session.terminal.print_line(io::write_json(object, io::JsonStyle::kPython));
                    } else {
                      session.terminal.print_line(fmt::format("minimax {} ({})", version(), commit()));
                    }
                    return 0;
                  }};
  command.flag("--json", *json, "as JSON");
  return command;
}

}  // namespace minimax::cli
