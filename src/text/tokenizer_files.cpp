#include "text/tokenizer_files.h"

#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/error.h"
#include "io/file.h"
#include "io/json.h"
#include "text/byte_alphabet.h"

namespace minimax::text {

namespace {

constexpr int64_t kMaxFileBytes = int64_t{256} << 20;

std::string gunzip(const std::string& packed, const std::filesystem::path& path) {
  z_stream stream{};
  MM_CHECK_KIND(kInternal, inflateInit2(&stream, 15 + 16) == Z_OK, "zlib: cannot start");
  std::string out;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  int rc = Z_OK;
  while (rc == Z_OK && static_cast<int64_t>(out.size()) <= kMaxFileBytes) {
    const size_t done = out.size();
    out.resize(std::max<size_t>(done * 2, size_t{1} << 20));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + done);
    stream.avail_out = static_cast<uInt>(out.size() - done);
    rc = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
  }
  const bool all_used = stream.avail_in == 0;
  inflateEnd(&stream);
  MM_CHECK(static_cast<int64_t>(out.size()) <= kMaxFileBytes, path.string(), ": unpacks to more than ", kMaxFileBytes,
           " bytes");
  MM_CHECK(rc == Z_STREAM_END && all_used, path.string(), ": not one whole gzip stream");
  return out;
}

/// A line of a merges file or an element of model.merges, for errors.
struct Place {
  std::string_view what;
  int64_t index;
  bool json;
};

std::ostream& operator<<(std::ostream& out, const Place& place) {
  if (place.json) return out << place.what << ": model.merges[" << place.index << "]";
  return out << place.what << ":" << place.index;
}

/// The ids of a merge's two symbols, and their bytes put together in `bytes`.
Merge read_merge(std::string_view left, std::string_view right, const Vocabulary& vocabulary, const Place& place,
                 std::string& scratch, std::string& bytes) {
  bytes.clear();
  int32_t ids[2];
  const std::string_view symbols[2] = {left, right};
  for (int side = 0; side < 2; ++side) {
    MM_CHECK(from_byte_alphabet(symbols[side], scratch), place, ": \"", symbols[side],
             "\" has a character outside the byte alphabet");
    const auto id = vocabulary.find(scratch);
    MM_CHECK(id, place, ": \"", symbols[side], "\" is neither a token of the vocabulary nor made by an earlier merge");
    ids[side] = *id;
    bytes += scratch;
  }
  return {ids[0], ids[1], -1};
}

/// Splits "left right"; throws when the line is not two symbols with one space between.
std::pair<std::string_view, std::string_view> split_merge(std::string_view line, const Place& place) {
  const size_t space = line.find(' ');
  MM_CHECK(space != line.npos && space > 0 && space + 1 < line.size() && line.find(' ', space + 1) == line.npos, place,
           ": \"", line.substr(0, 200), "\", expected two symbols with one space between");
  return {line.substr(0, space), line.substr(space + 1)};
}

/// Calls use(line, place) for each line of merges.txt but the version comment.
template <typename Use>
void for_each_merge(std::string_view merges, std::string_view what, Use use) {
  for (int64_t number = 1; !merges.empty(); ++number) {
    const size_t newline = merges.find('\n');
    std::string_view line = merges.substr(0, newline);
    merges.remove_prefix(newline == merges.npos ? merges.size() : newline + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (number == 1 && line.starts_with("#version")) continue;
    use(line, Place{what, number, false});
  }
}

/// Sets merge.result; the token it makes must be there.
void add_merge(Merge merge, std::string_view bytes, const Place& place, TokenizerParts& parts) {
  const auto result = parts.vocabulary.find(bytes);
  MM_CHECK(result, place, ": makes \"", to_byte_alphabet(bytes), "\", which is not in the vocabulary");
  merge.result = *result;
  parts.merges.push_back(merge);
}

void find_byte_ids(TokenizerParts& parts, std::string_view what) {
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    const auto id = parts.vocabulary.find({&byte, 1});
    MM_CHECK(id, what, ": no token for byte ", b, " (\"", to_byte_alphabet({&byte, 1}), "\"), expected all 256");
    parts.byte_ids[static_cast<size_t>(b)] = *id;
  }
}

/// Puts the entries of a vocab object into the vocabulary, but those that are added tokens.
void read_vocab(const io::json::object& vocab, std::string_view what, TokenizerParts& parts) {
  std::unordered_map<std::string_view, int32_t> added;
  for (const AddedToken& token : parts.added) added.emplace(token.text, token.id);
  parts.vocabulary = Vocabulary(vocab.size());
  std::string bytes;
  for (const auto& [spelled, value] : vocab) {
    int64_t id = -1;
    if (const auto* number = value.if_int64()) id = *number;
    MM_CHECK(id >= 0 && id < Vocabulary::kMaxIds, what, ": id of \"", std::string_view(spelled), "\" is ",
             io::write_json(value).substr(0, 100), ", expected an integer from 0 to ", Vocabulary::kMaxIds - 1);
    if (const auto token = added.find(spelled); token != added.end()) {
      MM_CHECK(token->second == id, what, ": \"", std::string_view(spelled), "\" has id ", id,
               " in the vocabulary and id ", token->second, " as an added token");
      continue;
    }
    MM_CHECK(from_byte_alphabet(spelled, bytes) && !bytes.empty(), what, ": token \"", std::string_view(spelled),
             "\" (id ", id, ") is empty or has a character outside the byte alphabet");
    MM_CHECK(parts.vocabulary.add(static_cast<int32_t>(id), bytes), what, ": id ", id, " is given to \"",
             to_byte_alphabet(parts.vocabulary.bytes(static_cast<int32_t>(id))), "\" and to \"",
             std::string_view(spelled), "\"");
  }
}

/// Reads one entry of added_tokens or added_tokens_decoder.
AddedToken read_added_token(const io::JsonField& field, int64_t id) {
  for (const char* flag : {"single_word", "lstrip", "rstrip"})
    if (field[flag].boolean_or(false)) field[flag].fail("false: other values are not supported");
  AddedToken token{static_cast<int32_t>(id), std::string(field["content"].string()),
                   field["special"].boolean_or(false)};
  if (token.text.empty()) field["content"].fail("a text that is not empty");
  return token;
}

/// Normalizers, decoders and the like: null, or of the one type that changes nothing beyond the byte alphabet.
void expect_null_or(const io::JsonField& field, std::string_view type) {
  if (!field.has_value()) return;
  if (type.empty()) field.fail("null: this is not supported");
  if (!field["type"].present() || field["type"].string() != type) field.fail(cat("null or ", type));
}

void check_model(const io::JsonField& model) {
  if (!model.has_value()) model.fail("a BPE model");
  if (model["type"].string_or("BPE") != "BPE") model["type"].fail("BPE");
  if (model["dropout"].number_or(0) != 0) model["dropout"].fail("null or 0: dropout is not supported");
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!model[affix].string_or("").empty()) model[affix].fail("null or an empty string");
  if (model["byte_fallback"].boolean_or(false)) model["byte_fallback"].fail("false");
}

