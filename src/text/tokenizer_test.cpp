#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/rng.h"
#include "io/file.h"
#include "io/json.h"
#include "text/bpe.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer_files.h"
#include "text/utf8.h"

namespace minimax::text {
namespace {

using Ids = std::vector<int32_t>;

const std::filesystem::path kFolder = std::filesystem::path(MINIMAX_TESTDATA) / "tokenizer";

const Tokenizer& m1() {
  static const Tokenizer tokenizer = Tokenizer::load(kFolder);
  return tokenizer;
}

std::string m1_merges() {
  std::filesystem::path found;
  return read_maybe_gzipped(kFolder, "merges.txt", found).value();
}

struct Golden {
  std::string text;
  Ids ids;
};

std::vector<Golden> goldens() {
  std::vector<Golden> out;
  std::ifstream file(kFolder / "goldens.jsonl");
  for (std::string line; std::getline(file, line);) {
    const io::json::value value = io::parse_json(line, "goldens.jsonl");
    const io::JsonField field(value, "goldens.jsonl");
    const auto ids = field["ids"].integers();
    out.push_back({std::string(field["text"].string()), Ids(ids.begin(), ids.end())});
  }
  return out;
}

TEST(Tokenizer, GivesTheGoldenIds) {
  const auto all = goldens();
  ASSERT_EQ(all.size(), 362u);
  for (const Golden& golden : all) {
    EXPECT_EQ(m1().encode(golden.text), golden.ids) << golden.text;
    EXPECT_EQ(m1().decode(golden.ids), golden.text);
  }
}

TEST(Tokenizer, GivesTheIdsOfTheModelsDocuments) {
  const Golden vectors[] = {
      {"Hello, world!", {19739, 44, 2035, 33}},
      {"1234567", {10010, 26551, 55}},
      {"  leading", {32, 7440}},
      {"\r\n\r\n", {9871}},
      {"\U0001F680", {150333}},
      {"user name=user\n", {3995, 1925, 133646, 10}},
      {"ai name=assistant\n", {1361, 1925, 61, 153156, 10}},
      {"<think>\n", {60, 37959, 1100}},
      {"\n</think>\n", {10, 1579, 37959, 1100}},
      {"<tool_calls>", {60, 45382, 144303, 62}},
      {"</tool_calls>", {1579, 45382, 144303, 62}},
      {" I'm O'Neil", {4227, 535, 39, 86434}},
      {"MiniMax-M1 has 456B parameters.", {83617, 12973, 5145, 49, 760, 32, 26551, 66, 7729, 46}},
      {"", {}},
  };
  for (const Golden& v : vectors) EXPECT_EQ(m1().encode(v.text), v.ids) << v.text;
}

// llama.cpp's converter knows tokenizers by the SHA-256 of the ids of one text, printed as a Python list. identity.txt
// is that text, identity_ids.txt the list whose hash is the one listed for this family: sha256sum identity_ids.txt =
// f4f37b6c8eb9ea29b3eac6bb8c8487c5ab7885f8d8022e67edc1c68ce8403e95
TEST(Tokenizer, HasTheFamilysIdentity) {
  std::string list = "[";
  for (const int32_t id : m1().encode(io::read_file(kFolder / "identity.txt")))
    list += (list.size() > 1 ? ", " : "") + std::to_string(id);
  EXPECT_EQ(list + "]", io::read_file(kFolder / "identity_ids.txt"));
}

TEST(Tokenizer, KnowsItsSpecialTokens) {
  EXPECT_EQ(m1().eos_id(), 200020);
  EXPECT_EQ(m1().bos_id(), 200019);
  EXPECT_EQ(m1().special_id("<begin_of_document>"), 200034);
  EXPECT_EQ(m1().special_id("<end_of_document>"), 200021);
  EXPECT_EQ(m1().special_id("<think>"), std::nullopt);
  EXPECT_EQ(m1().special_id(""), std::nullopt);
  EXPECT_EQ(Ids(m1().stop_ids().begin(), m1().stop_ids().end()), (Ids{200020, 200034, 200019, 200021}));
  EXPECT_EQ(m1().vocab_size(), 200064);
  EXPECT_EQ(m1().special_ids().size(), 64u);
  EXPECT_TRUE(m1().is_special(200063));
  EXPECT_FALSE(m1().is_special(200064));
  EXPECT_FALSE(m1().is_special(-1));
  EXPECT_TRUE(m1().is_ordinary(0));
  EXPECT_TRUE(m1().is_ordinary(199999));
  EXPECT_FALSE(m1().is_ordinary(200000));
  EXPECT_EQ(m1().token_bytes(200020), "<end_of_sentence>");
  EXPECT_EQ(m1().token_bytes(255), "\xFF");
  EXPECT_EQ(m1().token_bytes(200000), "");
  EXPECT_EQ(m1().token_bytes(-5), "");
  EXPECT_EQ(m1().token_bytes(1 << 30), "");
}

TEST(Tokenizer, UserTextNeverYieldsSpecialIds) {
  Rng rng(7);
  std::vector<std::string> texts;
  for (const int32_t id : m1().special_ids()) texts.emplace_back(m1().token_bytes(id));
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (uint64_t parts = 1 + rng.below(6); parts > 0; --parts) {
      text += texts[rng.below(texts.size())];
      if (rng.below(2)) text += static_cast<char>(rng.below(256));
    }
    const Ids ids = m1().encode(text);
    for (const int32_t id : ids) ASSERT_FALSE(m1().is_special(id)) << text;
    ASSERT_EQ(m1().decode_bytes(ids), text);
  }
}

TEST(Tokenizer, MatchesSpecialTokensWhenAsked) {
  EXPECT_EQ(m1().encode_with_special("<beginning_of_sentence>user name=user\nHi<end_of_sentence>\n"),
            (Ids{200019, 3995, 1925, 133646, 10, m1().encode("Hi")[0], 200020, 10}));
  // Cut at the special token before anything else: the halves are encoded on their own.
  EXPECT_EQ(m1().encode_with_special("he<fim_pad>llo"), (Ids{m1().encode("he")[0], 200004, m1().encode("llo")[0]}));
  EXPECT_EQ(m1().encode_with_special("<<end_of_sentence>"), (Ids{60, 200020}));
  EXPECT_EQ(m1().encode_with_special("<end_of_sentence"), m1().encode("<end_of_sentence"));
  const Ids ids = m1().encode_with_special("a<end_of_sentence>b");
  EXPECT_EQ(m1().decode(ids), "ab");
  EXPECT_EQ(m1().decode(ids, SpecialTokens::kKeep), "a<end_of_sentence>b");
}

TEST(TokenMatcher, TakesTheLeftmostThenTheLongest) {
  const std::vector<AddedToken> tokens = {{1, "<a>", true}, {2, "<a><b>", true}, {3, "b>", true}, {4, "<", true}};
  const TokenMatcher matcher(tokens);
  const auto check = [&matcher](std::string_view text, size_t from, size_t begin, size_t length, int32_t id) {
    const auto match = matcher.next(text, from);
    ASSERT_TRUE(match) << text;
    EXPECT_EQ(match->begin, begin);
    EXPECT_EQ(match->length, length);
    EXPECT_EQ(match->id, id);
  };
  check("x<a><b>", 0, 1, 6, 2);
  check("x<a><b", 0, 1, 3, 1);
  check("x<a><b", 2, 4, 1, 4);
  check("x<a><b>", 5, 5, 2, 3);
  EXPECT_FALSE(matcher.next("xyz", 0));
  EXPECT_FALSE(TokenMatcher().next("<a>", 0));
}

TEST(Tokenizer, RoundTripsAnyBytes) {
  Rng rng(11);
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (uint64_t n = rng.below(400); n > 0; --n)
      text += static_cast<char>(rng.below(3) ? rng.below(256) : 0x80 + rng.below(0x80));
    const Ids ids = m1().encode(text);
    ASSERT_EQ(m1().decode_bytes(ids), text);
    for (const int32_t id : ids) ASSERT_TRUE(m1().is_ordinary(id));
    ASSERT_EQ(m1().decode_bytes(m1().encode_with_special(text)), text);
  }
}

