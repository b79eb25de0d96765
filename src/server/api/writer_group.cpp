#include "server/api/writer_group.h"

#include <algorithm>
#include <utility>

namespace minimax::server {
namespace {

void add(engine::Usage& to, const engine::Usage& usage) {
  to.prompt_tokens += usage.prompt_tokens;
  to.cached_tokens += usage.cached_tokens;
  to.generated_tokens += usage.generated_tokens;
  to.reasoning_tokens += usage.reasoning_tokens;
  to.drafted_tokens += usage.drafted_tokens;
  to.accepted_tokens += usage.accepted_tokens;
  to.preemptions += usage.preemptions;
  // They run side by side: the longest is what the client waited for.
  to.queue_seconds = std::max(to.queue_seconds, usage.queue_seconds);
  to.prefill_seconds = std::max(to.prefill_seconds, usage.prefill_seconds);
  to.decode_seconds = std::max(to.decode_seconds, usage.decode_seconds);
}

}  // namespace

void WriterGroup::tell(std::function<void()> what) {
  const std::lock_guard lock(mutex_);
  if (over_) return;
  if (open_)
    what();
  else
    kept_back_.push_back(std::move(what));
}

void WriterGroup::open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
  for (const auto& what : std::exchange(kept_back_, {}))
    if (!over_) what();
}

void WriterGroup::abandon() {
  const std::lock_guard lock(mutex_);
  over_ = true;
  kept_back_.clear();
}

class WriterGroup::Member : public AnswerWriter {
 public:
  Member(std::shared_ptr<WriterGroup> group, int64_t index) : group_(std::move(group)), index_(index) {}

  void begin() override {
    group_->tell([group = group_.get()] {
      if (!group->begun_) group->whole_->begin();
      group->begun_ = true;
    });
  }
  void prompt(int64_t, const std::vector<engine::PromptToken>& tokens) override {
    group_->tell([group = group_.get(), index = index_, tokens] { group->whole_->prompt(index, tokens); });
  }
  void piece(int64_t answer, const AnswerText::Step& step) override {
    group_->tell([group = group_.get(), at = place(answer), step] { group->whole_->piece(at, step); });
  }
  void end(const AnswerFinish& finish) override {
    AnswerFinish placed = finish;
    placed.answer = place(finish.answer);
    group_->tell([group = group_.get(), placed] { group->whole_->end(placed); });
  }
  void done(const engine::Usage& usage) override {
    group_->tell([group = group_.get(), usage] {
      add(group->usage_, usage);
      if (--group->left_ > 0) return;
      group->over_ = true;
      group->whole_->done(group->usage_);
    });
  }
  void failed(const ApiError& error) override {
    group_->tell([group = group_.get(), error] {
      group->over_ = true;
      group->whole_->failed(error);
    });
  }
  void keep_alive() override {
    group_->tell([group = group_.get()] { group->whole_->keep_alive(); });
  }

 private:
  int64_t place(int64_t answer) const { return index_ * group_->answers_each_ + answer; }

  std::shared_ptr<WriterGroup> group_;
  int64_t index_;
};

std::unique_ptr<AnswerWriter> WriterGroup::member(int64_t index) {
  return std::make_unique<Member>(shared_from_this(), index);
}

}  // namespace minimax::server