void read_json_merges(const io::json::array& merges, std::string_view what, TokenizerParts& parts) {
  MM_CHECK(static_cast<int64_t>(merges.size()) <= Bpe::kMaxMerges, what, ": ", merges.size(),
           " merges, expected at most ", Bpe::kMaxMerges);
  parts.merges.reserve(merges.size());
  std::string scratch, bytes;
  Place place{what, 0, true};
  for (const io::json::value& entry : merges) {
    std::pair<std::string_view, std::string_view> symbols;
    const auto* pair = entry.if_array();
    if (pair && pair->size() == 2 && (*pair)[0].is_string() && (*pair)[1].is_string())
      symbols = {(*pair)[0].get_string(), (*pair)[1].get_string()};
    else if (const auto* line = entry.if_string())
      symbols = split_merge(*line, place);
    else
      MM_CHECK(false, place, ": expected \"left right\" or [\"left\", \"right\"]");
    const Merge merge = read_merge(symbols.first, symbols.second, parts.vocabulary, place, scratch, bytes);
    add_merge(merge, bytes, place, parts);
    ++place.index;
  }
}

}  // namespace

std::optional<std::string> read_maybe_gzipped(const std::filesystem::path& dir, std::string_view name,
                                              std::filesystem::path& found) {
  found = dir / name;
  if (std::filesystem::exists(found)) return io::read_file(found, kMaxFileBytes);
  found += ".gz";
  if (std::filesystem::exists(found)) return gunzip(io::read_file(found, kMaxFileBytes), found);
  return std::nullopt;
}

