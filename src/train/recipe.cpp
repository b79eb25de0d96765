#include "train/recipe.h"

#include <algorithm>

#include "core/error.h"
#include "io/file.h"
#include "model/shapes.h"

namespace minimax::train {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMany = int64_t{1} << 40;

fs::path under(const fs::path& base, const std::string& path) {
  return fs::path(path).is_absolute() ? fs::path(path) : base / path;
}

/// Sizes given in [model] beside or instead of a shape's name.
ModelConfig read_shape(RecipeTable& table) {
  std::vector<std::string> names;
  for (const std::string_view name : small_shapes()) names.emplace_back(name);
  ModelConfig config = small_shape(table.choice("shape", names).value_or("nano"), 0);
  const auto size = [&](const char* key, int64_t& target, int64_t most) {
    if (const auto value = table.integer(key, 1, most)) target = *value;
  };
  int64_t softmax_every = std::find(config.layer_kind.begin(), config.layer_kind.end(), LayerKind::kSoftmax) -
                          config.layer_kind.begin() + 1;
  size("layers", config.layers, 1000);
  size("softmax_every", softmax_every, 1000);
  size("hidden", config.hidden, 1 << 20);
  size("heads", config.heads, 4096);
  size("kv_heads", config.kv_heads, 4096);
  size("head_dim", config.head_dim, 4096);
  size("experts", config.experts, 4096);
  size("top_k", config.top_k, 4096);
  size("ffn", config.ffn, 1 << 20);
  size("vocab", config.vocab, 1 << 21);
  size("max_positions", config.max_positions, 100'000'000);
  derive_plan(config, softmax_every);
  if (const auto theta = table.number("rope_theta", 1, 1e12)) config.rope_theta = *theta;
  config.tied_embeddings = table.boolean("tied_embeddings").value_or(false);
  if (config.heads % config.kv_heads != 0)
    table.fail(cat("heads are ", config.heads, ", expected a multiple of kv_heads, which are ", config.kv_heads));
  if (config.top_k > config.experts)
    table.fail(cat("top_k is ", config.top_k, ", expected at most experts, which are ", config.experts));
  return config;
}

DataRecipe read_data(RecipeTable table, const fs::path& base) {
  DataRecipe data;
  const auto path = table.text("path");
  if (!path) table.fail("has no path");
  data.path = under(base, *path);
  if (!fs::is_regular_file(data.path)) table.fail("path", cat("is ", data.path.string(), ": no such file"));
  data.name = table.text("name").value_or(data.path.stem().string());
  data.kind = table.choice("kind", {"chat", "text"}).value_or("chat") == "chat" ? DataKind::kChat : DataKind::kText;
  data.weight = table.number("weight", 1e-6, 1e6).value_or(1);
  table.done();
  return data;
}

SampleRecipe read_sample(RecipeTable table) {
  SampleRecipe sample;
  const auto prompt = table.text("prompt");
  if (!prompt) table.fail("has no prompt");
  sample.prompt = *prompt;
  sample.temperature = table.number("temperature", 0, 100).value_or(0);
  sample.max_tokens = table.integer("max_tokens", 1, kMany).value_or(sample.max_tokens);
  table.done();
  return sample;
}

void read_held_out(RecipeTable table, const fs::path& base, Recipe& recipe) {
  recipe.held_out_share = table.number("share", 0, 0.5).value_or(0);
  recipe.held_out_every = table.integer("every", 1, kMany).value_or(0);
  recipe.held_out_tokens = table.integer("tokens", 1, kMany).value_or(recipe.held_out_tokens);
  for (RecipeTable& data : table.tables("data")) recipe.held_out.push_back(read_data(data, base));
  table.done();
}

LoraOptions read_lora(RecipeTable table) {
  LoraOptions lora;
  const auto rank = table.integer("rank", 1, 4096);
  if (!rank) table.fail("has no rank");
  lora.rank = *rank;
  lora.alpha = table.number("alpha", 1e-6, 1e6).value_or(lora.alpha);
  lora.attention = table.boolean("attention").value_or(true);
  lora.experts = table.boolean("experts").value_or(false);
  if (!lora.attention && !lora.experts) table.fail("adapts neither attention nor experts");
  table.done();
  return lora;
}

}  // namespace

