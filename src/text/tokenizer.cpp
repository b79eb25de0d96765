#include "text/tokenizer.h"

#include <algorithm>

#include "core/error.h"
#include "text/tokenizer_files.h"
#include "text/utf8.h"

namespace minimax::text {

namespace {
enum class Kind : uint8_t { kNone, kOrdinary, kAdded, kSpecial };
}  // namespace

struct Tokenizer::Tables {
  TokenizerParts parts;
  Bpe bpe;
  TokenMatcher added;       // all of them: for templates
  TokenMatcher plain;       // those that are not special: for user text
  std::vector<Kind> kinds;  // by id
  std::vector<int32_t> special_ids;
  std::vector<int32_t> stop_ids;
  std::optional<int32_t> bos, eos;

  explicit Tables(TokenizerParts from) : parts(std::move(from)), bpe(parts.byte_ids, parts.merges, parts.vocabulary) {}

  Kind kind(int32_t id) const {
    const auto index = static_cast<size_t>(static_cast<uint32_t>(id));
    return index < kinds.size() ? kinds[index] : Kind::kNone;
  }
  void classify();
  void hide_what_merges_do_not_make();
  std::string_view bytes(int32_t id) const;
  void encode_pieces(std::string_view text, Bpe::Scratch& scratch, std::vector<int32_t>& out) const;
  std::vector<int32_t> encode(std::string_view text, const TokenMatcher& matcher) const;
};

void Tokenizer::Tables::classify() {
  int64_t limit = parts.vocabulary.id_limit();
  if (!parts.added.empty()) limit = std::max<int64_t>(limit, parts.added.back().id + int64_t{1});
  kinds.resize(static_cast<size_t>(limit));
  for (int64_t id = 0; id < parts.vocabulary.id_limit(); ++id)
    if (!parts.vocabulary.bytes(static_cast<int32_t>(id)).empty()) kinds[static_cast<size_t>(id)] = Kind::kOrdinary;
  std::vector<AddedToken> plain_tokens;
  for (const AddedToken& token : parts.added) {
    kinds[static_cast<size_t>(token.id)] = token.special ? Kind::kSpecial : Kind::kAdded;
    if (token.special)
      special_ids.push_back(token.id);
    else
      plain_tokens.push_back(token);
  }
  added = TokenMatcher(parts.added);
  plain = TokenMatcher(plain_tokens);
  bos = added.find(parts.bos);
  eos = added.find(parts.eos);
  if (eos) stop_ids.push_back(*eos);
  for (const std::string_view text : kDefensiveStops)
    if (const auto id = added.find(text); id && std::count(stop_ids.begin(), stop_ids.end(), *id) == 0)
      stop_ids.push_back(*id);
}

/// Whole pieces are looked up in the vocabulary before any merging; that is only right for tokens that merging their
/// own bytes makes. In published vocabularies all are.
void Tokenizer::Tables::hide_what_merges_do_not_make() {
  if (parts.ignore_merges) return;
  for (const int32_t id : bpe.not_made(parts.merges, parts.vocabulary)) parts.vocabulary.hide(id);
}

std::string_view Tokenizer::Tables::bytes(int32_t id) const {
  if (kind(id) == Kind::kOrdinary) return parts.vocabulary.bytes(id);
  const auto at = std::lower_bound(parts.added.begin(), parts.added.end(), id,
                                   [](const AddedToken& token, int32_t wanted) { return token.id < wanted; });
  return at != parts.added.end() && at->id == id ? std::string_view(at->text) : std::string_view();
}

void Tokenizer::Tables::encode_pieces(std::string_view text, Bpe::Scratch& scratch, std::vector<int32_t>& out) const {
  const auto add = [&](std::string_view piece) {
    if (const auto id = parts.vocabulary.find(piece))
      out.push_back(*id);
    else
      bpe.encode(piece, scratch, out);
  };
  const auto published = parts.split.published();
  if (!published) return parts.split.for_each_piece(text, add);
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    const char* const next = piece_end(*published, p, end);
    add({p, static_cast<size_t>(next - p)});
    p = next;
  }
}

std::vector<int32_t> Tokenizer::Tables::encode(std::string_view text, const TokenMatcher& matcher) const {
  std::vector<int32_t> out;
  out.reserve(text.size() / 4 + 16);
  Bpe::Scratch scratch;
  size_t done = 0;
  while (const auto match = matcher.next(text, done)) {
    encode_pieces(text.substr(done, match->begin - done), scratch, out);
    out.push_back(match->id);
    done = match->begin + match->length;
  }
  encode_pieces(text.substr(done), scratch, out);
  return out;
}

Tokenizer Tokenizer::load(const std::filesystem::path& dir) {
  return from_parts(read_tokenizer_files(dir));
}

Tokenizer Tokenizer::from_parts(TokenizerParts parts) {
  auto tables = std::make_shared<Tables>(std::move(parts));
  tables->classify();
  tables->hide_what_merges_do_not_make();
  tables->parts.merges = {};  // Bpe has its own form of them
  return Tokenizer(std::move(tables));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  return tables_->encode(text, tables_->plain);
}

std::vector<int32_t> Tokenizer::encode_with_special(std::string_view text) const {
  return tables_->encode(text, tables_->added);
}

std::string Tokenizer::decode_bytes(std::span<const int32_t> ids, SpecialTokens specials) const {
  std::string out;
  for (const int32_t id : ids) {
    const Kind kind = tables_->kind(id);
    MM_CHECK(kind != Kind::kNone, "token id ", id, " is not in the vocabulary of ", vocab_size(), " ids");
    if (kind != Kind::kSpecial || specials == SpecialTokens::kKeep) out += tables_->bytes(id);
  }
  return out;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, SpecialTokens specials) const {
  std::string out;
  append_valid_utf8(decode_bytes(ids, specials), out);
  return out;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  return tables_->bytes(id);
}

std::optional<int32_t> Tokenizer::special_id(std::string_view text) const {
  const auto id = tables_->added.find(text);
  return id && is_special(*id) ? id : std::nullopt;
}

bool Tokenizer::is_special(int32_t id) const {
  return tables_->kind(id) == Kind::kSpecial;
}

bool Tokenizer::is_ordinary(int32_t id) const {
  const Kind kind = tables_->kind(id);
  return kind == Kind::kOrdinary || kind == Kind::kAdded;
}

std::span<const int32_t> Tokenizer::special_ids() const {
  return tables_->special_ids;
}

int64_t Tokenizer::vocab_size() const {
  return static_cast<int64_t>(tables_->kinds.size());
}

std::optional<int32_t> Tokenizer::bos_id() const {
  return tables_->bos;
}

std::optional<int32_t> Tokenizer::eos_id() const {
  return tables_->eos;
}

std::span<const int32_t> Tokenizer::stop_ids() const {
  return tables_->stop_ids;
}

const std::string& Tokenizer::description() const {
  return tables_->parts.description;
}

}  // namespace minimax::text
