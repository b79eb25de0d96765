#include "cli/host_model.h"

#include "model/load.h"
#include "model/quantize_checkpoint.h"
#include "train/lora.h"

namespace minimax::cli {

MiniMaxM1 load_host_model(const ModelOptions& options, const std::filesystem::path& folder, ThreadPool& threads) {
  MiniMaxM1 model = load_model(folder, {.mmap = options.mmap, .mlock = options.mlock});
  if (!options.adapter.empty()) train::merge_adapters(options.adapter, threads, model);
  if (!options.quant.empty()) quantize_weights(model, quant::Recipe::parse(options.quant, "--quant"), threads);
  return model;
}

}  // namespace minimax::cli
