// Engine: many requests at once over one model: continuous batching, one memory budget, prefix cache, sessions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/context.h"
#include "engine/request.h"
#include "engine/sampling/thinking.h"
#include "engine/stats.h"
#include "model/minimax_m1.h"

namespace minimax::engine {

/// The waiting queue is full. The caller may try again after so many seconds (HTTP 429 with Retry-After).
class QueueFull : public Error {
 public:
  QueueFull(const std::string& message, double retry_after_seconds)
      : Error(ErrorKind::kOutOfMemory, message), retry_after_seconds_(retry_after_seconds) {}
  double retry_after_seconds() const { return retry_after_seconds_; }

 private:
  double retry_after_seconds_;
};

/// When the lightning states of a running sequence are kept for later requests. One of MiniMax-M1's takes as much
/// memory as the keys and values of some 3,600 tokens.
struct SnapshotPolicy {
  bool prompt_end = true;  ///< serves the same prompt again, and the next turn where the answer's thinking is dropped
  bool answer_end = true;  ///< serves the next turn of a conversation
  bool branch_points = true;    ///< where a prompt leaves others that were seen before: serves the third of a kind
  int64_t every_tokens = 8192;  ///< while a prompt is read, rounded up to kChunk; 0: not
};

/// Speculation by prompt lookup: when the last tokens stood there before, what followed them then is tried. Changes no
/// token and no log-prob (docs/design.md, P3); pays where a step costs much less for a few tokens than for one each.
struct Speculation {
  int64_t max_drafts = 0;  ///< tokens tried at once; 0: off
  int64_t min_match = 3;   ///< tokens that must agree
  int64_t max_match = 8;   ///< of longer agreements no more are looked at
};

struct EngineOptions {
  int64_t context = 32768;  ///< tokens of prompt and answer together
  /// One budget for KV pages, lightning slots and snapshots. 0: as much as two sequences of `context` tokens, slots for
  /// max_running and as many snapshots need. Memory is taken from the system as it is first used.
  int64_t memory_bytes = 0;
  int64_t max_running = 16;     ///< sequences in a batch; an answer is one sequence
  int64_t max_waiting = 256;    ///< requests that wait; beyond it submit() throws QueueFull
  int64_t max_sessions = 1000;  ///< names; beyond it the session that was used longest ago is forgotten
  int64_t step_tokens = 512;    ///< of one forward pass: decode tokens first, then pieces of prompts
  /// Answers take seats in every so many steps, and where they are many beside those that run. On a GPU a step in which
  /// prompts are read costs twice one that is recorded: many answers at once, for which nobody waits, want few of the
  /// former.
  int64_t admit_every = 1;
  bool prefix_cache = true;
  SnapshotPolicy snapshots;
  Speculation speculation;
  std::shared_ptr<const ThinkingFormat> thinking;  ///< null: thinking is not looked at
  MatmulPrecision precision = MatmulPrecision::kFloat32;
  KvPrecision kv_precision = KvPrecision::kFloat32;  ///< on a CPU; sessions are saved with kFloat32 alone
  /// Where the model's weights lie and steps run; null: the CPU.
  cuda::Gpu* gpu = nullptr;
  bool deterministic = false;  ///< on a GPU: as Context::deterministic
  /// On a GPU: tokens of which a temperature and banned ids decide are chosen there, and their logits stay there.
  bool sample_on_gpu = true;
  /// Cached prefixes that must leave memory go to files in this folder, up to spill_bytes, instead of being forgotten.
  std::filesystem::path spill_folder;
  int64_t spill_bytes = 0;
  /// For tests and tracing: sees every batch before it runs. What it throws counts as a failure of that batch.
  std::function<void(const Batch&)> before_forward;
};

struct SessionInfo {
  std::string name;
  int64_t tokens = 0;        ///< that need not be computed again
  int64_t bytes = 0;         ///< of its file; 0 for one in memory
  bool in_memory = true;     ///< false: its state had to leave memory; a prompt that begins with it is computed again
  bool same_kernels = true;  ///< false: written with other kernels, whose last bits differ from those of this process
};

/// A token's bits, and its log-prob's, are the same whatever else runs, however prompts are cut, whether a prefix was
/// cached, and whether a sequence was preempted (docs/design.md, P2); and the same with and without speculation. On a
/// GPU that holds with EngineOptions::deterministic.
///
/// Two ways to run it: start() gives it a thread of its own; or the caller calls step() from one thread. submit,
/// cancel, end_thinking and stats may be called from any thread, also from a Listener.
class Engine {
 public:
  /// `model` and `threads` must outlive the engine. Throws kInvalidArgument for options that do not fit together, and
  /// kOutOfMemory when the budget does not hold one sequence of a single page.
  Engine(const MiniMaxM1& model, ThreadPool& threads, EngineOptions options);
  /// Ends what still runs as kCancelled.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Throws kInvalidArgument for a request that can never run (naming the field), QueueFull when too many wait.
  RequestId submit(Request request, std::shared_ptr<Listener> listener);
  /// Ends all answers of a request as kCancelled before the next forward pass. Unknown ids are ignored.
  void cancel(RequestId id);
  /// Closes the thinking of all answers that are thinking, as the budget would. False when the request is not there.
  bool end_thinking(RequestId id);

  /// One forward pass over what is there to do, and its events. False when there was nothing.
  bool step();
  /// Steps until nothing is left. Not with start().
  void run();
  /// A thread that steps whenever there is something to do.
  void start();
  /// Finishes the step under way and joins the thread; what runs stays where it is. Does nothing without start().
  void stop();

  EngineStats stats() const;
  const EngineOptions& options() const;
  const ModelConfig& config() const;
  /// Tokens of prompt and answer that a single request can have: the context, or what the memory budget holds.
  int64_t max_tokens() const;

  /// Runs `change`, which may write the model's weights, between two steps, on the caller's thread; then counts the
  /// version up and forgets cached prefixes. Sequences under way go on: with `recompute`, from states that the new
  /// weights make again; without, with those they have. Not from a Listener; nor are the functions below.
  void update_weights(const std::function<void()>& change, bool recompute);
  int64_t weights_version() const;

  /// Forgets all cached prefixes and sessions.
  void clear_cache();

  /// A session is the state at the end of an answer, under the name that Request::session gave it; a later answer of
  /// that name takes its place. It is the last to leave memory.
  std::vector<SessionInfo> sessions() const;
  /// False when there was none.
  bool drop_session(const std::string& name);
  /// Writes a session to a file, atomically. Throws kNotFound when there is none of that name or its state had to leave
  /// memory, kIo.
  SessionInfo save_session(const std::string& name, const std::filesystem::path& path);
  /// Reads one back, into this engine or one of another process: a prompt that begins with the session's tokens then
  /// starts from its state, with the bits it would have had. Throws kInvalidArgument, saying what does not fit, for a
  /// file of another model or version or one that is damaged; kOutOfMemory when it does not fit the budget.
  SessionInfo load_session(const std::filesystem::path& path);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace minimax::engine
