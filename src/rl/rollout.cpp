#include "rl/rollout.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <limits>
#include <mutex>
#include <numeric>
#include <thread>

#include "core/error.h"
#include "rl/episode.h"
#include "text/chat_encode.h"
#include "text/chat_output_parser.h"

namespace minimax::rl {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kUsualTokens = 512;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// One attempt under way.
struct Attempting {
  Sample* sample = nullptr;
  const Problem* problem = nullptr;
  std::unique_ptr<Episode> episode;
  uint64_t stream = 0;
  size_t turn_begin = 0;  // in sample->tokens
  bool has_sampled = false;
  bool has_text = false;             // sample->text is that of the last turn
  std::vector<std::string> earlier;  // texts of the turns before it
};

// Scores attempts while others are still being sampled. Verifiers may run programs, so several work side by side.
class Scorers {
 public:
  Scorers(int threads, std::function<void(Attempting&)> score) : score_(std::move(score)) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  }
  ~Scorers() { finish(); }
  Scorers(const Scorers&) = delete;
  Scorers& operator=(const Scorers&) = delete;

  void add(Attempting& attempt) {
    {
      const std::lock_guard lock(mutex_);
      ready_.push_back(&attempt);
    }
    wake_.notify_one();
  }
  /// Returns when all that were added have their score.
  void finish() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return closed_ || !ready_.empty(); });
      if (ready_.empty()) return;
      Attempting* attempt = ready_.front();
      ready_.pop_front();
      lock.unlock();
      score_(*attempt);
      lock.lock();
    }
  }

  std::function<void(Attempting&)> score_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Attempting*> ready_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

// Tells what the engine reports to the attempts of one request.
class Turn : public engine::Listener {
 public:
  explicit Turn(std::vector<Attempting*> attempts) : attempts_(std::move(attempts)) {}

  engine::FinishReason on_token(const engine::Token& token) override {
    Attempting& attempt = *attempts_[static_cast<size_t>(token.answer)];
    Sample& sample = *attempt.sample;
    if (!attempt.has_sampled) sample.weights_version = token.weights_version;
    attempt.has_sampled = true;
    sample.tokens.push_back(token.sampled.id);
    sample.sampled.push_back(!token.forced);
    sample.log_probs.push_back(token.forced ? 0 : token.sampled.log_prob);
    return engine::FinishReason::kNone;
  }
  void on_finish(const engine::AnswerEnd& end) override {
    Attempting* attempt = attempts_[static_cast<size_t>(end.answer)];
    attempt->sample->finish = end.reason;
    MM_CHECK_KIND(kInternal, end.reason != engine::FinishReason::kError, "rollout of ", attempt->problem->id, ": ",
                  end.error);
    finished.push_back(attempt);
  }

  std::vector<Attempting*> finished;

 private:
  std::vector<Attempting*> attempts_;
};

class Rollout {
 public:
  Rollout(engine::Engine& engine, const text::Tokenizer& tokenizer, const RolloutOptions& options)
      : engine_(engine),
        tokenizer_(tokenizer),
        options_(options),
        scorers_(options.scoring_threads, [this](Attempting& attempt) { score(attempt); }) {
    const auto stops = tokenizer.stop_ids();
    stops_.assign(stops.begin(), stops.end());
    for (int32_t id = 0; id < static_cast<int32_t>(engine.config().vocab); ++id)
      if ((id >= tokenizer.vocab_size() || !tokenizer.is_ordinary(id)) &&
          std::find(stops_.begin(), stops_.end(), id) == stops_.end())
        banned_.push_back(id);
  }

  void begin(Group& group, int64_t first_stream) {
    const std::vector<int32_t> prompt = encode_prompt(group.problem, tokenizer_, options_.chat);
    group.samples.resize(static_cast<size_t>(options_.group_size));
    std::vector<Attempting*> attempts;
    for (Sample& sample : group.samples) {
      // Room for most answers, so that a step of hundreds of tokens moves few of them.
      const size_t room = prompt.size() + static_cast<size_t>(std::min(options_.window, kUsualTokens));
      sample.tokens.reserve(room);
      sample.sampled.reserve(room);
      sample.log_probs.reserve(room);
      sample.tokens = prompt;
      sample.sampled.assign(prompt.size(), 0);
      sample.log_probs.assign(prompt.size(), 0);
      auto attempt = std::make_unique<Attempting>();
      attempt->sample = &sample;
      attempt->problem = &group.problem;
      attempt->episode = begin_episode(group.problem);
      attempt->stream = static_cast<uint64_t>(first_stream + static_cast<int64_t>(attempts.size()));
      attempt->turn_begin = prompt.size();
      attempts.push_back(attempt.get());
      attempts_.push_back(std::move(attempt));
    }
    submit(attempts);
  }

