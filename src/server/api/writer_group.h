// WriterGroup: one writer for several requests of the engine: the prompts of one call of /v1/completions.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "server/api/answer_writer.h"

namespace minimax::server {

/// Answer a of member m is answer m * answers_each + a of the whole. The whole is done with the last of them, usage
/// added up; after a failure of one nothing more is told. Until open() all but failures is kept back, so that a member
/// that the engine does not take can still become an HTTP status.
class WriterGroup : public std::enable_shared_from_this<WriterGroup> {
 public:
  WriterGroup(std::unique_ptr<AnswerWriter> whole, int64_t members, int64_t answers_each)
      : whole_(std::move(whole)), left_(members), answers_each_(answers_each) {}

  std::unique_ptr<AnswerWriter> member(int64_t index);
  /// All members are on their way.
  void open();
  /// They are not: nothing is told any more.
  void abandon();

 private:
  class Member;

  void tell(std::function<void()> what);

  std::mutex mutex_;
  std::unique_ptr<AnswerWriter> whole_;
  int64_t left_, answers_each_;
  bool open_ = false, begun_ = false, over_ = false;
  std::vector<std::function<void()>> kept_back_;
  engine::Usage usage_;
};

}  // namespace minimax::server
