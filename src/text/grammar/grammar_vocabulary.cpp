#include "text/grammar/grammar_vocabulary.h"

#include <algorithm>
#include <bit>

#include "core/error.h"
#include "text/grammar/json_terminals.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace minimax::text {

using grammar::RegexId;
using grammar::RegexPool;
using grammar::TerminalMask;
using grammar::TokenTrie;

namespace {

// An exit with more nodes below it is walked in the tree of all tokens; the rests of others are gathered in one.
constexpr int32_t kLargeExit = 256;
// A mask of fewer ids is kept as a list.
constexpr size_t kFewIds = 1024;
// Plain tokens of more characters are few.
constexpr size_t kMaxPlain = 32;

// The number of characters of a text that stands for itself inside a JSON string; 0 for another.
size_t plain_characters(std::string_view text) {
  size_t count = 0;
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end; ++count) {
    const Utf8Char c = decode_utf8(p, end);
    if (c.code_point == kInvalidCodePoint || c.code_point < 0x20 || c.code_point == '"' || c.code_point == '\\')
      return 0;
    p += c.length;
  }
  return count;
}

}  // namespace

GrammarVocabulary::GrammarVocabulary(const Tokenizer& tokenizer, int64_t rows)
    : end_ids_(tokenizer.stop_ids().begin(), tokenizer.stop_ids().end()),
      rows_(rows < 0 ? tokenizer.vocab_size() : rows) {
  texts_.resize(static_cast<size_t>(std::min(rows_, tokenizer.vocab_size())));
  for (size_t id = 0; id < texts_.size(); ++id)
    if (tokenizer.is_ordinary(static_cast<int32_t>(id))) texts_[id] = tokenizer.token_bytes(static_cast<int32_t>(id));
  prepare();
}

GrammarVocabulary::GrammarVocabulary(std::vector<std::string> texts, std::vector<int32_t> end_ids)
    : texts_(std::move(texts)), end_ids_(std::move(end_ids)), rows_(static_cast<int64_t>(texts_.size())) {
  prepare();
}

void GrammarVocabulary::prepare() {
  for (const int32_t id : end_ids_)
    MM_CHECK(id >= 0 && id < rows_, "end id ", id, ", expected one of the ", rows_, " ids of the vocabulary");
  std::vector<std::pair<std::string_view, int32_t>> tokens, uneven;
  plain_.assign(kMaxPlain + 1, std::vector<uint64_t>(grammar::mask_words(rows_)));
  for (size_t id = 0; id < texts_.size(); ++id) {
    if (texts_[id].empty()) continue;
    tokens.emplace_back(texts_[id], static_cast<int32_t>(id));
    const size_t characters = plain_characters(texts_[id]);
    if (characters == 0 || characters > kMaxPlain)
      uneven.push_back(tokens.back());
    else
      grammar::set_bit(plain_[characters], static_cast<int32_t>(id));
  }
  for (size_t count = 1; count <= kMaxPlain; ++count)
    for (size_t word = 0; word < plain_[count].size(); ++word) plain_[count][word] |= plain_[count - 1][word];
  all_ = TokenTrie(std::move(tokens));
  uneven_ = TokenTrie(std::move(uneven));
  character_ = grammar::json_character(base_pool_);
  plain_character_ = grammar::spelled(base_pool_, grammar::CodePoints::all(), grammar::Spelling::kJson);
  quote_ = base_pool_.literal("\"");
  for (const RegexId string : {json_string(base_pool_), plain_json_string(base_pool_)})
    for (const RegexId state : {string, base_pool_.step(string, '"'), base_pool_.run(string, "\"\\")})
      base_masks_[state] = terminal_mask(base_pool_, state);
}

std::shared_ptr<const TerminalMask> GrammarVocabulary::terminal_mask(RegexPool& pool, RegexId state) const {
  auto out = std::make_shared<TerminalMask>();
  std::vector<uint64_t> inside(grammar::mask_words(rows_));
  const auto loop = pool.loop(state);
  const bool in_string = loop && loop->rest == quote_ && (loop->what == character_ || loop->what == plain_character_);
  if (in_string)
    inside = plain_[loop->max < 0 ? kMaxPlain : std::min<size_t>(static_cast<size_t>(loop->max), kMaxPlain)];
  const TokenTrie& tree = in_string ? uneven_ : all_;
  out->tree = &tree;
  std::vector<RegexId> states(tree.max_depth() + 1);
  states[0] = state;
  std::vector<int32_t> small_exits;
  tree.walk([&](const TokenTrie::Node& node) {
    const RegexId next = pool.step(states[node.depth - 1u], node.byte);
    if (next == RegexPool::kNothing) return false;
    states[node.depth] = next;
    for (const int32_t id : tree.tokens_at(node)) grammar::set_bit(inside, id);
    const int32_t index = tree.index_of(node), below = node.end - index - 1;
    if (below > 0 && pool.nullable(next)) (below > kLargeExit ? out->large_exits : small_exits).push_back(index);
    return next != RegexPool::kEmpty;
  });
  std::vector<std::pair<std::string_view, int32_t>> rests;
  for (const int32_t exit : small_exits) {
    const TokenTrie::Node& from = tree.nodes()[static_cast<size_t>(exit)];
    for (int32_t i = exit + 1; i < from.end; ++i)
      for (const int32_t id : tree.tokens_at(tree.nodes()[static_cast<size_t>(i)]))
        rests.emplace_back(text(id).substr(from.depth), id);
  }
  out->exits = TokenTrie(std::move(rests));
  size_t count = 0;
  for (const uint64_t word : inside) count += static_cast<size_t>(std::popcount(word));
  out->leaves = !out->exits.empty() || !out->large_exits.empty();
  if (count > kFewIds) {
    out->inside = std::move(inside);
  } else {
    for (size_t word = 0; word < inside.size(); ++word)
      for (uint64_t bits = inside[word]; bits != 0; bits &= bits - 1)
        out->ids.push_back(static_cast<int32_t>(word * 64 + static_cast<size_t>(std::countr_zero(bits))));
  }
  return out;
}

}  // namespace minimax::text
