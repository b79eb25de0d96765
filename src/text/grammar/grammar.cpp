#include "text/grammar/grammar.h"

#include <algorithm>

#include "core/error.h"
#include "io/json.h"
#include "text/grammar/automaton.h"
#include "text/grammar/json_schema.h"
#include "text/grammar/regex_syntax.h"
#include "text/grammar/rules.h"

namespace minimax::text {

using grammar::Automaton;
using grammar::RegexId;
using grammar::RegexPool;
using grammar::Rules;

Grammar::Grammar(std::unique_ptr<Automaton> automaton) : automaton_(std::move(automaton)) {}
Grammar::~Grammar() = default;

const GrammarVocabulary& Grammar::vocabulary() const {
  return automaton_->vocabulary();
}

GrammarMatcher::GrammarMatcher(std::shared_ptr<const Grammar> grammar)
    : grammar_(std::move(grammar)), state_(grammar_->automaton_->start()) {}
GrammarMatcher::~GrammarMatcher() = default;
GrammarMatcher::GrammarMatcher(const GrammarMatcher&) = default;
GrammarMatcher& GrammarMatcher::operator=(const GrammarMatcher&) = default;
GrammarMatcher::GrammarMatcher(GrammarMatcher&&) noexcept = default;
GrammarMatcher& GrammarMatcher::operator=(GrammarMatcher&&) noexcept = default;

std::span<const uint64_t> GrammarMatcher::allowed() {
  const GrammarVocabulary& vocabulary = grammar_->vocabulary();
  if (!ended_) {
    if (!mask_) mask_ = grammar_->automaton_->mask(*state_);
    if (!mask_->words.empty()) return mask_->words;
  }
  words_.assign(grammar::mask_words(vocabulary.rows()), 0);
  for (const int32_t id : ended_ ? vocabulary.end_ids() : std::span<const int32_t>(mask_->ids))
    grammar::set_bit(words_, id);
  return words_;
}

bool GrammarMatcher::accept(int32_t id) {
  const GrammarVocabulary& vocabulary = grammar_->vocabulary();
  if (std::ranges::find(vocabulary.end_ids(), id) != vocabulary.end_ids().end()) {
    if (!can_end()) return false;
    ended_ = true;
    return true;
  }
  const std::string_view text = vocabulary.text(id);
  return !text.empty() && accept_bytes(text);
}

bool GrammarMatcher::accept_bytes(std::string_view bytes) {
  if (ended_) return false;
  auto next = grammar_->automaton_->after(*state_, bytes);
  if (!next) return false;
  state_ = std::move(next);
  mask_.reset();
  return true;
}

bool GrammarMatcher::can_end() const {
  return state_->can_end;
}

bool GrammarMatcher::must_end() const {
  return ended_ || (state_->can_end && state_->positions.empty());
}

std::string GrammarMatcher::forced_bytes(size_t most) const {
  std::string out;
  for (auto state = state_; !ended_ && out.size() < most;) {
    const auto byte = grammar_->automaton_->only_byte(*state);
    if (!byte) break;
    out += static_cast<char>(*byte);
    state = grammar_->automaton_->after(*state, out.substr(out.size() - 1));
  }
  return out;
}

namespace {

std::shared_ptr<const Grammar> of_regex(RegexPool pool, RegexId regex,
                                        const std::shared_ptr<const GrammarVocabulary>& vocabulary) {
  Rules rules;
  const grammar::NodeId root = rules.terminal(regex);
  rules.finish(pool);
  return std::make_shared<Grammar>(std::make_unique<Automaton>(std::move(pool), std::move(rules), root, vocabulary));
}

}  // namespace

GrammarCompiler::GrammarCompiler(std::shared_ptr<const GrammarVocabulary> vocabulary, size_t kept)
    : vocabulary_(std::move(vocabulary)), capacity_(std::max<size_t>(kept, 1)) {}

template <typename Compile>
std::shared_ptr<const Grammar> GrammarCompiler::get(std::string key, Compile compile) {
  {
    const std::scoped_lock lock(mutex_);
    if (const auto found = index_.find(key); found != index_.end()) {
      const auto kept = found->second;
      if (!kept->grammar->automaton_->worn()) {
        kept_.splice(kept_.begin(), kept_, kept);
        return kept->grammar;
      }
      index_.erase(found);
      kept_.erase(kept);
    }
  }
  std::shared_ptr<const Grammar> grammar = compile();
  const std::scoped_lock lock(mutex_);
  if (const auto found = index_.find(key); found != index_.end()) return found->second->grammar;
  kept_.push_front({std::move(key), grammar});
  index_[kept_.front().key] = kept_.begin();
  if (kept_.size() > capacity_) {
    index_.erase(kept_.back().key);
    kept_.pop_back();
  }
  return grammar;
}

std::shared_ptr<const Grammar> GrammarCompiler::json_schema(std::string_view schema, JsonSpace space) {
  return get(cat("schema", static_cast<int>(space), "\n", schema), [&] {
    RegexPool pool = vocabulary_->base_pool();
    Rules rules;
    const grammar::NodeId root = grammar::compile_json_schema(schema, space, pool, rules);
    return std::make_shared<Grammar>(std::make_unique<Automaton>(std::move(pool), std::move(rules), root, vocabulary_));
  });
}

std::shared_ptr<const Grammar> GrammarCompiler::json_object(JsonSpace space) {
  return json_schema("{\"type\": \"object\"}", space);
}

std::shared_ptr<const Grammar> GrammarCompiler::regex(std::string_view pattern) {
  return get(cat("regex\n", pattern), [&] {
    RegexPool pool = vocabulary_->base_pool();
    const RegexId regex =
        grammar::parse_regex(pool, pattern, grammar::Anchoring::kWhole, grammar::Spelling::kPlain, "regex");
    return of_regex(std::move(pool), regex, vocabulary_);
  });
}

std::shared_ptr<const Grammar> GrammarCompiler::choice(std::span<const std::string> choices) {
  std::string key = "choice\n";
  for (const std::string& text : choices) {
    MM_CHECK(!text.empty(), "choice: one of the ", choices.size(), " choices is empty");
    key += cat(text.size(), ":", text);
  }
  MM_CHECK(!choices.empty(), "choice: no choices, expected at least one");
  return get(std::move(key), [&] {
    RegexPool pool = vocabulary_->base_pool();
    const std::vector<std::string_view> texts(choices.begin(), choices.end());
    return of_regex(std::move(pool), pool.any_of(texts), vocabulary_);
  });
}

}  // namespace minimax::text
