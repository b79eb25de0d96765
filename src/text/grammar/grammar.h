// Grammars that constrain a model's answer: compiled from a JSON schema, a regular expression or a list of choices, and
// followed token by token with masks over the vocabulary.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/grammar/grammar_vocabulary.h"

namespace minimax::text {

namespace grammar {
class Automaton;
struct State;
struct TokenMask;
}  // namespace grammar

/// White space in constrained JSON.
enum class JsonSpace : uint8_t {
  kCompact,  ///< none
  /// Little: at most one space after a colon; after a comma and inside brackets nothing, one space, or a line end with
  /// up to 32 spaces or tabs. Before the
  /// value up to two line ends, which models write between their thinking and their answer.
  kFlexible,
};

/// A compiled grammar. Thread-safe; shared by the requests that use it.
class Grammar {
 public:
  explicit Grammar(std::unique_ptr<grammar::Automaton> automaton);
  ~Grammar();

  const GrammarVocabulary& vocabulary() const;

 private:
  friend class GrammarMatcher;
  friend class GrammarCompiler;
  std::unique_ptr<grammar::Automaton> automaton_;
};

/// Follows one answer. Copies go on independently (n > 1, speculation). One thread at a time.
class GrammarMatcher {
 public:
  explicit GrammarMatcher(std::shared_ptr<const Grammar> grammar);
  ~GrammarMatcher();
  GrammarMatcher(const GrammarMatcher&);
  GrammarMatcher& operator=(const GrammarMatcher&);
  GrammarMatcher(GrammarMatcher&&) noexcept;
  GrammarMatcher& operator=(GrammarMatcher&&) noexcept;

  /// Ids that may come next, bit id % 64 of word id / 64, GrammarVocabulary::rows() ids: what Sampler::sample takes.
  /// Never empty: whatever was accepted so far, the answer can be completed. End ids are allowed exactly when
  /// can_end(); after one of them only end ids are. Lives until the next call of any member.
  /// Throws kInvalidArgument when the grammar turns out to need too much memory, then too for every later call.
  std::span<const uint64_t> allowed();
  /// False, and nothing changes, when the id is not allowed.
  bool accept(int32_t id);
  /// The same for text that did not come as tokens.
  bool accept_bytes(std::string_view bytes);
  /// The text so far is complete.
  bool can_end() const;
  /// It is complete, and nothing can follow.
  bool must_end() const;
  /// An end id was accepted.
  bool ended() const { return ended_; }
  /// Bytes that must come next, at most `most`, so that no model needs to be asked; empty when there is a choice.
  std::string forced_bytes(size_t most = 256) const;

 private:
  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const grammar::State> state_;
  std::shared_ptr<const grammar::TokenMask> mask_;  // of state_, once asked for
  std::vector<uint64_t> words_;                     // mask_ written out, when it is a list
  bool ended_ = false;
};

/// Compiles, and keeps what was compiled, most recently used first. Thread-safe; nobody waits while another compiles.
/// All compile functions throw kInvalidArgument that names the keyword or the place for what is not supported, cannot
/// be satisfied or is too large.
class GrammarCompiler {
 public:
  explicit GrammarCompiler(std::shared_ptr<const GrammarVocabulary> vocabulary, size_t kept = 32);

  /// `schema`: JSON Schema, draft 2020-12; docs/structured_output.md has the keywords.
  std::shared_ptr<const Grammar> json_schema(std::string_view schema, JsonSpace space = JsonSpace::kFlexible);
  /// Any JSON object.
  std::shared_ptr<const Grammar> json_object(JsonSpace space = JsonSpace::kFlexible);
  /// Texts that the pattern matches as a whole.
  std::shared_ptr<const Grammar> regex(std::string_view pattern);
  /// One of the texts; at least one, none empty.
  std::shared_ptr<const Grammar> choice(std::span<const std::string> choices);

  const std::shared_ptr<const GrammarVocabulary>& vocabulary() const { return vocabulary_; }

 private:
  struct Kept {
    std::string key;
    std::shared_ptr<const Grammar> grammar;
  };
  template <typename Compile>
  std::shared_ptr<const Grammar> get(std::string key, Compile compile);

  std::shared_ptr<const GrammarVocabulary> vocabulary_;
  size_t capacity_;
  std::mutex mutex_;
  std::list<Kept> kept_;
  std::unordered_map<std::string_view, std::list<Kept>::iterator> index_;  // keys lie in kept_
};

}  // namespace minimax::text
