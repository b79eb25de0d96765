#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <memory>

#include "cli/common_flags.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "io/json.h"
#include "text/tokenizer.h"
#include "train/bpe_trainer.h"
#include "train/data_files.h"

namespace minimax::cli {
namespace {

int run_tokenizer(const TrainTokenizerOptions& options, Session& session) {
  Terminal& terminal = session.terminal;
  train::BpeTrainer trainer(
      {.tokens = options.tokens,
       .least_count = options.least_count,
       .longest = options.longest,
       .pattern = options.digits == "single" ? text::SplitPattern::kQwen2 : text::SplitPattern::kO200k});
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  for (const std::string& name : options.files) {
    terminal.progress(fmt::format("counting {}", name));
    const bool chat = options.kind == "chat";
    const train::DataFile file = train::read_data_file(
        {.name = {}, .path = name, .kind = chat ? train::DataKind::kChat : train::DataKind::kText});
    for (size_t record = 0; record < file.records.size(); ++record)
      train::for_each_text(file, record, [&](std::string_view text) { trainer.add(text); });
  }
  MM_CHECK(trainer.bytes() > 0, "train tokenizer: the files hold no text");
  terminal.progress(fmt::format("merging pairs of {} distinct pieces", trainer.distinct_pieces()));
  const auto merges = trainer.merges();
  const auto ordinary = static_cast<int32_t>(256 + merges.size());
  const auto special = train::special_tokens_from(ordinary);
  const text::SplitPattern pattern =
      options.digits == "single" ? text::SplitPattern::kQwen2 : text::SplitPattern::kO200k;
  train::write_tokenizer(options.out, merges, pattern, special);
  terminal.clear_progress();
  const std::chrono::duration<double> seconds = Clock::now() - begin;
  const auto tokenizer = text::Tokenizer::load(options.out);  // what was written can be read
  if (ordinary < options.tokens)
    terminal.warn(fmt::format("no pair is left that occurs {} times: {} ordinary tokens instead of {}",
                              options.least_count, ordinary, options.tokens));
  if (options.json)
    terminal.print_line(io::write_json(io::json::object{{"bytes", trainer.bytes()},
                                                        {"pieces", trainer.distinct_pieces()},
                                                        {"merges", merges.size()},
                                                        {"special", special.size()},
                                                        {"vocab", tokenizer.vocab_size()},
                                                        {"seconds", seconds.count()}},
                                       io::JsonStyle::kPython));
  else
    terminal.note(fmt::format("{} of text, {} distinct pieces: {} merges and {} special tokens in {}, {}",
                              human_bytes(trainer.bytes()), trainer.distinct_pieces(), merges.size(), special.size(),
                              options.out, human_seconds(seconds.count())));
  return 0;
}

}  // namespace

Command define_train_tokenizer() {
  auto options = std::make_shared<TrainTokenizerOptions>();
  Command command{
      .name = "train tokenizer",
      .summary = "learn a byte-level BPE tokenizer from texts",
      .usage = "FILE... --out FOLDER [flags]",
      .description =
          "Writes tokenizer.json, vocab.json, merges.txt and tokenizer_config.json, with MiniMax-M1's special tokens "
          "behind the ordinary ones. The same files give the same tokenizer, in any order.",
      .arguments = {{"FILE", "texts, or JSONL with \"text\" or \"messages\"", ValueKind::kFile}},
      .examples = {{"minimax train tokenizer book.txt --out tokenizer --tokens 4096"},
                   {"minimax train tokenizer chats.jsonl --kind chat --digits single --out tokenizer"}},
      .json = &options->json,
      .run = [options](Command& self, Session& session) {
        options->files = self.words;
        if (options->files.empty()) throw UsageError("train tokenizer: name a file of text", self.name);
        if (options->out.empty()) throw UsageError("train tokenizer: no --out given", self.name);
        return run_tokenizer(*options, session);
      }};
  command.group("What to learn");
  command.text("-o,--out", options->out, "FOLDER", "where the tokenizer goes", ValueKind::kFolder);
  command.number("--tokens", options->tokens, "N", "ordinary tokens: 256 bytes and merges", "4096", 256, 2'000'000);
  command.choice<std::string>("--kind", options->kind, "KIND", "what the files hold",
                              {{"text", "text"}, {"chat", "chat"}}, "text");
  command.choice<std::string>("--digits", options->digits, "HOW",
                              "single: every digit is a token of its own, which helps small models to reckon",
                              {{"groups", "groups"}, {"single", "single"}}, "groups");
  command.number("--least-count", options->least_count, "N", "a pair seen less often is not merged", "2", 1, 1e12);
  command.number("--longest", options->longest, "N", "bytes of a token at most", "32", 1, 1e6);
  command.flag("--json", options->json, "figures as JSON");
  return command;
}

}  // namespace minimax::cli