TEST(Tokenizer, DecodeRepairsOnlyWhatIsNotUtf8) {
  const auto bytes = [](std::initializer_list<int> list) { return Ids(list.begin(), list.end()); };
  EXPECT_EQ(m1().decode(bytes({0xE4, 0xBD, 0xA0, 'x'})), "\u4f60x");
  EXPECT_EQ(m1().decode(bytes({0xE4, 0xBD, 'x'})), "\uFFFDx");  // one mark for a truncated character
  EXPECT_EQ(m1().decode(bytes({0xFF, 0xC0, 0x80})), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(m1().decode(bytes({0xED, 0xA0, 0x80})), "\uFFFD\uFFFD\uFFFD");  // a surrogate
  EXPECT_EQ(m1().decode(bytes({0xF0, 0x9F, 0x9A})), "\uFFFD");
  EXPECT_EQ(m1().decode_bytes(bytes({0xE4, 0xBD})), "\xE4\xBD");
  EXPECT_THROW(m1().decode(Ids{200064}), Error);
  EXPECT_THROW(m1().decode(Ids{-1}), Error);
}

TEST(Bpe, EveryTokenOfMiniMaxM1EncodesToItself) {
  // Through the merges alone: the tokenizer's look-up of whole pieces takes no part in this.
  const TokenizerParts parts = parse_merges(m1_merges(), "merges.txt");
  ASSERT_EQ(parts.merges.size(), 199744u);
  const Bpe bpe(parts.byte_ids, parts.merges, parts.vocabulary);
  Bpe::Scratch scratch;
  Ids ids;
  for (int32_t id = 0; id < 200000; ++id) {
    ids.clear();
    bpe.encode(parts.vocabulary.bytes(id), scratch, ids);
    ASSERT_EQ(ids, Ids{id});
  }
  EXPECT_EQ(bpe.not_made(parts.merges, parts.vocabulary), Ids{});
}

/// Byte-pair encoding as it is defined: find the leftmost pair of the lowest rank, merge, again.
Ids reference_bpe(std::string_view piece, const TokenizerParts& parts,
                  const std::map<std::pair<int32_t, int32_t>, size_t>& ranks) {
  Ids ids;
  for (const char c : piece) ids.push_back(parts.byte_ids[static_cast<unsigned char>(c)]);
  for (;;) {
    size_t best = parts.merges.size(), at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i)
      if (const auto rank = ranks.find({ids[i], ids[i + 1]}); rank != ranks.end() && rank->second < best)
        best = rank->second, at = i;
    if (best == parts.merges.size()) return ids;
    ids[at] = parts.merges[best].result;
    ids.erase(ids.begin() + static_cast<int64_t>(at) + 1);
  }
}

