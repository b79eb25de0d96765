// libFuzzer target: any bytes as a schema or a pattern; what compiles must be followed to the end of the steps without
// an empty mask, and what it completes must parse.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/error.h"
#include "io/json.h"
#include "text/grammar/grammar.h"

namespace {

using namespace minimax;
using namespace minimax::text;

void require(bool condition) {
  if (!condition) std::abort();
}

constexpr int32_t kEnd = 256 + 8;

GrammarCompiler& compiler() {
  static GrammarCompiler shared = [] {
    std::vector<std::string> texts;
    for (int byte = 0; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
    for (const char* token : {"{\"", "\":", "\",\"", "\"}", "]}", "\\u00", "12", "\xC3\xA9\""})
      texts.emplace_back(token);
    texts.emplace_back();
    return GrammarCompiler(std::make_shared<const GrammarVocabulary>(std::move(texts), std::vector<int32_t>{kEnd}), 1);
  }();
  return shared;
}

void follow(const std::shared_ptr<const Grammar>& grammar, uint32_t seed, bool json) {
  GrammarMatcher matcher(grammar);
  std::string text;
  for (int step = 0; step < 100; ++step) {
    const auto mask = matcher.allowed();
    std::vector<int32_t> ids;
    for (int32_t id = 0; id <= kEnd; ++id)
      if ((mask[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0) ids.push_back(id);
    require(!ids.empty());
    require(matcher.can_end() == (ids.back() == kEnd));
    if (matcher.can_end() && json)
      io::parse_json(text, "answer", {.duplicate_keys = io::DuplicateKeys::kKeepLast});  // throws: a finding
    seed = seed * 1664525 + 1013904223;
    const int32_t id = ids[(seed >> 8) % ids.size()];
    require(matcher.accept(id));
    if (matcher.ended()) return;
    text += grammar->vocabulary().text(id);
  }
}

}  // namespace

// data[0]: what the rest is, and the seed of the tokens.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool is_schema = data[0] % 4 != 0;
  std::shared_ptr<const Grammar> grammar;
  try {
    grammar = is_schema ? compiler().json_schema(text, data[0] % 4 == 1 ? JsonSpace::kCompact : JsonSpace::kFlexible)
                        : compiler().regex(text);
  } catch (const Error&) {
    return 0;
  }
  try {
    follow(grammar, data[0], is_schema);
  } catch (const Error& error) {
    require(std::string_view(error.what()).find("too large") != std::string_view::npos ||
            std::string_view(error.what()).find("too ambiguous") != std::string_view::npos);
  }
  return 0;
}
