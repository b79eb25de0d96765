#include "train/bpe_trainer.h"

#include <algorithm>
#include <queue>

#include "core/error.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "text/byte_alphabet.h"

namespace minimax::train {
namespace {

using Pair = uint64_t;  // left id in the upper half, right id in the lower

Pair pair_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

struct Word {
  std::vector<int32_t> symbols;
  int64_t count = 0;
};

/// How often a pair stands side by side in all words, and in which words it may.
struct Occurrences {
  int64_t count = 0;
  std::vector<uint32_t> words;  // perhaps of words that have lost it, perhaps twice
};

struct Candidate {
  int64_t count;
  Pair pair;
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

class Learner {
 public:
  explicit Learner(std::vector<Word> words) : words_(std::move(words)) {
    for (uint32_t word = 0; word < words_.size(); ++word) {
      const std::vector<int32_t>& symbols = words_[word].symbols;
      for (size_t i = 0; i + 1 < symbols.size(); ++i) change(pair_of(symbols[i], symbols[i + 1]), word, +1);
    }
    for (const auto& [pair, found] : pairs_) queue_.push({found.count, pair});
    for (int b = 0; b < 256; ++b) lengths_.push_back(1);
  }

  /// Merges the best pair, unless its count is too low: false.
  bool merge(int64_t least_count, int64_t longest, std::pair<int32_t, int32_t>& merged) {
    while (!queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      const auto found = pairs_.find(best.pair);
      if (found == pairs_.end()) continue;
      if (found->second.count != best.count) {
        // Counts fall without a word to the queue; when they rise they are queued anew.
        if (found->second.count > 0 && found->second.count < best.count) queue_.push({found->second.count, best.pair});
        continue;
      }
      if (best.count < least_count) return false;
      const auto left = static_cast<int32_t>(best.pair >> 32), right = static_cast<int32_t>(best.pair & 0xFFFFFFFF);
      if (lengths_[left] + lengths_[right] > longest) {
        pairs_.erase(found);
        continue;
      }
      merged = {left, right};
      apply(left, right, static_cast<int32_t>(lengths_.size()));
      lengths_.push_back(lengths_[left] + lengths_[right]);
      return true;
    }
    return false;
  }

 private:
  void change(Pair pair, uint32_t word, int64_t times) {
    Occurrences& found = pairs_[pair];
    found.count += times * words_[word].count;
    if (times > 0 && (found.words.empty() || found.words.back() != word)) found.words.push_back(word);
  }

  void apply(int32_t left, int32_t right, int32_t result) {
    const std::vector<uint32_t> words = std::move(pairs_[pair_of(left, right)].words);
    pairs_.erase(pair_of(left, right));
    grown_.clear();
    for (const uint32_t word : words) {
      std::vector<int32_t>& symbols = words_[word].symbols;
      size_t kept = 0;
      for (size_t i = 0; i < symbols.size(); ++kept) {
        if (i + 1 < symbols.size() && symbols[i] == left && symbols[i + 1] == right) {
          if (kept > 0) replaced(pair_of(symbols[kept - 1], left), pair_of(symbols[kept - 1], result), word);
          if (i + 2 < symbols.size()) replaced(pair_of(right, symbols[i + 2]), pair_of(result, symbols[i + 2]), word);
          symbols[kept] = result;
          i += 2;
        } else {
          symbols[kept] = symbols[i++];
        }
      }
      symbols.resize(kept);
    }
    // `left right` itself may have been counted again where runs of one symbol overlap; it is gone now.
    pairs_.erase(pair_of(left, right));
    for (const Pair pair : grown_)
      if (const auto found = pairs_.find(pair); found != pairs_.end() && found->second.count > 0)
        queue_.push({found->second.count, pair});
  }

  void replaced(Pair before, Pair after, uint32_t word) {
    change(before, word, -1);
    change(after, word, +1);
    if (grown_.empty() || grown_.back() != after) grown_.push_back(after);
  }