TEST(Bpe, AgreesWithTheDefinition) {
  const TokenizerParts parts = parse_merges(m1_merges(), "merges.txt");
  std::map<std::pair<int32_t, int32_t>, size_t> ranks;
  for (size_t i = 0; i < parts.merges.size(); ++i) ranks[{parts.merges[i].left, parts.merges[i].right}] = i;
  const Bpe bpe(parts.byte_ids, parts.merges, parts.vocabulary);
  Bpe::Scratch scratch;
  Rng rng(3);
  Ids got;
  for (int round = 0; round < 500; ++round) {
    // Pieces from one byte to well past the switch from the array to the heap, of bytes and tokens in any mixture.
    std::string piece;
    const size_t length = 1 + rng.below(round % 10 == 0 ? 1000 : 120);
    const bool tokens = rng.below(2) == 0;
    const uint64_t letters = 1 + rng.below(4);
    while (piece.size() < length) {
      if (tokens)
        piece += parts.vocabulary.bytes(static_cast<int32_t>(rng.below(2) ? rng.below(2000) : rng.below(200000)));
      else
        piece += static_cast<char>("ea n"[rng.below(letters)]);
    }
    got.clear();
    bpe.encode(piece, scratch, got);
    ASSERT_EQ(got, reference_bpe(piece, parts, ranks)) << piece;
  }
}

std::string repaired(std::string_view bytes) {
  std::string out;
  append_valid_utf8(bytes, out);
  return out;
}

