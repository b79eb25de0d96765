#include <fmt/format.h>
#include <langinfo.h>

#include <clocale>
#include <cstring>
#include <new>

#include "cli/completion.h"
#include "cli/help.h"
#include "cli/parse.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "core/error.h"

namespace minimax::cli {
namespace {

constexpr int kFailed = 1, kUsage = 2;

// UTF-8 everywhere: the person's locale when it is UTF-8, else C.UTF-8 (a bare container has none set).
void set_utf8_locale() {
  if (std::setlocale(LC_CTYPE, "") && std::strcmp(nl_langinfo(CODESET), "UTF-8") == 0) return;
  std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

int run_verb(const HelpOptions& options, Session& session) {
  const CommandSpec* command = options.verb.empty() ? &session.tree : session.tree.find_verb(options.verb);
  session.terminal.print(help_text(*command, session.terminal));
  return 0;
}

int run_verb(const CompletionOptions& options, Session& session) {
  session.terminal.print(completion_script(session.tree, options.shell));
  return 0;
}

int run_program(int argc, const char* const* argv) {
  set_utf8_locale();
  Terminal terminal;
  try {
    const CommandLine line = parse_command_line(argc, argv);
    terminal.configure(line.global);
    Session session{terminal, line.global, line.tree};
    const int code = std::visit([&](const auto& options) { return run_verb(options, session); }, line.verb);
    terminal.flush();
    return code;
  } catch (const UsageError& error) {
    terminal.error(error.what());
    terminal.note(fmt::format("see: minimax {}--help", error.verb().empty() ? "" : error.verb() + " "));
    return kUsage;
  } catch (const std::bad_alloc&) {
    terminal.error("out of memory");
  } catch (const std::exception& error) {
    terminal.error(error.what());
  }
  return kFailed;
}

}  // namespace minimax::cli