  std::vector<Word> words_;
  std::vector<int64_t> lengths_;  // bytes of each token
  std::unordered_map<Pair, Occurrences> pairs_;
  std::priority_queue<Candidate> queue_;
  std::vector<Pair> grown_;
};

std::string spelled(const std::vector<std::string>& bytes, int32_t id) {
  return text::to_byte_alphabet(bytes[static_cast<size_t>(id)]);
}

io::json::object added_token(const text::AddedToken& token) {
  return {{"content", token.text}, {"single_word", false}, {"lstrip", false},
          {"rstrip", false},       {"normalized", false},  {"special", token.special}};
}

}  // namespace

BpeTrainer::BpeTrainer(BpeOptions options) : options_(options) {
  MM_CHECK(options_.tokens >= 256, "tokenizer with ", options_.tokens,
           " tokens, expected at least 256, one for each byte");
}

void BpeTrainer::add(std::string_view text) {
  bytes_ += static_cast<int64_t>(text.size());
  const char* const end = text.data() + text.size();
  for (const char* begin = text.data(); begin < end;) {
    const char* const next = text::piece_end(options_.pattern, begin, end);
    const std::string_view piece(begin, static_cast<size_t>(next - begin));
    if (const auto found = pieces_.find(piece); found != pieces_.end())
      ++found->second;
    else
      pieces_.emplace(piece, 1);
    begin = next;
  }
}

std::vector<std::pair<int32_t, int32_t>> BpeTrainer::merges() const {
  std::vector<Word> words;
  words.reserve(pieces_.size());
  for (const auto& [piece, count] : pieces_) {
    if (piece.size() < 2) continue;
    Word& word = words.emplace_back();
    word.count = count;
    for (const char byte : piece) word.symbols.push_back(static_cast<unsigned char>(byte));
  }
  Learner learner(std::move(words));
  std::vector<std::pair<int32_t, int32_t>> merges;
  std::pair<int32_t, int32_t> merged;
  while (static_cast<int64_t>(merges.size()) + 256 < options_.tokens &&
         learner.merge(options_.least_count, options_.longest, merged))
    merges.push_back(merged);
  return merges;
}

std::vector<text::AddedToken> special_tokens_from(int32_t first) {
  std::vector<text::AddedToken> out;
  for (const text::AddedToken& token : text::minimax_m1_special_tokens())
    if (!token.text.empty()) out.push_back({first + static_cast<int32_t>(out.size()), token.text, token.special});
  return out;
}

void write_tokenizer(const std::filesystem::path& folder, const std::vector<std::pair<int32_t, int32_t>>& merges,
                     text::SplitPattern pattern, const std::vector<text::AddedToken>& special) {
  std::vector<std::string> bytes;
  for (int b = 0; b < 256; ++b) bytes.emplace_back(1, static_cast<char>(b));
  io::json::array merge_list;
  std::string merge_lines = "#version: 0.2\n";
  for (const auto& [left, right] : merges) {
    const std::string line = cat(spelled(bytes, left), " ", spelled(bytes, right));
    merge_list.emplace_back(line);
    merge_lines += line + "\n";
    bytes.push_back(bytes[static_cast<size_t>(left)] + bytes[static_cast<size_t>(right)]);
  }
  io::json::object vocab;
  for (size_t id = 0; id < bytes.size(); ++id) vocab[spelled(bytes, static_cast<int32_t>(id))] = id;
  io::json::array added;
  io::json::object decoder;
  for (const text::AddedToken& token : special) {
    io::json::object entry{{"id", token.id}};
    for (const auto& member : added_token(token)) entry.insert(member);
    added.push_back(std::move(entry));
    decoder[std::to_string(token.id)] = added_token(token);
  }
  const io::json::object byte_level{
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  const io::json::object split{{"type", "Split"},
                               {"pattern", io::json::object{{"Regex", text::regex_of(pattern)}}},
                               {"behavior", "Isolated"},
                               {"invert", false}};
  const io::json::object tokenizer{
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", io::json::object{{"type", "Sequence"}, {"pretokenizers", io::json::array{split, byte_level}}}},
      {"post_processor", nullptr},
      {"decoder",
       io::json::object{
           {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}}},
      {"model", io::json::object{{"type", "BPE"},
                                 {"dropout", nullptr},
                                 {"unk_token", nullptr},
                                 {"continuing_subword_prefix", nullptr},
                                 {"end_of_word_suffix", nullptr},
                                 {"fuse_unk", false},
                                 {"byte_fallback", false},
                                 {"ignore_merges", false},
                                 {"vocab", vocab},
                                 {"merges", merge_list}}},
  };
  const io::json::object config{{"add_prefix_space", false},
                                {"added_tokens_decoder", decoder},
                                {"bos_token", "<beginning_of_sentence>"},
                                {"clean_up_tokenization_spaces", false},
                                {"eos_token", "<end_of_sentence>"},
                                {"tokenizer_class", "GPT2Tokenizer"}};
  std::filesystem::create_directories(folder);
  const auto write = [&](const char* name, const io::json::object& value) {
    io::write_file(folder / name, io::write_json(value, io::JsonStyle::kPretty) + "\n");
  };
  write("tokenizer.json", tokenizer);
  write("vocab.json", vocab);
  write("tokenizer_config.json", config);
  io::write_file(folder / "merges.txt", merge_lines);
}

}  // namespace minimax::train