TokenizerParts parse_tokenizer_json(std::string_view json, std::string_view what) {
  const io::json::value root = io::parse_json(json, what);
  const io::JsonField file(root, what);
  TokenizerParts parts;
  expect_null_or(file["truncation"], "");
  expect_null_or(file["padding"], "");
  expect_null_or(file["normalizer"], "");
  expect_null_or(file["post_processor"], "ByteLevel");
  expect_null_or(file["decoder"], "ByteLevel");
  parts.split = SplitRules::read(file["pre_tokenizer"]);
  if (const io::JsonField added = file["added_tokens"]; added.has_value())
    for (int64_t i = 0; i < added.size(); ++i)
      parts.added.push_back(read_added_token(added[i], added[i]["id"].integer(0, Vocabulary::kMaxIds - 1)));
  const io::JsonField model = file["model"];
  check_model(model);
  parts.ignore_merges = model["ignore_merges"].boolean_or(false);
  read_vocab(model["vocab"].object(), cat(what, ": model.vocab"), parts);
  find_byte_ids(parts, what);
  read_json_merges(model["merges"].array(), what, parts);
  parts.description = cat("tokenizer.json, ", parts.split.description());
  return parts;
}

TokenizerParts parse_vocab_and_merges(std::string_view vocab_json, std::string_view vocab_what, std::string_view merges,
                                      std::string_view merges_what) {
  const io::json::value root = io::parse_json(vocab_json, vocab_what);
  TokenizerParts parts;
  const io::json::object& vocab = io::JsonField(root, vocab_what).object();
  // An entry that is no byte and that no merge makes can come from no text: it is a special token. Which ones are, the
  // merges say.
  std::string left, right;
  std::unordered_set<std::string> made;
  for_each_merge(merges, merges_what, [&](std::string_view line, const Place& place) {
    const auto symbols = split_merge(line, place);
    made.insert(std::string(symbols.first) += symbols.second);
  });
  for (const auto& [spelled, id] : vocab) {
    const bool byte = from_byte_alphabet(spelled, left) && left.size() == 1;
    if (byte || made.contains(std::string(spelled)) || spelled.empty()) continue;
    const auto* number = id.if_int64();
    MM_CHECK(number && *number >= 0 && *number < Vocabulary::kMaxIds, vocab_what, ": id of \"",
             std::string_view(spelled), "\" is ", io::write_json(id).substr(0, 100), ", expected an integer from 0 to ",
             Vocabulary::kMaxIds - 1);
    parts.added.push_back({static_cast<int32_t>(*number), std::string(spelled), true});
  }
  read_vocab(vocab, vocab_what, parts);
  find_byte_ids(parts, vocab_what);
  for_each_merge(merges, merges_what, [&](std::string_view line, const Place& place) {
    const auto symbols = split_merge(line, place);
    const Merge merge = read_merge(symbols.first, symbols.second, parts.vocabulary, place, left, right);
    add_merge(merge, right, place, parts);
  });
  parts.description = cat("vocab.json and merges.txt, ", parts.split.description());
  return parts;
}

TokenizerParts parse_merges(std::string_view merges, std::string_view what) {
  TokenizerParts parts;
  const auto lines = static_cast<size_t>(std::count(merges.begin(), merges.end(), '\n')) + 1;
  const size_t expected = std::min<size_t>(lines, size_t{Vocabulary::kMaxIds}) + 256;
  parts.vocabulary = Vocabulary(expected);
  parts.merges.reserve(expected);
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    parts.vocabulary.add(b, {&byte, 1});
    parts.byte_ids[static_cast<size_t>(b)] = b;
  }
  std::string scratch, bytes;
  for_each_merge(merges, what, [&](std::string_view line, const Place& place) {
    const auto symbols = split_merge(line, place);
    Merge merge = read_merge(symbols.first, symbols.second, parts.vocabulary, place, scratch, bytes);
    const int64_t id = 256 + static_cast<int64_t>(parts.merges.size());
    MM_CHECK(id < Vocabulary::kMaxIds, place, ": more than ", Vocabulary::kMaxIds, " tokens");
    merge.result = static_cast<int32_t>(id);
    MM_CHECK(parts.vocabulary.add(merge.result, bytes), place, ": makes \"", to_byte_alphabet(bytes),
             "\", which an earlier merge made: without vocab.json its id is not defined");
    parts.merges.push_back(merge);
  });
  parts.description = cat("merges.txt, ", parts.split.description());
  return parts;
}