TEST(Bpe, AgreesWithTheDefinitionForAnyMerges) {
  // Small random vocabularies: merges in and out of order, doubled, made twice, joining parts of characters.
  Rng rng(17);
  const std::string_view all[] = {"a", "b", " ", "\u00e9", "\u00e8", "\u4f60", "\u4f61", "\u597d", "\U0001F600"};
  int shuffled = 0, crossing = 0;
  size_t missing = 0;
  const auto is_whole = [](const std::string& text) { return repaired(text) == text; };
  for (int round = 0; round < 1500; ++round) {
    TokenizerParts parts = parse_merges("", "no merges");
    std::vector<std::string_view> characters;
    for (uint64_t n = 1 + rng.below(4); n > 0; --n) characters.push_back(all[rng.below(std::size(all))]);
    std::vector<std::string> tokens;
    for (const auto c : characters)
      for (const char byte : c) tokens.emplace_back(1, byte);
    int32_t next = 256;
    for (uint64_t n = rng.below(60); n > 0; --n) {
      // Parts that meet in a random text, so that most merges can happen.
      const std::string left = tokens[rng.below(tokens.size())], right = tokens[rng.below(tokens.size())];
      std::string text;
      for (int i = 0; i < 12; ++i) text += characters[rng.below(characters.size())];
      const std::string made = left + right;
      if (made.size() > 12 || text.find(made) == text.npos) continue;
      const bool inside = std::any_of(std::begin(all), std::end(all), [&](auto c) { return c.find(made) != c.npos; });
      const bool crosses = !inside && !(is_whole(left) && is_whole(right));
      if (crosses && round % 4 < 2) continue;
      crossing += crosses;
      if (parts.vocabulary.add(next, made)) ++next, tokens.push_back(made);
      parts.merges.push_back(
          {*parts.vocabulary.find(left), *parts.vocabulary.find(right), *parts.vocabulary.find(made)});
    }
    if (round % 2 == 1) {
      for (size_t i = parts.merges.size(); i > 1; --i) std::swap(parts.merges[i - 1], parts.merges[rng.below(i)]);
      shuffled += parts.merges.size() > 5;
    }
    std::map<std::pair<int32_t, int32_t>, size_t> ranks;
    for (size_t i = 0; i < parts.merges.size(); ++i) ranks[{parts.merges[i].left, parts.merges[i].right}] = i;
    const Bpe bpe(parts.byte_ids, parts.merges, parts.vocabulary);
    Bpe::Scratch scratch;
    Ids got, not_made;
    for (int32_t id = 0; id < next; ++id)
      if (reference_bpe(parts.vocabulary.bytes(id), parts, ranks) != Ids{id}) not_made.push_back(id);
    ASSERT_EQ(bpe.not_made(parts.merges, parts.vocabulary), not_made) << "round " << round;
    missing += not_made.size();
    for (int text = 0; text < 12; ++text) {
      std::string piece;
      const size_t length = 1 + rng.below(text < 9 ? 40 : 700);
      const uint64_t kinds = 1 + rng.below(characters.size());
      while (piece.size() < length) piece += characters[rng.below(kinds)];
      if (rng.below(4) == 0) piece.pop_back();
      got.clear();
      bpe.encode(piece, scratch, got);
      ASSERT_EQ(got, reference_bpe(piece, parts, ranks)) << "round " << round << ": " << piece;
    }
  }
  EXPECT_GT(missing, 300u);
  EXPECT_GT(shuffled, 300);
  EXPECT_GT(crossing, 1000);
}

TEST(Tokenizer, HostileTextTakesNoQuadraticTime) {
  // A megabyte in one piece or in very many; a quadratic step anywhere would take minutes.
  for (const char* unit : {"a", "A", " ", "\n", "\u0301", "1", "\u4e2d", "\u4e2d\u56fd\u4eba", "\xFF", "=", "'", "<",
                           "ab", "\u00e9", "\U0001F469\u200D"}) {
    std::string text;
    while (text.size() < (1u << 20)) text += unit;
    const Ids ids = m1().encode_with_special(text);
    EXPECT_EQ(m1().decode_bytes(ids), text) << unit;
  }
}