  void run() {
    while (!turns_.empty()) {
      engine_.step();
      for (size_t at = 0; at < turns_.size(); ++at) {
        const std::vector<Attempting*> finished = std::exchange(turns_[at].turn->finished, {});
        turns_[at].open -= static_cast<int64_t>(finished.size());
        for (Attempting* attempt : finished) finish_turn(*attempt);  // may add to turns_
      }
      std::erase_if(turns_, [](const Open& open) { return open.open == 0; });
    }
  }

  void finish_scores() { scorers_.finish(); }

 private:
  struct Open {
    std::shared_ptr<Turn> turn;
    int64_t open = 0;
  };

  void submit(const std::vector<Attempting*>& attempts) {
    const Attempting& first = *attempts.front();
    const Sample& sample = *first.sample;
    const auto used = static_cast<int64_t>(sample.tokens.size()) - first_prompt_tokens(sample);
    engine::Request request;
    request.prompt = sample.tokens;
    request.sampling = options_.sampling;
    // A stream for every turn of every attempt.
    request.sampling.stream = first.stream | static_cast<uint64_t>(sample.turns) << 48;
    request.max_tokens = std::min(options_.window - used, first.problem->limits.max_new);
    request.stop_ids = stops_;
    request.banned = banned_;
    request.n = static_cast<int64_t>(attempts.size());
    // Attempts at one problem share its prompt anyway; only another turn goes on from what an attempt left, which a GPU
    // computes again sooner than it has put it aside.
    request.use_cache = first.problem->limits.max_turns > 1 && !engine_.options().gpu;
    request.loop_guard = options_.loop_guard;
    request.max_thinking_tokens = options_.max_thinking_tokens;
    auto turn = std::make_shared<Turn>(attempts);
    engine_.submit(std::move(request), turn);
    turns_.push_back({turn, static_cast<int64_t>(attempts.size())});
  }

  static int64_t first_prompt_tokens(const Sample& sample) {
    const auto first = std::find(sample.sampled.begin(), sample.sampled.end(), 1);
    return first - sample.sampled.begin();
  }

  void finish_turn(Attempting& attempt) {
    Sample& sample = *attempt.sample;
    ++sample.turns;
    if (!go_on(attempt)) scorers_.add(attempt);
  }

  std::string text_of_turn(const Attempting& attempt) const {
    const Sample& sample = *attempt.sample;
    std::span<const int32_t> turn = std::span(sample.tokens).subspan(attempt.turn_begin);
    if (sample.finish == engine::FinishReason::kStopToken) turn = turn.first(turn.size() - 1);
    return tokenizer_.decode(turn);
  }

  /// Submits the next turn; false when there is none.
  bool go_on(Attempting& attempt) {
    Sample& sample = *attempt.sample;
    if (sample.finish != engine::FinishReason::kStopToken || sample.turns >= attempt.problem->limits.max_turns)
      return false;
    sample.text = text_of_turn(attempt);
    attempt.has_text = true;
    const std::vector<text::Message> replies =
        attempt.episode->reply(text::parse_output(sample.text, {.parse_tool_calls = !attempt.problem->tools.empty()}));
    if (replies.empty()) return false;
    const std::vector<int32_t> more =
        encode_replies(replies, !attempt.problem->tools.empty(), tokenizer_, options_.chat);
    const auto used = static_cast<int64_t>(sample.tokens.size() + more.size()) - first_prompt_tokens(sample);
    if (used >= options_.window) {
      sample.finish = engine::FinishReason::kLength;  // no room for another turn
      return false;
    }
    sample.tokens.insert(sample.tokens.end(), more.begin(), more.end());
    sample.sampled.resize(sample.tokens.size(), 0);
    sample.log_probs.resize(sample.tokens.size(), 0);
    attempt.turn_begin = sample.tokens.size();
    attempt.earlier.push_back(sample.text);
    attempt.has_text = false;
    submit({&attempt});
    return true;
  }

  void score(Attempting& attempt) {
    Sample& sample = *attempt.sample;
    try {
      if (!attempt.has_text) sample.text = text_of_turn(attempt);
      const Attempt last{.text = sample.text,
                         .finished = sample.finish == engine::FinishReason::kStopToken,
                         .earlier = attempt.earlier};
      std::optional<Score> score = options_.scorer ? options_.scorer(*attempt.problem, last) : std::nullopt;
      if (!score && options_.verifier_workers) score = options_.verifier_workers->score(*attempt.problem, last);
      sample.score = score ? std::move(*score) : attempt.episode->score(last);
    } catch (const std::exception& error) {
      sample.score = {.why = cat("verifier failed: ", error.what())};
    }
    if (sample.looped()) sample.score.why = "loop";
  }

