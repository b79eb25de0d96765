// Fuzz target: a session file of arbitrary bytes. What is accepted must be restored without a crash.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "core/error.h"
#include "engine/state/session_file.h"

namespace {

using namespace minimax;

ModelConfig tiny_config() {
  ModelConfig config;
  config.vocab = 9;
  config.hidden = 4;
  config.heads = 1;
  config.kv_heads = 1;
  config.head_dim = 2;
  config.rotary_dim = 2;
  config.layers = 2;
  config.layer_kind = {LayerKind::kLightning, LayerKind::kSoftmax};
  return config;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const ModelConfig config = tiny_config();
  static const engine::ModelTag tag{"0123456789abcdef", "any kernels"};
  static const int file = memfd_create("session", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) return 0;
  try {
    const engine::SavedSession session = engine::read_session(path, config, tag);
    if (static_cast<int64_t>(session.ids.size()) > 100000) return 0;
    engine::StateCache cache(config, static_cast<int64_t>(session.ids.size()), 1);
    engine::Sequence sequence = cache.restore(session.snapshot);
    cache.close(sequence);
  } catch (const Error&) {
  }
  return 0;
}
