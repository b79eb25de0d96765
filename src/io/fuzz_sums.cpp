// Fuzz target: a SHA256SUMS of arbitrary bytes. What is accepted names plain files, and has sums of 64 digits.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "io/sha256.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const auto& [name, sum] : minimax::io::parse_sums(text, "input"))
      if (name.empty() || name.find('/') != std::string::npos || name == ".." || sum.size() != 64) std::abort();
  } catch (const minimax::Error&) {
  }
  return 0;
}
