// Fuzz target: whatever parse_json accepts, write_json writes so that it reads back as the same text.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "io/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace minimax;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const io::json::value value = io::parse_json(text, "input", {.max_values = 100000});
    for (const auto style : {io::JsonStyle::kCompact, io::JsonStyle::kPython, io::JsonStyle::kPretty}) {
      const std::string written = io::write_json(value, style);
      if (io::write_json(io::parse_json(written, "written"), style) != written) std::abort();
    }
  } catch (const Error&) {
  }
  return 0;
}
