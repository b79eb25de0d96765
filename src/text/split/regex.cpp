#include "text/split/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <time.h>

#include "core/error.h"
#include "text/split/oniguruma.h"

namespace minimax::text {
namespace {

constexpr size_t kMostPatternBytes = 32 << 10;
// Steps of one match. A pattern that nests its repetitions would take 2^length of them.
constexpr uint32_t kMostSteps = 10'000'000;
// What one match may remember of its choices: a repetition of a group remembers each round. The JIT's is only reserved.
constexpr uint32_t kMostHeapKib = 256 << 10;
constexpr size_t kMostJitStackBytes = 128 << 20;
constexpr int kMatchesBetweenLooks = 16;

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* p) const {
    kFree(p);
  }
};
using CompileContext = std::unique_ptr<pcre2_compile_context, Free<pcre2_compile_context_free_8>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Free<pcre2_match_context_free_8>>;
using MatchData = std::unique_ptr<pcre2_match_data, Free<pcre2_match_data_free_8>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Free<pcre2_jit_stack_free_8>>;

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::string error_text(int error) {
  unsigned char text[200] = {};
  pcre2_get_error_message(error, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, Free<pcre2_code_free_8>> code;
  bool jit = false;
  std::string name;  // for errors

  [[noreturn]] void fail(size_t bytes, const std::string& why) const {
    throw Error(ErrorKind::kInvalidArgument, cat(name, ": ", why, " in a text of ", bytes, " bytes"));
  }
};

Regex::Regex(std::string_view pattern, Syntax syntax, std::string_view what) {
  const bool literal = syntax == Syntax::kLiteral;
  const std::string shown(pattern.substr(0, 200));
  MM_CHECK(!pattern.empty(), what, ": the pattern is empty");
  MM_CHECK(pattern.size() <= kMostPatternBytes, what, ": the pattern \"", shown, "…\" has ", pattern.size(),
           " bytes, expected at most ", kMostPatternBytes);
  auto made = std::make_shared<Code>();
  made->name = cat(what, ": the pattern \"", shown, pattern.size() > shown.size() ? "…" : "", "\"");
  const std::string translated = literal ? std::string(pattern) : oniguruma_to_pcre2(pattern, what);
  const CompileContext context(pcre2_compile_context_create(nullptr));
  MM_CHECK_KIND(kOutOfMemory, context, "PCRE2: out of memory");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  const uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF |
                           (literal ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C);
  int error = 0;
  PCRE2_SIZE where = 0;
  made->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), options, &error,
                                 &where, context.get()));
  MM_CHECK(made->code, made->name, ": ", error_text(error), ", at byte ", where, " of \"", translated.substr(0, 400),
           "\"");
  made->jit = pcre2_jit_compile(made->code.get(), PCRE2_JIT_COMPLETE) == 0;
  code_ = std::move(made);
}

struct RegexMatcher::State {
  std::shared_ptr<const Regex::Code> code;
  size_t bytes = 0;  // of all texts
  MatchData match;
  MatchContext context;
  JitStack stack;
  double end_seconds = 0;
  int matches = 0;

  int find(std::string_view text, size_t at, uint32_t options) const {
    const auto* const subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    const int rc = pcre2_match(code->code.get(), subject, text.size(), at, options, match.get(), context.get());
    if (rc != PCRE2_ERROR_JIT_STACKLIMIT) return rc;
    return pcre2_match(code->code.get(), subject, text.size(), at, options | PCRE2_NO_JIT, match.get(), context.get());
  }
};

RegexMatcher::RegexMatcher(const Regex& regex, size_t bytes) : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.code = regex.code_;
  state.bytes = bytes;
  state.match.reset(pcre2_match_data_create_from_pattern(regex.code_->code.get(), nullptr));
  state.context.reset(pcre2_match_context_create(nullptr));
  MM_CHECK_KIND(kOutOfMemory, state.match && state.context, "PCRE2: out of memory");
  pcre2_set_match_limit(state.context.get(), kMostSteps);
  pcre2_set_heap_limit(state.context.get(), kMostHeapKib);
  if (regex.code_->jit) {
    state.stack.reset(pcre2_jit_stack_create(32 << 10, kMostJitStackBytes, nullptr));
    pcre2_jit_stack_assign(state.context.get(), nullptr, state.stack.get());
  }
  state.end_seconds = processor_seconds() + 1 + Regex::kSecondsPerMegabyte * static_cast<double>(bytes) / (1 << 20);
}

RegexMatcher::~RegexMatcher() = default;

void RegexMatcher::for_each_match(std::string_view text, const std::function<void(size_t, size_t)>& found) {
  State& state = *state_;
  const Regex::Code& code = *state.code;
  uint32_t options = 0;
  for (size_t at = 0; at <= text.size();) {
    const int rc = state.find(text, at, options);
    if (rc == PCRE2_ERROR_NOMATCH) return;
    if (rc == PCRE2_ERROR_MATCHLIMIT)
      code.fail(state.bytes, cat("needs more than ", kMostSteps, " steps for one match"));
    if (rc == PCRE2_ERROR_HEAPLIMIT)
      code.fail(state.bytes, cat("needs more than ", kMostHeapKib >> 10, " MiB of memory for one match"));
    if (rc < 0) code.fail(state.bytes, error_text(rc));
    const PCRE2_SIZE* const bounds = pcre2_get_ovector_pointer(state.match.get());
    const size_t begin = bounds[0], end = bounds[1];
    if (end < begin || begin < at) code.fail(state.bytes, "moves its match's beginning");
    found(begin, end);
    if (++state.matches % kMatchesBetweenLooks == 0 && processor_seconds() > state.end_seconds)
      code.fail(state.bytes, cat("takes more than ", Regex::kSecondsPerMegabyte, " seconds for each megabyte"));
    at = end;
    // Behind an empty match it goes on a character further; behind any other, an empty one does not count.
    if (end > begin) {
      options = PCRE2_NOTEMPTY_ATSTART;
    } else {
      ++at;
      while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
      options = 0;
    }
  }
}

}  // namespace minimax::text