TEST(Tokenizer, ManyThreadsShareOne) {
  const auto all = goldens();
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&all, &wrong, t] {
      for (size_t i = 0; i < all.size(); ++i) {
        const Golden& golden = all[(i + static_cast<size_t>(t) * 91) % all.size()];
        if (m1().encode(golden.text) != golden.ids || m1().decode(golden.ids) != golden.text) ++wrong;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

// What follows builds other tokenizers' files.

/// A tokenizer.json like the published ones, from M1's first merges, with ids counted down from the top to show that
/// they come from the file.
class SmallTokenizer {
 public:
  static constexpr int kMerges = 3000;

  SmallTokenizer() {
    const std::string merges = m1_merges();
    std::istringstream lines(merges);
    std::string line;
    std::getline(lines, line);
    for (int k = 0; k < kMerges && std::getline(lines, line); ++k) merge_lines.push_back(line);
    int id = kMerges + 256;
    std::string bytes;
    for (int b = 0; b < 256; ++b) vocab.emplace_back(to_byte_alphabet(std::string(1, static_cast<char>(b))), --id);
    for (std::string made : merge_lines) {
      made.erase(made.find(' '), 1);
      vocab.emplace_back(made, --id);
    }
  }

  std::string vocab_json() const {
    io::json::object object;
    for (const auto& [token, id] : vocab) object[token] = id;
    return io::write_json(object);
  }
  std::string merges_text() const {
    std::string text = "#version: 0.2\n";
    for (const auto& line : merge_lines) text += line + "\n";
    return text;
  }
  std::string tokenizer_json(bool merges_as_pairs = false) const {
    io::json::array merges;
    for (const auto& line : merge_lines) {
      const size_t space = line.find(' ');
      if (merges_as_pairs)
        merges.emplace_back(io::json::array{line.substr(0, space).c_str(), line.substr(space + 1).c_str()});
      else
        merges.emplace_back(line);
    }
    return R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": )" + added +
           R"(, "normalizer": )" + normalizer + R"(, "pre_tokenizer": )" + pre_tokenizer + R"(, "post_processor": )" +
           post_processor +
           R"(, "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}, )" +
           R"("model": {"type": "BPE", "dropout": )" + dropout +
           R"(, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false, )" +
           R"("byte_fallback": false, "ignore_merges": )" + ignore_merges + R"(, "vocab": )" + vocab_json() +
           R"(, "merges": )" + io::write_json(merges) + "}}";
  }
  static std::string split(std::string_view regex, std::string_view behavior = "Isolated", bool invert = false) {
    return R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": )" +
           io::write_json_string(regex) + R"(}, "behavior": ")" + std::string(behavior) + R"(", "invert": )" +
           (invert ? "true" : "false") +
           R"(}, {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]})";
  }
  Tokenizer tokenizer() const {
    TokenizerParts parts = parse_tokenizer_json(tokenizer_json(), "tokenizer.json");
    complete_special_tokens(parts);
    return Tokenizer::from_parts(std::move(parts));
  }
  /// The message it is refused with.
  std::string refusal() const {
    try {
      tokenizer();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
      return error.what();
    }
    return "accepted";
  }

  std::vector<std::string> merge_lines;
  std::vector<std::pair<std::string, int>> vocab;
  std::string added =
      R"([{"id": 3256, "content": "<end_of_sentence>", "single_word": false, "lstrip": false, "rstrip": false, )"
      R"("normalized": false, "special": true}, {"id": 3260, "content": "<word>", "special": false}])";
  std::string normalizer = "null", post_processor = "null", dropout = "null", ignore_merges = "false";
  std::string pre_tokenizer = split(regex_of(SplitPattern::kO200k));
};

/// Ids of the small tokenizer from those of the first merges by the id rule.
Ids counted_down(Ids ids) {
  for (int32_t& id : ids) id = SmallTokenizer::kMerges + 255 - id;
  return ids;
}

TEST(TokenizerJson, GivesTheFilesOwnIds) {
  const SmallTokenizer small;
  TokenizerParts by_rule = parse_merges(small.merges_text(), "merges.txt");
  const Tokenizer rule = Tokenizer::from_parts(std::move(by_rule));
  const Tokenizer tokenizer = small.tokenizer();
  TokenizerParts pairs = parse_tokenizer_json(small.tokenizer_json(true), "tokenizer.json");
  complete_special_tokens(pairs);
  const Tokenizer from_pairs = Tokenizer::from_parts(std::move(pairs));
  for (const Golden& golden : goldens()) {
    const Ids expected = counted_down(rule.encode(golden.text));
    EXPECT_EQ(tokenizer.encode(golden.text), expected);
    EXPECT_EQ(from_pairs.encode(golden.text), expected);
    EXPECT_EQ(tokenizer.decode(expected), golden.text);
  }
  EXPECT_EQ(tokenizer.vocab_size(), 3261);
  EXPECT_EQ(tokenizer.eos_id(), 3256);
  EXPECT_EQ(Ids(tokenizer.stop_ids().begin(), tokenizer.stop_ids().end()), Ids{3256});
  EXPECT_EQ(tokenizer.description(), "tokenizer.json, o200k pattern");
  EXPECT_FALSE(tokenizer.is_ordinary(3257));
  EXPECT_THROW(tokenizer.decode(Ids{3257}), Error);
}