ModelRecipe read_model(RecipeTable table, const fs::path& base) {
  ModelRecipe model;
  if (const auto checkpoint = table.text("checkpoint")) {
    model.checkpoint = under(base, *checkpoint);
    if (!fs::is_directory(model.checkpoint))
      table.fail("checkpoint", cat("is ", model.checkpoint.string(), ": no such folder"));
  } else {
    model.shape = read_shape(table);
  }
  const std::string precision = table.choice("precision", {"float32", "bfloat16"}).value_or("float32");
  model.precision = precision == "bfloat16" ? DType::kBFloat16 : DType::kFloat32;
  table.done();
  return model;
}

Schedule read_schedule(RecipeTable table) {
  Schedule schedule;
  const auto steps = table.integer("steps", 1, kMany);
  if (!steps) table.fail("has no steps");
  schedule.total_steps = *steps;
  schedule.peak = table.number("rate", 0, 10).value_or(schedule.peak);
  schedule.warmup_steps = table.integer("warmup", 0, kMany).value_or(std::min<int64_t>(100, *steps / 10));
  const std::string decay = table.choice("decay", {"constant", "cosine", "wsd"}).value_or("cosine");
  schedule.decay = decay == "constant" ? Decay::kConstant : decay == "cosine" ? Decay::kCosine : Decay::kWsd;
  schedule.decay_steps = table.integer("decay_steps", 0, kMany).value_or(*steps / 5);
  schedule.final_share = table.number("final_share", 0, 1).value_or(0.1);
  table.done();
  return schedule;
}

void read_optimizer(RecipeTable table, TrainerOptions& options) {
  AdamWOptions& adamw = options.optimizer;
  adamw.beta1 = table.number("beta1", 0, 0.999999).value_or(adamw.beta1);
  adamw.beta2 = table.number("beta2", 0, 0.999999).value_or(adamw.beta2);
  adamw.eps = table.number("eps", 0, 1).value_or(adamw.eps);
  adamw.weight_decay = table.number("weight_decay", 0, 10).value_or(adamw.weight_decay);
  adamw.max_norm = table.number("max_norm", 0, 1e9).value_or(adamw.max_norm);
  options.skip_factor = table.number("skip_factor", 0, 1e9).value_or(options.skip_factor);
  options.pass.balance = table.number("balance", 0, 100).value_or(1e-3);
  options.balance_over_step = table.choice("balance_over", {"step", "pass"}).value_or("step") == "step";
  options.pass.checkpoint_layers = table.boolean("checkpoint_layers").value_or(false);
  table.done();
}

Recipe read_recipe(const fs::path& file) {
  const toml::table toml = read_toml(file.string());
  RecipeTable root(toml, file.string(), "");
  const fs::path base = file.has_parent_path() ? file.parent_path() : fs::path(".");
  Recipe recipe;
  recipe.source = io::read_file(file);
  recipe.seed = static_cast<uint64_t>(root.integer("seed", 0).value_or(1));
  if (const auto output = root.text("output")) recipe.output = under(base, *output);
  if (const auto folder = root.text("tokenizer")) recipe.tokenizer = under(base, *folder);
  recipe.model = read_model(root.table("model"), base);
  if (recipe.model.checkpoint.empty() && recipe.tokenizer.empty())
    root.fail("has no tokenizer, which a model without a checkpoint needs");
  for (RecipeTable& data : root.tables("data")) recipe.data.push_back(read_data(data, base));
  if (recipe.data.empty()) root.fail("has no [[data]]");
  read_held_out(root.table("held_out"), base, recipe);

  RecipeTable batch = root.table("batch");
  recipe.batch_tokens = batch.integer("tokens", 1, kMany).value_or(recipe.batch_tokens);
  recipe.pass_tokens = batch.integer("pass_tokens", 1, kMany).value_or(recipe.pass_tokens);
  recipe.context = batch.integer("context", 2, kMany).value_or(recipe.context);
  batch.done();

  if (!root.has("schedule")) root.fail("has no [schedule]");
  recipe.schedule = read_schedule(root.table("schedule"));
  read_optimizer(root.table("optimizer"), recipe.trainer);

  RecipeTable checkpoints = root.table("checkpoints");
  recipe.checkpoint_every = checkpoints.integer("every", 1, kMany).value_or(0);
  recipe.keep_last = checkpoints.integer("keep_last", 1, 1'000'000).value_or(recipe.keep_last);
  checkpoints.done();

  recipe.tensorboard = root.boolean("tensorboard").value_or(false);
  for (RecipeTable& sample : root.tables("sample")) recipe.samples.push_back(read_sample(sample));
  if (root.has("lora")) recipe.lora = read_lora(root.table("lora"));
  root.done();
  return recipe;
}

}  // namespace minimax::train
