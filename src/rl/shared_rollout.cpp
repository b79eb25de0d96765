#include "rl/shared_rollout.h"

#include <chrono>
#include <cstring>
#include <string_view>

#include "core/error.h"

namespace minimax::rl {
namespace {

/// Values one after the other, for processes of the same program.
class Writer {
 public:
  template <class T>
  void value(const T& x) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto* begin = reinterpret_cast<const std::byte*>(&x);
    bytes_.insert(bytes_.end(), begin, begin + sizeof(T));
  }
  template <class Values>
  void values(const Values& x) {
    value(static_cast<int64_t>(x.size()));
    const auto bytes = std::as_bytes(std::span(x));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}
  template <class T>
  T value() {
    T x{};
    std::memcpy(&x, take(sizeof(T)).data(), sizeof(T));
    return x;
  }
  template <class Values>
  Values values() {
    Values x(static_cast<size_t>(value<int64_t>()), typename Values::value_type{});
    const auto bytes = std::as_writable_bytes(std::span(x));
    const auto from = take(bytes.size());
    std::copy(from.begin(), from.end(), bytes.begin());
    return x;
  }

 private:
  std::span<const std::byte> take(size_t count) {
    MM_CHECK_KIND(kInternal, count <= rest_.size(), "samples of another process end too early");
    const auto out = rest_.first(count);
    rest_ = rest_.subspan(count);
    return out;
  }
  std::span<const std::byte> rest_;
};

void write(Writer& out, const Sample& sample) {
  out.values(sample.tokens);
  out.values(sample.sampled);
  out.values(sample.log_probs);
  out.values(sample.text);
  out.value(sample.finish);
  out.value(sample.turns);
  out.value(sample.weights_version);
  out.value(sample.score.score);
  out.value(sample.score.correct);
  out.value(sample.score.format_ok);
  out.values(sample.score.extracted);
  out.values(sample.score.why);
  out.value(sample.score.ms);
  out.value(sample.score.verifier_version);
}

Sample read(Reader& in) {
  Sample sample;
  sample.tokens = in.values<std::vector<int32_t>>();
  sample.sampled = in.values<std::vector<uint8_t>>();
  sample.log_probs = in.values<std::vector<float>>();
  sample.text = in.values<std::string>();
  sample.finish = in.value<engine::FinishReason>();
  sample.turns = in.value<int64_t>();
  sample.weights_version = in.value<int64_t>();
  sample.score.score = in.value<std::optional<double>>();
  sample.score.correct = in.value<bool>();
  sample.score.format_ok = in.value<bool>();
  sample.score.extracted = in.values<std::string>();
  sample.score.why = in.values<std::string>();
  sample.score.ms = in.value<double>();
  sample.score.verifier_version = in.value<int64_t>();
  return sample;
}

}  // namespace

std::vector<Group> roll_out_shared(engine::Engine& engine, const text::Tokenizer& tokenizer,
                                   std::span<const Problem> problems, const RolloutOptions& options, int64_t round,
                                   comm::ProcessGroup* group, RolloutReport* report) {
  if (!group || group->size() == 1) return roll_out(engine, tokenizer, problems, options, round, report);
  const size_t count = problems.size(), size = static_cast<size_t>(group->size()),
               rank = static_cast<size_t>(group->rank());
  const size_t begin = count * rank / size, end = count * (rank + 1) / size;
  RolloutReport own;
  const std::vector<Group> mine = roll_out(engine, tokenizer, problems.subspan(begin, end - begin), options, round,
                                           &own, static_cast<int64_t>(begin));
  Writer out;
  for (const Group& some : mine)
    for (const Sample& sample : some.samples) write(out, sample);
  const auto waiting_since = std::chrono::steady_clock::now();
  const std::vector<std::byte> all = comm::all_gather(*group, out.bytes());
  Reader in(all);
  std::vector<Group> groups(count);
  for (size_t at = 0; at < count; ++at) {
    groups[at].problem = problems[at];
    for (int64_t attempt = 0; attempt < options.group_size; ++attempt) groups[at].samples.push_back(read(in));
  }
  if (report) {
    report->sample_seconds += own.sample_seconds;
    report->score_seconds += own.score_seconds;
    report->idle_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - waiting_since).count();
    for (const Group& some : groups)
      for (const Sample& sample : some.samples) {
        report->sampled_tokens += sample.sampled_tokens();
        report->prompt_tokens += static_cast<int64_t>(sample.tokens.size()) - sample.sampled_tokens();
      }
  }
  return groups;
}

}  // namespace minimax::rl
