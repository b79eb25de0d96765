#include "engine/sampling/sampling_params.h"

#include <cmath>
#include <unordered_set>

#include "core/error.h"

namespace minimax::engine {
namespace {

// Written so that NaN fails.
void check_range(const char* field, float value, float low, float high) {
  MM_CHECK(value >= low && value <= high, field, " is ", value, ", expected a number from ", low, " to ", high);
}

}  // namespace

void SamplingParams::validate(int64_t vocab) const {
  MM_CHECK(temperature >= 0 && std::isfinite(temperature), "temperature is ", temperature,
           ", expected a number of at least 0");
  check_range("top_p", top_p, 0, 1);
  MM_CHECK(top_k >= -1, "top_k is ", top_k, ", expected a count of at least 1, or 0 or -1 for no limit");
  check_range("min_p", min_p, 0, 1);
  MM_CHECK(repetition_penalty > 0 && std::isfinite(repetition_penalty), "repetition_penalty is ", repetition_penalty,
           ", expected a number above 0");
  check_range("presence_penalty", presence_penalty, -2, 2);
  check_range("frequency_penalty", frequency_penalty, -2, 2);
  MM_CHECK(top_logprobs >= 0 && top_logprobs <= vocab, "top_logprobs is ", top_logprobs,
           ", expected a count from 0 to ", vocab, ", the size of the vocabulary");
  std::unordered_set<int32_t> biased;
  for (const auto& [id, bias] : logit_bias) {
    MM_CHECK(id >= 0 && id < vocab, "logit_bias: token id ", id, ", expected one from 0 to ", vocab - 1);
    MM_CHECK(bias >= -100 && bias <= 100, "logit_bias of token id ", id, " is ", bias,
             ", expected a number from -100 to 100");
    MM_CHECK(biased.insert(id).second, "logit_bias: token id ", id, " is there twice");
  }
}

}  // namespace minimax::engine
