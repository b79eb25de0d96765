#include <fmt/format.h>
#include <langinfo.h>

#include <clocale>
#include <cstring>
#include <new>

#include "cli/common_flags.h"
#include "cli/parse.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "core/error.h"
#include "io/json.h"

namespace minimax::cli {
namespace {

constexpr int kFailed = 1, kUsage = 2;

// UTF-8 everywhere: the person's locale when it is UTF-8, else C.UTF-8 (a bare container has none set).
void set_utf8_locale() {
  if (std::setlocale(LC_CTYPE, "") && std::strcmp(nl_langinfo(CODESET), "UTF-8") == 0) return;
  std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

Command define_program(GlobalOptions& global) {
  Command program{.name = "minimax",
                  .summary = "Runs MiniMax-M1 and MiniMax-Text-01 checkpoints.",
                  .usage = "VERB [flags]",
                  .examples = {{"minimax chat MODEL", "MODEL is a folder: config.json, *.safetensors, tokenizer files"},
                               {"minimax run MODEL \"Why is the sky blue?\""},
                               {"minimax inspect MODEL"}},
                  .verbs = {define_chat(),         define_run(),         define_serve(),
                            define_inspect(),      define_forward(),     define_tokenize(),
                            define_plan(),         define_quantize(),    define_calibrate(),
                            define_perplexity(),   define_verify(),      define_bench(),
                            define_train_sft(),    define_train_rl(),    define_train_tokenizer(),
                            define_train_data(),   define_train_merge(), define_train_score(),
                            define_train_verify(), define_train_grad(),  define_doctor(),
                            define_completion(),   define_version(),     define_help()}};
  for (Command& verb : program.verbs) add_global_flags(verb, global);
  add_global_flags(program, global);
  program.mark("-V,--version", "version and commit");
  return program;
}

int run_program(int argc, const char* const* argv) {
  set_utf8_locale();
  Terminal terminal;
  GlobalOptions global;
  Command program = define_program(global);
  const bool* json = nullptr;
  const auto fail = [&](std::string_view kind, std::string_view message, int code) {
    // A program that reads our stdout as JSON finds the reason there too.
    if (json && *json) {
      const io::json::object error{{"kind", kind}, {"message", message}};
      terminal.print_line(io::write_json(io::json::object{{"error", error}}, io::JsonStyle::kPython));
    }
    terminal.error(message);
    return code;
  };
  try {
    Command& verb = parse_command_line(program, global, argc, argv);
    json = verb.json;
    terminal.configure(global);
    Session session{terminal, global, program};
    const int code = verb.run(verb, session);
    terminal.flush();
    return code;
  } catch (const UsageError& error) {
    const int code = fail("usage", error.what(), kUsage);
    terminal.note(fmt::format("see: minimax {}--help", error.verb().empty() ? "" : error.verb() + " "));
    return code;
  } catch (const Error& error) {
    return fail(to_string(error.kind()), error.what(), kFailed);
  } catch (const std::bad_alloc&) {
    return fail(to_string(ErrorKind::kOutOfMemory), "out of memory", kFailed);
  } catch (const std::exception& error) {
    return fail(to_string(ErrorKind::kInternal), error.what(), kFailed);
  }
}

}  // namespace minimax::cli
