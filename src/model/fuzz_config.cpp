// Fuzz target: an accepted config.json is valid, and what write_config makes of it reads back as the same model.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "model/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace minimax;
  try {
    ModelConfig config = parse_config(std::string_view(reinterpret_cast<const char*>(data), size), "input");
    config.warnings.clear();
    config.model_type = "minimax_m1";
    ModelConfig again;
    try {
      again = parse_config(write_config(config), "written");
    } catch (const Error&) {
      std::abort();
    }
    if (!(again == config)) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
