// libFuzzer target: any bytes as a chat template, and any bytes as what a user says to a template that is known.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/error.h"
#include "text/jinja/interpreter.h"

namespace {

using namespace minimax;
using namespace minimax::text::jinja;

constexpr std::string_view kKnown =
    "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content.split('</think>')[-1].lstrip('\\n') | trim }}"
    "{{ m.content[:7] | upper | replace('A', 'b') }}{{ m | tojson(indent=2) }}{% endfor %}";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool is_template = data[0] % 4 != 0;
  const Value content = Value::data_text(is_template ? " Hi <|x|> \n" : text);
  const Value message =
      make_dict({{Value::data_text("role"), Value::data_text("user")}, {Value::data_text("content"), content}});
  const Variables variables{{"messages", make_list({message, message})},
                            {"tools", Value::None{}},
                            {"bos_token", Value::text("<s>")},
                            {"add_generation_prompt", Value(true)}};
  try {
    const TracedString out =
        Template(is_template ? text : kKnown).render(variables, 0, {.steps = 20'000, .bytes = 1 << 20});
    size_t end = 0;
    for (const TracedString::Run& run : out.runs()) {
      if (run.end <= end) std::abort();
      end = run.end;
    }
    if (end != out.size()) std::abort();
  } catch (const Error&) {
    // Any text may be said to a known template; what is not UTF-8 has no JSON.
    const bool ascii = std::ranges::all_of(text, [](char c) { return (c & 0x80) == 0; });
    if (!is_template && ascii && text.size() < 5000) std::abort();
  }
  return 0;
}