void apply_tokenizer_config(std::string_view json, std::string_view what, TokenizerParts& parts) {
  const io::json::value root = io::parse_json(json, what);
  const io::JsonField config(root, what);
  if (config["add_prefix_space"].boolean_or(false)) config["add_prefix_space"].fail("false");
  const auto name = [](const io::JsonField& field) {
    if (!field.has_value()) return std::string();
    return std::string(field.is_object() ? field["content"].string() : field.string());
  };
  parts.bos = name(config["bos_token"]);
  parts.eos = name(config["eos_token"]);
  const io::JsonField decoder = config["added_tokens_decoder"];
  if (!decoder.has_value()) return;
  for (const auto& [key, value] : decoder.object()) {
    const io::JsonField field = decoder[key];
    int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    MM_CHECK(error == std::errc() && end == key.data() + key.size() && id >= 0 && id < Vocabulary::kMaxIds, what,
             ": added_tokens_decoder: \"", std::string_view(key), "\" is no id from 0 to ", Vocabulary::kMaxIds - 1);
    AddedToken token = read_added_token(field, id);
    const bool known = std::any_of(parts.added.begin(), parts.added.end(), [&token](const AddedToken& other) {
      return other.id == token.id && other.text == token.text;
    });
    if (!known) parts.added.push_back(std::move(token));
  }
}

void complete_special_tokens(TokenizerParts& parts) {
  const bool any = std::any_of(parts.added.begin(), parts.added.end(), [](const auto& token) { return token.special; });
  if (!any && parts.vocabulary.id_limit() == kMiniMaxM1OrdinaryTokens) {
    parts.added = minimax_m1_special_tokens();
    parts.description += ", published special tokens";
  }
  std::sort(parts.added.begin(), parts.added.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  std::unordered_map<std::string_view, int32_t> by_text;
  for (size_t i = 0; i < parts.added.size(); ++i) {
    const AddedToken& token = parts.added[i];
    MM_CHECK(parts.vocabulary.bytes(token.id).empty(), "added token \"", token.text, "\" has id ", token.id,
             ", which the vocabulary gives to \"", to_byte_alphabet(parts.vocabulary.bytes(token.id)), "\"");
    MM_CHECK(i == 0 || parts.added[i - 1].id != token.id, "added tokens \"", parts.added[i - 1].text, "\" and \"",
             token.text, "\" have the same id ", token.id);
    if (token.text.empty()) continue;
    const auto [other, fresh] = by_text.emplace(token.text, token.id);
    MM_CHECK(fresh, "added token \"", token.text, "\" has two ids, ", other->second, " and ", token.id);
  }
  if (parts.eos.empty() && by_text.contains("<end_of_sentence>")) parts.eos = "<end_of_sentence>";
  if (parts.bos.empty() && by_text.contains("<beginning_of_sentence>")) parts.bos = "<beginning_of_sentence>";
  for (const auto& [name, text] : {std::pair("bos_token", &parts.bos), std::pair("eos_token", &parts.eos)})
    MM_CHECK(text->empty() || by_text.contains(*text), "tokenizer_config.json: \"", name, "\" is \"", *text,
             "\", which is no special token of this tokenizer (", parts.description, ")");
}

TokenizerParts read_tokenizer_files(const std::filesystem::path& dir) {
  const auto parse = [&dir] {
    std::filesystem::path path, merges_path;
    if (const auto json = read_maybe_gzipped(dir, "tokenizer.json", path))
      return parse_tokenizer_json(*json, path.string());
    const auto merges = read_maybe_gzipped(dir, "merges.txt", merges_path);
    MM_CHECK_KIND(kNotFound, merges, dir.string(), ": no tokenizer here, expected tokenizer.json or merges.txt");
    if (const auto vocab = read_maybe_gzipped(dir, "vocab.json", path))
      return parse_vocab_and_merges(*vocab, path.string(), *merges, merges_path.string());
    return parse_merges(*merges, merges_path.string());
  };
  TokenizerParts parts = parse();
  std::filesystem::path path;
  if (const auto config = read_maybe_gzipped(dir, "tokenizer_config.json", path))
    apply_tokenizer_config(*config, path.string(), parts);
  complete_special_tokens(parts);
  return parts;
}

}  // namespace minimax::text
