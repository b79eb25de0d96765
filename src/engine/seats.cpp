#include "engine/seats.h"

#include <algorithm>

#include "engine/state/file_layout.h"

namespace minimax::engine {
namespace {

int64_t memory_bytes(const ModelConfig& config, const EngineOptions& options) {
  if (options.memory_bytes > 0) return options.memory_bytes;
  const int64_t pages = 2 * StateCache::pages_for(options.context) + options.max_running;
  const int64_t kv = pages * kChunk * std::max<int64_t>(StateCache::kv_bytes_per_token(config), 16);
  // On a GPU two thirds of what the slots leave are pages.
  return (options.gpu ? kv / 2 * 3 : kv) + 2 * options.max_running * StateCache::state_bytes_per_sequence(config);
}

Context cache_context(const EngineOptions& options) {
  return {.device = options.gpu ? Device::kCuda : Device::kCpu,
          .gpu = options.gpu,
          .matmul_precision = options.precision,
          .kv_precision = options.kv_precision};
}

bool before(const Answer* a, const Answer* b) {
  return a->goes_before(*b);
}

}  // namespace

Seats::Seats(const ModelConfig& config, const EngineOptions& options)
    : config_(config),
      options_(options),
      every_tokens_((options.snapshots.every_tokens + kChunk - 1) / kChunk * kChunk),
      // One slot more than sequences run: what is read from a file goes through it.
      cache_(config, StateCache::Limits{memory_bytes(config, options), options.max_running + 1},
             cache_context(options)),
      prefixes_(cache_),
      spill_(options.spill_folder, options.spill_bytes) {
  MM_CHECK_KIND(kOutOfMemory, cache_.max_pages_of_one() >= 1, "memory_bytes is ", cache_.budget().limit(),
                ", expected at least ", cache_.slot_bytes() + cache_.page_bytes(),
                " for the lightning states of one sequence and one page of ", kChunk, " tokens");
  if (!spill_.enabled()) return;
  prefixes_.on_evict = [this](const PrefixCache::Parts& parts) {
    if (parts.saves < kChunk) return;  // sooner computed than read
    SavedSession prefix;
    prefix.salt = parts.salt;
    prefix.ids = parts.ids;
    prefix.snapshot = in_file_layout(cache_.view(*parts.mark, parts.pages));
    prefix.logits = parts.logits;
    spill_.put(prefix, config_);
  };
}

int64_t Seats::max_tokens() const {
  return std::min(options_.context, cache_.max_pages_of_one() * kChunk);
}

/// Whether the job uses the prefix cache at all: for others' sake, or for its own answers'.
bool Seats::shares(const Job& job) const {
  return (options_.prefix_cache && job.request.use_cache) || job.answers.size() > 1;
}

/// What gave way goes on from its own snapshot, shared or not.
bool Seats::may_reuse(const Answer& answer) const {
  return shares(answer.job) || answer.pinned != 0;
}

bool Seats::admit(Answer& answer) {
  Job& job = answer.job;
  PrefixCache::Hit hit;
  if (may_reuse(answer)) {
    hit = prefixes_.find(job.salt, answer.ids);
    if (spill_.enabled() && !answer.asked_disk) {
      fetch_spilled(answer, hit);
      hit = prefixes_.find(job.salt, answer.ids);
    }
    if (answer.scores_prompt() && hit.length > job.scored) hit = {};
  }
  const bool out_of_slots = static_cast<int64_t>(running_.size()) >= options_.max_running;
  if (out_of_slots && !answer.goes_before(*running_.back())) return false;
  if (out_of_slots && answer.job.request.priority >= running_.back()->job.request.priority) return false;

  prefixes_.pin(hit.snapshot);
  if (out_of_slots) preempt(*running_.back());
  // One page for each running sequence besides, or the next token of one of them would send this one away again.
  const int64_t pages = StateCache::pages_for(answer.length());
  const auto headroom = static_cast<int64_t>(running_.size());
  bool fits = make_room(answer, {.pages = pages - hit.length / kChunk + headroom, .slots = 1});
  prefixes_.unpin(hit.snapshot);
  if (hit.snapshot && !prefixes_.has(hit.snapshot)) {  // the room was made of it
    hit = {};
    fits = make_room(answer, {.pages = pages, .slots = 1});
  }
  if (!fits) return false;

  Sequence sequence = hit.snapshot ? prefixes_.resume(hit) : cache_.open();
  cache_.reserve(sequence, answer.length());
  if (hit.length == answer.length()) answer.logits = prefixes_.logits(hit);
  answer.branch_at = hit.known > hit.length ? hit.known : 0;
  const bool first_time = answer.furthest == 0;
  answer.furthest = std::max(answer.furthest, hit.length);
  if (first_time && answer.number == 0) {
    ++counts_.queries;
    counts_.query_tokens += answer.length();
    counts_.hit_tokens += hit.length;
    job.usage.cached_tokens = hit.length;
  }
  unpin(answer.pinned);
  seat(answer, std::move(sequence));
  return true;
}

/// False when `answer`, which may be running itself, is the last that could give way.
bool Seats::make_room(Answer& answer, const StateCache::Need& need) {
  while (!prefixes_.make_room(need)) {
    if (running_.empty() || !answer.goes_before(*running_.back())) return false;
    // A newcomer of the same priority waits for its turn; one that runs already goes by its place.
    if (answer.phase == Answer::Phase::kWaiting && answer.job.request.priority >= running_.back()->job.request.priority)
      return false;
    preempt(*running_.back());
  }
  return true;
}

bool Seats::grow(Answer& answer, int64_t length) {
  const int64_t missing = StateCache::pages_for(length) - static_cast<int64_t>(answer.sequence.pages.size());
  if (missing > 0 && !make_room(answer, {.pages = missing})) {
    preempt(answer);
    return false;
  }
  cache_.reserve(answer.sequence, length);
  return true;
}

void Seats::seat(Answer& answer, Sequence sequence) {
  answer.sequence = std::move(sequence);
  answer.phase = Answer::Phase::kRunning;
  running_.insert(std::upper_bound(running_.begin(), running_.end(), &answer, before), &answer);
}

void Seats::unseat(Answer& answer) {
  answer.stale = false;
  answer.asked_disk = false;
  cache_.close(answer.sequence);
  answer.logits = {};
  std::erase(running_, &answer);
  answer.phase = Answer::Phase::kWaiting;
}

void Seats::preempt(Answer& answer) {
  ++counts_.preemptions;
  ++answer.job.usage.preemptions;
  unpin(answer.pinned);
  if (!answer.stale) answer.pinned = prefixes_.keep(answer.job.salt, answer.ids, answer.sequence, {}, true, true);
  unseat(answer);
}

void Seats::restart(Answer& answer) {
  unseat(answer);
}

PrefixCache::SnapshotId Seats::leave(Answer& answer, bool keep_state, bool pinned) {
  PrefixCache::SnapshotId kept = 0;
  if (answer.phase == Answer::Phase::kRunning) {
    if (keep_state && !answer.stale && options_.prefix_cache && answer.job.request.use_cache)
      kept = prefixes_.keep(answer.job.salt, answer.ids, answer.sequence, {}, true, pinned);
    unseat(answer);
  }
  unpin(answer.pinned);
  answer.phase = Answer::Phase::kDone;
  return kept;
}

PrefixCache::SnapshotId Seats::adopt(const SavedSession& saved, bool pinned) {
  const int64_t pages = StateCache::pages_for(saved.snapshot.state.length);
  if (!prefixes_.make_room({.pages = pages, .slots = 1})) return 0;
  Sequence sequence = cache_.restore(saved.snapshot);
  Tensor logits;
  if (saved.logits.defined()) {  // not a view of the file
    logits = Tensor::empty(saved.logits.shape(), DType::kFloat32);
    std::copy_n(saved.logits.data<float>(), saved.logits.elements(), logits.data<float>());
  }
  return prefixes_.keep(saved.salt, saved.ids, sequence, logits, true, pinned);
}

PrefixCache::SnapshotId Seats::adopt(const SavedSession& saved) {
  return adopt(saved, true);
}

/// Once for each time an answer waits for a seat: what does not fit now would only drive others out.
void Seats::fetch_spilled(Answer& answer, const PrefixCache::Hit& hit) {
  answer.asked_disk = true;
  const SavedSession* saved = spill_.find(answer.job.salt, answer.ids);
  if (!saved || static_cast<int64_t>(saved->ids.size()) < hit.length + kChunk) return;
  const SavedSession held = *saved;  // shares the mapping: making room may drop it from the disk
  const auto id = adopt(held, false);
  if (id == 0) return;
  ++counts_.spill_loads;
  spill_.drop(spill_.find_exact(held.salt, held.ids));
}

int64_t Seats::next_stop(const Answer& answer) const {
  const int64_t at = answer.sequence.length, prompt = answer.job.prompt_size();
  int64_t stop = answer.length();
  if (at < prompt) {
    // Where tokens are computed again after a preemption, the prompt's end is a place like any other.
    stop = std::min(stop, prompt);
    if (shares(answer.job)) {
      if (every_tokens_ > 0) stop = std::min(stop, (at / every_tokens_ + 1) * every_tokens_);
      if (options_.snapshots.branch_points && answer.branch_at > at) stop = std::min(stop, answer.branch_at);
    }
  }
  return stop;
}

bool Seats::keeps_prefix(const Answer& answer, int64_t at) const {
  const Job& job = answer.job;
  if (answer.stale || at > job.prompt_size()) return false;
  const bool whole_prompt = at == job.prompt_size();
  if (whole_prompt && job.answers.size() > 1 && !job.prompt_read) return true;
  if (!options_.prefix_cache || !job.request.use_cache) return false;
  return (whole_prompt && options_.snapshots.prompt_end) || at == answer.branch_at ||
         (every_tokens_ > 0 && at % every_tokens_ == 0);
}

void Seats::keep_prefix(Answer& answer, const Tensor& last_logits) {
  Job& job = answer.job;
  if (!keeps_prefix(answer, answer.sequence.length)) return;
  const bool first_of_many = answer.sequence.length == job.prompt_size() && job.answers.size() > 1 && !job.prompt_read;
  const auto id = prefixes_.keep(job.salt, answer.ids, answer.sequence, last_logits, false, first_of_many);
  if (first_of_many) job.root = id;
}

void Seats::forget(Job& job) {
  unpin(job.root);
  if (!job.request.use_cache || !options_.prefix_cache) prefixes_.drop(job.salt);
}

void Seats::unpin(PrefixCache::SnapshotId& id) {
  prefixes_.unpin(id);
  id = 0;
}

}  // namespace minimax::engine