  engine::Engine& engine_;
  const text::Tokenizer& tokenizer_;
  const RolloutOptions& options_;
  std::vector<int32_t> stops_, banned_;
  std::vector<std::unique_ptr<Attempting>> attempts_;
  std::vector<Open> turns_;
  Scorers scorers_;  // the last: its threads end before what they use goes away
};

}  // namespace

int64_t Sample::sampled_tokens() const {
  return std::count(sampled.begin(), sampled.end(), 1);
}

double Group::mean_reward() const {
  double sum = 0, count = 0;
  for (const Sample& sample : samples)
    if (!std::isnan(sample.reward)) sum += sample.reward, ++count;
  return sum / count;
}

double Group::pass_rate() const {
  double right = 0, count = 0;
  for (const Sample& sample : samples)
    if (sample.score.score) right += *sample.score.score >= 1, ++count;
  return right / count;
}

bool Group::flat() const {
  double least = std::numeric_limits<double>::infinity(), most = -least;
  for (const Sample& sample : samples) {
    if (std::isnan(sample.reward)) continue;
    least = std::min(least, sample.reward);
    most = std::max(most, sample.reward);
  }
  return !(least < most);
}

std::vector<int32_t> encode_prompt(const Problem& problem, const text::Tokenizer& tokenizer,
                                   const text::ChatOptions& chat) {
  return text::encode(text::render_chat(problem.messages, problem.tools, chat), tokenizer);
}

std::vector<int32_t> encode_replies(const std::vector<text::Message>& replies, bool tools,
                                    const text::Tokenizer& tokenizer, const text::ChatOptions& chat) {
  // The template renders a turn of the model's that nobody else would write; what follows it is what we want.
  constexpr std::string_view kTurn = "\x02turn\x03";
  text::ChatOptions options = chat;
  options.keep_all_text = true;
  if (options.chat_template == text::ChatTemplate::kAuto)
    options.chat_template = tools ? text::ChatTemplate::kTools : text::ChatTemplate::kOfficial;
  std::vector<text::Message> messages = {text::text_message(text::Role::kUser, "x"),
                                         text::text_message(text::Role::kAssistant, std::string(kTurn))};
  messages.insert(messages.end(), replies.begin(), replies.end());
  const text::ChatPrompt rendered = text::render_chat(messages, {}, options);
  size_t piece = 0;
  while (piece < rendered.size() && rendered[piece].text.find(kTurn) == std::string::npos) ++piece;
  MM_CHECK_KIND(kInternal, piece + 1 < rendered.size() && rendered[piece + 1].special,
                "the chat template does not end a turn by a special token");
  // The model wrote that token itself.
  return text::encode(text::ChatPrompt(rendered.begin() + static_cast<std::ptrdiff_t>(piece) + 2, rendered.end()),
                      tokenizer);
}

std::vector<Group> roll_out(engine::Engine& engine, const text::Tokenizer& tokenizer, std::span<const Problem> problems,
                            const RolloutOptions& options, int64_t round, RolloutReport* report, int64_t first) {
  MM_CHECK(options.scoring_threads >= 1, "rollout: scoring_threads ", options.scoring_threads, ", expected at least 1");
  MM_CHECK(options.group_size >= 1 && options.window >= 1, "rollout: group_size ", options.group_size, ", window ",
           options.window, ", expected at least 1 of each");
  std::vector<Group> groups(problems.size());
  Rollout rollout(engine, tokenizer, options);
  const auto begin = Clock::now();
  for (size_t at = 0; at < problems.size(); ++at) {
    groups[at].problem = problems[at];
    rollout.begin(groups[at], (round * (int64_t{1} << 24)) + (first + static_cast<int64_t>(at)) * options.group_size);
  }
  rollout.run();
  const double sampled = seconds_since(begin);
  rollout.finish_scores();
  if (report) {
    report->sample_seconds += sampled;
    report->score_seconds += seconds_since(begin) - sampled;
    for (const Group& group : groups)
      for (const Sample& sample : group.samples) {
        report->sampled_tokens += sample.sampled_tokens();
        report->prompt_tokens += static_cast<int64_t>(sample.tokens.size()) - sample.sampled_tokens();
      }
  }
  return groups;
}

}  // namespace minimax::rl
