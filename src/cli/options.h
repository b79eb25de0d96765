// What each verb of the program can be told: plain structs, filled by parse.cpp and read by one file a verb.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/dtype.h"
#include "engine/sampling/sampling_params.h"

namespace minimax::cli {

enum class ColorWhen { kAuto, kAlways, kNever };
enum class LogLevel { kError, kWarn, kInfo, kDebug };

/// Flags of every verb.
struct GlobalOptions {
  int threads = 0;  ///< 0: one per processor
  bool quiet = false;
  LogLevel log_level = LogLevel::kWarn;
  ColorWhen color = ColorWhen::kAuto;
  std::string config_file;  ///< empty: the default place, if there is one
};

/// `minimax help [VERB]`, and --help anywhere.
struct HelpOptions {
  std::string verb;  ///< empty: the program
};

struct VersionOptions {
  bool json = false;
};

struct CompletionOptions {
  std::string shell;
};

/// Where to compute.
enum class DeviceChoice { kAuto, kCpu, kCuda };

/// Flags of every verb that computes with a model.
struct ModelOptions {
  std::string model;         ///< a folder in the published layout
  std::string adapter;       ///< a folder of LoRA adapters to merge into it; empty: none
  std::string quant;         ///< recipe by which the weights are quantized while they load; empty: as they are
  int64_t context_size = 0;  ///< tokens a sequence may have; 0: the engine's default
  bool mmap = true;          ///< weights stay in the page cache; else read into memory of our own
  bool mlock = false;        ///< keep them from being paged out
  bool bfloat16_matmul = false;
  KvPrecision kv_precision = KvPrecision::kFloat32;
  bool exact = false;  ///< on a GPU: float32 throughout, instead of bfloat16 operands
  DeviceChoice device = DeviceChoice::kAuto;
  bool deterministic = false;  ///< on a GPU: bits that do not depend on the batch
};

/// Flags of every verb that samples.
struct SamplingOptions {
  engine::SamplingParams params;
  std::optional<uint64_t> seed;   ///< none: another one every time
  int64_t max_tokens = 0;         ///< 0: until the model stops or its context is full
  std::vector<std::string> stop;  ///< texts that end the answer, and are not part of it
  std::vector<int32_t> stop_ids;  ///< besides the tokenizer's own
  bool ignore_eos = false;
};

struct RunOptions {
  ModelOptions model;
  SamplingOptions sampling;
  std::optional<std::string> prompt;  ///< none: `prompt_file`, else stdin
  std::string prompt_file;
  std::string ids_file;  ///< ids instead of a text; "-": stdin
  std::string system;
  bool raw = false;  ///< the prompt as it is, without the chat template
  bool hide_thinking = false;
  bool json = false;
};

struct ChatOptions {
  ModelOptions model;
  SamplingOptions sampling;
  std::string system;
  std::string load_file;  ///< a conversation saved with /save
  bool hide_thinking = false;
};

struct ForwardOptions {
  ModelOptions model;
  std::string ids_file;
  std::string out_file;
  bool hidden = false;
  std::optional<int64_t> decode_from;  ///< ids from here on go one at a time
  int64_t chunk = 0;                   ///< tokens of the prompt a step; 0: all at once
  bool json = false;
};

struct TokenizeOptions {
  std::string folder;
  std::optional<std::string> text;  ///< none: stdin
  bool decode = false;
  bool special = false;  ///< special tokens in the text count
  bool pieces = false;
  bool json = false;
};

struct InspectOptions {
  std::string model;
  bool tensors = false;
  std::string filter;  ///< names with this in them, or matching it when it has * or ?
  bool json = false;
};

struct BenchOptions {
  ModelOptions model;     ///< none: the ceilings of the machine alone
  std::string synthetic;  ///< a shape with random weights instead
  int64_t layers = 0;     ///< of the synthetic model; 0: as many as the shape has
  DType dtype = DType::kBFloat16;
  std::string type;  ///< recipe of the synthetic weights; empty: dense, of `dtype`
  int64_t prompt_tokens = 512;
  int64_t answer_tokens = 32;
  int64_t prefill_chunk = 512;
  std::string depths;  ///< separated by commas
  int rounds = 5;
  bool train = false;  ///< steps of training too
  bool json = false;
};

struct PlanOptions {
  std::string model;  ///< a folder, or its config.json
  std::string type;   ///< the recipe to show in detail; empty: the best that fits
  int64_t context_size = 32768;
  std::string gpu, ram, disk;                                ///< "24GB"; empty: what this machine has free
  std::string gpu_bandwidth, ram_bandwidth, disk_bandwidth;  ///< "800GB", a second
  bool json = false;
};

struct QuantizeVerbOptions {
  std::string model, out;
  std::string type;         ///< a recipe's rules
  std::string recipe_file;  ///< the same, in lines
  std::string fit;          ///< "24GB": the best recipe that leaves room for one sequence
  int64_t context_size = 32768;
  std::string calibration_file;
  bool nearest = false;  ///< plain rounding, to compare with
  std::string shard_size = "4GiB";
  bool json = false;
};

/// Which part of a text is read, and how.
struct TextOptions {
  std::string file;
  int64_t window = 1024;    ///< tokens that are read together
  int64_t most_tokens = 0;  ///< 0: the whole text
  bool special = false;     ///< special tokens in the text count
};

struct PerplexityOptions {
  ModelOptions model;
  TextOptions text;
  bool json = false;
};

struct CalibrateOptions {
  ModelOptions model;
  TextOptions text;
  std::string out_file;
  bool moments = true;
  bool json = false;
};

struct VerifyOptions {
  ModelOptions model;
  std::string against;
  TextOptions text;  ///< no file: weights alone are compared
  std::string svg_file;
  bool sums = true;      ///< check SHA256SUMS, where there is one
  bool tensors = false;  ///< all of them, not the worst
  bool json = false;
};

struct TrainGradOptions {
  ModelOptions model;
  std::string io_file, out_file;
  std::string loss = "ce";
  bool checkpoint_layers = false;
  bool json = false;
};

struct TrainDataOptions {
  std::vector<std::string> tasks;
  std::string levels = "1";
  int64_t count = 10;
  uint64_t seed = 0;
  std::string split = "warmup";
  double slips = 0;
  bool instructions = false, problems = false, list = false;
  std::string out_file;
};

struct TrainRlOptions {
  ModelOptions model;  ///< the device and how it computes
  std::string recipe, out;
  bool resume = false;
  int64_t batches = 0;           ///< 0: the recipe's
  std::optional<uint64_t> seed;  ///< none: the recipe's
  std::optional<uint16_t> port;  ///< of a live page
};

struct TrainSftOptions {
  ModelOptions model;  ///< the device alone
  std::string recipe, out;
  bool resume = false;
  int64_t steps = 0;             ///< 0: the recipe's
  std::optional<uint16_t> port;  ///< of a live page
};

struct TrainMergeOptions {
  ModelOptions model;
  std::string out;
};

struct TrainScoreOptions {
  ModelOptions model;
  std::vector<std::string> tasks;  ///< empty: all
  std::string levels = "1-5";
  int64_t least_level = 1, most_level = 5;
  int64_t count = 100;  ///< problems of each task and level
  uint64_t seed = 0;
  int64_t samples = 0;  ///< 0: one answer, greedy
  int64_t max_tokens = 1024;
  int64_t max_thinking_tokens = -1;
  bool json = false;
};

struct TrainTokenizerOptions {
  std::vector<std::string> files;
  std::string out;
  std::string kind = "text", digits = "groups";
  int64_t tokens = 4096, least_count = 2, longest = 32;
  bool json = false;
};

struct DoctorOptions {
  bool json = false;
};

}  // namespace minimax::cli