TEST(TokenizerJson, AddedTokensThatAreNotSpecialArePlainText) {
  const Tokenizer tokenizer = SmallTokenizer().tokenizer();
  EXPECT_EQ(tokenizer.encode("<word>"), Ids{3260});
  EXPECT_TRUE(tokenizer.is_ordinary(3260));
  EXPECT_EQ(tokenizer.decode(Ids{3260, 3256}), "<word>");
  EXPECT_EQ(tokenizer.special_id("<word>"), std::nullopt);
}

TEST(TokenizerJson, ItsPatternIsObeyed) {
  SmallTokenizer small;
  const std::string text = "//\n/x 12345 we'Ve  \n don't";
  std::set<Ids> different;
  for (const SplitPattern pattern : {SplitPattern::kO200k, SplitPattern::kO200kNoSlash, SplitPattern::kCl100k,
                                     SplitPattern::kQwen2, SplitPattern::kGpt2}) {
    small.pre_tokenizer = SmallTokenizer::split(regex_of(pattern));
    const Ids isolated = small.tokenizer().encode(text);
    EXPECT_EQ(small.tokenizer().decode(isolated), text);
    EXPECT_EQ(small.tokenizer().description(), cat("tokenizer.json, ", to_string(pattern), " pattern"));
    different.insert(isolated);
    small.pre_tokenizer = SmallTokenizer::split(regex_of(pattern), "Removed", true);
    EXPECT_EQ(small.tokenizer().encode(text), isolated);
  }
  EXPECT_GE(different.size(), 3u);  // some pieces have no token that tells the patterns apart
  const Ids gpt2 = small.tokenizer().encode(text);
  small.pre_tokenizer = R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})";
  EXPECT_EQ(small.tokenizer().encode(text), gpt2);
}

TEST(TokenizerJson, PatternsOfItsOwnAreObeyed) {
  SmallTokenizer small;
  const std::string text = "the cat and the dog, \xFF\u4e2d\u6587 2024";
  // Every character by itself: as many ids as the parts of the text that have no shorter token.
  small.pre_tokenizer = SmallTokenizer::split("[^\\n]");
  const Ids single = small.tokenizer().encode(text);
  for (const int32_t id : single) EXPECT_LE(small.tokenizer().token_bytes(id).size(), 3u);
  EXPECT_EQ(small.tokenizer().decode_bytes(single), text);
  EXPECT_EQ(small.tokenizer().description(), "tokenizer.json, 1 step of its own");
  // Another spelling of a published pattern: the same ids, by the other way.
  small.pre_tokenizer = SmallTokenizer::split(regex_of(SplitPattern::kO200k));
  const Ids published = small.tokenizer().encode(text);
  EXPECT_LT(published.size(), single.size());
  small.pre_tokenizer = SmallTokenizer::split(cat("(?:", regex_of(SplitPattern::kO200k), ")"));
  EXPECT_EQ(small.tokenizer().encode(text), published);
  EXPECT_EQ(small.tokenizer().description(), "tokenizer.json, 1 step of its own");
  // What is removed has no ids.
  small.pre_tokenizer = SmallTokenizer::split(" ", "Removed");
  EXPECT_EQ(small.tokenizer().decode(small.tokenizer().encode("the cat")), "thecat");
}

TEST(TokenizerJson, TokensThatMergesDoNotMakeCountOnlyWithIgnoreMerges) {
  SmallTokenizer small;
  small.vocab.emplace_back("zqzq", 3270);
  EXPECT_GT(small.tokenizer().encode("zqzq").size(), 1u);
  EXPECT_EQ(small.tokenizer().token_bytes(3270), "zqzq");
  small.ignore_merges = "true";
  EXPECT_EQ(small.tokenizer().encode("zqzq"), Ids{3270});
}

