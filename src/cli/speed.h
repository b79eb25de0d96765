// Measures how fast a model reads a prompt and writes an answer, beside what the machine can do at the same time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/rng.h"
#include "model/cost.h"
#include "model/minimax_m1.h"

namespace minimax::cli {

/// Repeats of one figure.
struct Samples {
  std::vector<double> values;

  double median() const;  ///< NaN without values, as the others
  double min() const;
  double max() const;
};

/// What a number of threads can do at most.
struct CeilingSamples {
  int threads = 1;
  Samples read_bytes_per_second;
  Samples float32_flops;
  Samples int8_dot_ops;
  Samples bf16_dot_flops;  ///< empty where the processor has no bf16 dot products
};

struct SpeedSettings {
  int64_t prompt_tokens = 512;
  int64_t answer_tokens = 32;
  int64_t prefill_chunk = 512;
  std::vector<int64_t> depths;  ///< answers after so many tokens too, in turns
  MatmulPrecision precision = MatmulPrecision::kFloat32;
};

/// One figure a round for everything, so that values of one round may be divided by each other.
struct SpeedSamples {
  Cost prefill_cost;  ///< of the whole prompt
  Cost decode_cost;   ///< of one token in the middle of the answer
  enum class Peak : uint8_t { kFloat32, kBFloat16, kInt8 };
  Peak peak = Peak::kFloat32;  ///< of the arithmetic that most products run in: the one to stand beside
  Samples prefill_seconds;
  Samples decode_seconds;      ///< of one token: the median over an answer
  Samples decode_seconds_p95;  ///< of one token: nineteen in twenty were faster
  Samples prefill_share;       ///< of the arithmetic peak measured in the same round
  Samples decode_share;        ///< of the read bandwidth measured in the same round

  struct AtDepth {
    int64_t depth;           ///< tokens before the answer
    Samples decode_seconds;  ///< of one token: the median over an answer
    Samples ratio;           ///< speed, against that of the first depth in the same round
  };
  std::vector<AtDepth> at_depths;
};

/// Adds one sample of each ceiling; about 0.6 s.
void sample_ceilings(ThreadPool& threads, CeilingSamples& ceilings);
/// The same of a GPU, whose float32 units are left out.
void sample_ceilings(cuda::Gpu& gpu, CeilingSamples& ceilings);

class SpeedTest {
 public:
  /// `model` lies where `ctx` computes. Of ctx arena and precision are not used.
  SpeedTest(const MiniMaxM1& model, const Context& ctx, const SpeedSettings& settings);
  ~SpeedTest();

  /// One prompt of random ids and one greedy answer, and the shares of the ceilings last sampled. `progress` is told
  /// what comes next.
  void run_round(const CeilingSamples& ceilings, const std::function<void(const std::string&)>& progress);
  const SpeedSamples& samples() const { return samples_; }

 private:
  struct Depth;  // a sequence of that length, kept from round to round
  double forward_seconds(Depth& depth, int64_t tokens, Rng& rng);
  void run_depths(const std::function<void(const std::string&)>& progress);

  const MiniMaxM1& model_;
  SpeedSettings settings_;
  Arena arena_;
  Context ctx_;
  SpeedSamples samples_;
  std::vector<std::unique_ptr<Depth>> depths_;
  uint64_t round_ = 0;
};

}  // namespace minimax::cli
