#include "train/data_files.h"

#include <algorithm>
#include <exception>

#include "core/error.h"
#include "core/rng.h"
#include "io/file.h"
#include "io/json.h"
#include "text/chat_json.h"

namespace minimax::train {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{1} << 40;
constexpr uint64_t kHeldOutStream = 0x48454c44;

std::string place_of(const DataFile& file, size_t record) {
  return cat(file.recipe.path.string(), ":", file.lines[record]);
}

text::ChatOptions chat_options() {
  return {.keep_reasoning = true, .keep_all_text = true};
}

std::string text_of(const DataFile& file, size_t record) {
  if (!file.jsonl) return std::string(file.records[record]);
  const std::string place = place_of(file, record);
  const io::json::value value = io::parse_json(file.records[record], place);
  return std::string(io::JsonField(value, place)["text"].string());
}

/// What one record gives: no example, or several.
struct Loaded {
  std::vector<Example> examples;
  bool too_long = false, without_targets = false;
};

Loaded load_record(const DataFile& file, size_t record, const text::Tokenizer& tokenizer, int64_t context) {
  Loaded loaded;
  if (file.recipe.kind == DataKind::kText) {
    loaded.examples = cut(text_example(text_of(file, record), tokenizer), context);
    return loaded;
  }
  const Conversation conversation = conversation_of(file, record);
  Example example =
      conversation_example(conversation.messages, conversation.tools, chat_options(), tokenizer, conversation.learn);
  loaded.without_targets = example.target_count() == 0;
  loaded.too_long = static_cast<int64_t>(example.tokens.size()) > context;
  if (!loaded.without_targets && !loaded.too_long) loaded.examples.push_back(std::move(example));
  return loaded;
}

}  // namespace

DataFile read_data_file(const DataRecipe& recipe) {
  DataFile file{.recipe = recipe, .bytes = io::read_file(recipe.path, kMaxFileBytes), .records = {}, .lines = {}};
  const std::string extension = recipe.path.extension().string();
  file.jsonl = recipe.kind == DataKind::kChat || extension == ".jsonl" || extension == ".json";
  if (!file.jsonl) {
    file.records = {file.bytes};
    file.lines = {1};
    return file;
  }
  const std::string_view bytes = file.bytes;
  int64_t line = 0;
  for (size_t begin = 0; begin < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', begin), bytes.size());
    ++line;
    const std::string_view record = bytes.substr(begin, end - begin);
    if (record.find_first_not_of(" \t\r") != std::string_view::npos) {
      file.records.push_back(record);
      file.lines.push_back(line);
    }
    begin = end + 1;
  }
  return file;
}

Conversation conversation_of(const DataFile& file, size_t record) {
  const std::string place = place_of(file, record);
  const io::json::value value = io::parse_json(file.records[record], place);
  const io::JsonField root(value, place);
  Conversation out{text::messages_from_json(root["messages"]), text::tools_from_json(root["tools"]), {}};
  for (int64_t i = 0; i < root["messages"].size(); ++i) {
    const io::JsonField learn = root["messages"][i]["learn"];
    const std::string_view wanted = learn.string_or("all");
    if (wanted != "all" && wanted != "answer" && wanted != "nothing") learn.fail(R"("all", "answer" or "nothing")");
    out.learn.push_back(wanted == "all" ? Learn::kAll : wanted == "answer" ? Learn::kAnswer : Learn::kNothing);
  }
  return out;
}

void for_each_text(const DataFile& file, size_t record, const std::function<void(std::string_view)>& use) {
  if (file.recipe.kind == DataKind::kText) return use(text_of(file, record));
  const Conversation conversation = conversation_of(file, record);
  text::ChatOptions options = chat_options();
  options.add_generation_prompt = false;
  for (const text::ChatPiece& piece : text::render_chat(conversation.messages, conversation.tools, options))
    if (!piece.special) use(piece.text);
}

Dataset load_dataset(const DataFile& file, const text::Tokenizer& tokenizer, int64_t context, ThreadPool& threads,
                     LoadReport& report, double held_out_share, uint64_t seed, Dataset* held_out) {
  Dataset dataset(file.recipe.name, file.recipe.weight);
  constexpr int64_t kBlock = 4096;
  const auto records = static_cast<int64_t>(file.records.size());
  for (int64_t first = 0; first < records; first += kBlock) {
    std::vector<Loaded> block(static_cast<size_t>(std::min(kBlock, records - first)));
    threads.parallel_for(static_cast<int64_t>(block.size()), 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        block[i] = load_record(file, static_cast<size_t>(first + i), tokenizer, context);
    });
    for (size_t i = 0; i < block.size(); ++i) {
      ++report.records;
      report.too_long += block[i].too_long;
      report.without_targets += block[i].without_targets;
      for (size_t part = 0; part < block[i].examples.size(); ++part) {
        const Example& example = block[i].examples[part];
        const uint64_t place = (static_cast<uint64_t>(first) + i) << 20 | part;
        const bool apart = held_out && uniform_at(seed, kHeldOutStream, place) < held_out_share;
        (apart ? *held_out : dataset).add(example);
        ++report.examples;
        report.tokens += static_cast<int64_t>(example.tokens.size());
        report.targets += example.target_count();
      }
    }
  }
  return dataset;
}

}  // namespace minimax::train