TEST(TokenizerJson, OdditiesAreRefusedByName) {
  using testing::HasSubstr;
  const auto refusal = [](auto change) {
    SmallTokenizer small;
    change(small);
    return small.refusal();
  };
  EXPECT_EQ(SmallTokenizer().refusal(), "accepted");
  EXPECT_THAT(refusal([](auto& s) { s.normalizer = R"({"type": "NFC"})"; }), HasSubstr("\"normalizer\""));
  EXPECT_THAT(refusal([](auto& s) { s.post_processor = R"({"type": "TemplateProcessing"})"; }),
              HasSubstr("\"post_processor\""));
  EXPECT_THAT(refusal([](auto& s) { s.dropout = "0.1"; }), HasSubstr("\"model.dropout\""));
  EXPECT_THAT(refusal([](auto& s) { s.pre_tokenizer = "null"; }), HasSubstr("\"pre_tokenizer\""));
  EXPECT_THAT(refusal([](auto& s) { s.pre_tokenizer = R"({"type": "Metaspace"})"; }), HasSubstr("Metaspace"));
  EXPECT_THAT(refusal([](auto& s) { s.pre_tokenizer = R"({"type": "ByteLevel", "add_prefix_space": true})"; }),
              HasSubstr("add_prefix_space"));
  EXPECT_THAT(refusal([](auto& s) { s.pre_tokenizer = SmallTokenizer::split("[a-z]+|("); }), HasSubstr("[a-z]+|("));
  EXPECT_THAT(refusal([](auto& s) { s.pre_tokenizer = SmallTokenizer::split("a", "Shuffled"); }),
              HasSubstr("Shuffled"));
  EXPECT_THAT(refusal([](auto& s) { s.added = R"([{"id": 9000, "content": "<x>", "lstrip": true}])"; }),
              HasSubstr("lstrip"));
  EXPECT_THAT(refusal([](auto& s) { s.added = R"([{"id": -1, "content": "<x>"}])"; }), HasSubstr("added_tokens[0].id"));
  EXPECT_THAT(refusal([](auto& s) { s.added = R"([{"id": 5, "content": "<x>"}])"; }), HasSubstr("\"<x>\" has id 5"));
  EXPECT_THAT(refusal([](auto& s) { s.added = R"([{"id": 9000, "content": "<x>"}, {"id": 9001, "content": "<x>"}])"; }),
              HasSubstr("two ids"));
  EXPECT_THAT(refusal([](auto& s) { s.added = R"([{"id": 9000, "content": "<x>"}, {"id": 9000, "content": "<y>"}])"; }),
              HasSubstr("same id 9000"));
  // A special token that text can spell by merging would let user text make a special id.
  EXPECT_THAT(refusal([](auto& s) {
                s.added = R"([{"id": )" + std::to_string(s.vocab.back().second) + R"(, "content": )" +
                          io::write_json_string(s.vocab.back().first) + R"(, "special": true}])";
              }),
              HasSubstr("model.merges["));
  EXPECT_THAT(refusal([](auto& s) { s.vocab.erase(s.vocab.begin() + 65); }), HasSubstr("no token for byte 65"));
  EXPECT_THAT(refusal([](auto& s) { s.vocab[300].second = s.vocab[299].second; }), HasSubstr("is given to"));
  EXPECT_THAT(refusal([](auto& s) { s.vocab[300].second = 1 << 30; }), HasSubstr("expected an integer from 0"));
  EXPECT_THAT(refusal([](auto& s) { s.vocab.emplace_back("two words", 9000); }), HasSubstr("byte alphabet"));
  EXPECT_THAT(refusal([](auto& s) { s.merge_lines[5] = "onlyone"; }), HasSubstr("model.merges[5]"));
  EXPECT_THAT(refusal([](auto& s) { s.merge_lines[6] = "qqqq zzzz"; }), HasSubstr("model.merges[6]"));
}

TEST(Merges, ErrorsNameTheLine) {
  using testing::HasSubstr;
  const auto refusal = [](std::string_view text) -> std::string {
    try {
      parse_merges(text, "merges.txt");
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal("#version: 0.2\na b\nab c\n"), "accepted");
  EXPECT_EQ(refusal("#version: 0.2\r\na b\r\nab c"), "accepted");
  EXPECT_EQ(refusal("# #\n## #"), "accepted");
  EXPECT_EQ(refusal(""), "accepted");
  EXPECT_THAT(refusal("#version: 0.2\na b\n\nab c\n"), HasSubstr("merges.txt:3"));
  EXPECT_THAT(refusal("a b\nab\n"), HasSubstr("merges.txt:2: \"ab\", expected two symbols"));
  EXPECT_THAT(refusal("a b\na  b\n"), HasSubstr("merges.txt:2"));
  EXPECT_THAT(refusal("a b\nab cd\n"), HasSubstr("\"cd\" is neither a token"));
  EXPECT_THAT(refusal("a b\nb c\na bc\nab c\n"), HasSubstr("merges.txt:4: makes \"abc\""));
  EXPECT_THAT(refusal("a \xFF\n"), HasSubstr("byte alphabet"));
}

class TokenizerFolder : public testing::Test {
 protected:
  void SetUp() override {
    folder = std::filesystem::temp_directory_path() / cat("minimax_tokenizer_test_", ::getpid());
    std::filesystem::create_directories(folder);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  void write(const char* name, std::string_view text) const { std::ofstream(folder / name, std::ios::binary) << text; }
  std::string refusal() const {
    try {
      Tokenizer::load(folder);
    } catch (const Error& error) {
      return cat(to_string(error.kind()), ": ", error.what());
    }
    return "accepted";
  }
  std::filesystem::path folder;
};

TEST_F(TokenizerFolder, VocabAndMerges) {
  SmallTokenizer small;
  small.vocab.emplace_back("<end_of_sentence>", 4000);
  write("vocab.json", small.vocab_json());
  write("merges.txt", small.merges_text());
  write("tokenizer_config.json", R"({"eos_token": {"content": "<end_of_sentence>"}, "bos_token": null,
        "added_tokens_decoder": {"4000": {"content": "<end_of_sentence>", "special": true},
                                 "4002": {"content": "<think>", "special": false}}})");
  const Tokenizer tokenizer = Tokenizer::load(folder);
  const Tokenizer rule = Tokenizer::from_parts(parse_merges(small.merges_text(), "merges.txt"));
  for (const Golden& golden : goldens()) {
    if (golden.text.find("<think>") != golden.text.npos) continue;
    EXPECT_EQ(tokenizer.encode(golden.text), counted_down(rule.encode(golden.text)));
  }
  EXPECT_EQ(tokenizer.eos_id(), 4000);
  EXPECT_EQ(tokenizer.bos_id(), std::nullopt);
  EXPECT_EQ(tokenizer.encode("<think>"), Ids{4002});
  EXPECT_TRUE(tokenizer.is_special(4000));
  EXPECT_EQ(tokenizer.decode_bytes(tokenizer.encode("<end_of_sentence>")), "<end_of_sentence>");
  EXPECT_GT(tokenizer.encode("<end_of_sentence>").size(), 1u);
}

TEST_F(TokenizerFolder, TokenizerJsonComesFirst) {
  SmallTokenizer small;
  write("tokenizer.json", small.tokenizer_json());
  write("merges.txt", "broken");
  EXPECT_EQ(Tokenizer::load(folder).description(), "tokenizer.json, o200k pattern");
}

TEST_F(TokenizerFolder, ErrorsNameTheFile) {
  using testing::HasSubstr;
  EXPECT_THAT(refusal(), HasSubstr("no tokenizer here"));
  write("merges.txt", "a b\n");
  EXPECT_EQ(refusal(), "accepted");
  write("tokenizer_config.json", R"({"eos_token": "</s>"})");
  EXPECT_THAT(refusal(), HasSubstr("\"eos_token\" is \"</s>\""));
  write("tokenizer_config.json", R"({"add_prefix_space": true})");
  EXPECT_THAT(refusal(), HasSubstr("tokenizer_config.json: \"add_prefix_space\""));
  write("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "<x>"}}})");
  EXPECT_THAT(refusal(), HasSubstr("\"x\" is no id"));
  write("tokenizer_config.json", "{");
  EXPECT_THAT(refusal(), HasSubstr("tokenizer_config.json"));
  std::filesystem::remove(folder / "tokenizer_config.json");
  write("vocab.json", "[]");
  EXPECT_THAT(refusal(), HasSubstr("vocab.json"));
  std::filesystem::remove(folder / "vocab.json");
  std::filesystem::remove(folder / "merges.txt");
  write("merges.txt.gz", "not gzip");
  EXPECT_THAT(refusal(), HasSubstr("merges.txt.gz: not one whole gzip stream"));
  write("merges.txt.gz", io::read_file(kFolder / "merges.txt.gz").substr(0, 100000));
  EXPECT_THAT(refusal(), HasSubstr("not one whole gzip stream"));
}

TEST(ByteAlphabet, RoundTrips) {
  std::string all(256, '\0'), back;
  std::iota(all.begin(), all.end(), '\0');
  EXPECT_TRUE(from_byte_alphabet(to_byte_alphabet(all), back));
  EXPECT_EQ(back, all);
  EXPECT_EQ(to_byte_alphabet(" \n"), "\u0120\u010A");
  EXPECT_FALSE(from_byte_alphabet("a b", back));
  EXPECT_FALSE(from_byte_alphabet("\u4e2d", back));
}

}  // namespace
}  // namespace minimax::text
