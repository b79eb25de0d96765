#include <fmt/format.h>

#include <memory>

#include "cli/input.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "io/json.h"
#include "text/tokenizer.h"

namespace minimax::cli {
namespace {

io::json::array json_ids(const std::vector<int32_t>& ids) {
  return io::json::array(ids.begin(), ids.end());
}

int decode(const TokenizeOptions& options, const text::Tokenizer& tokenizer, Session& session) {
  const Ids ids = read_ids(options.text.value_or("-"));
  MM_CHECK(!ids.batch, "tokenize --decode: got a list of lists, expected one list of ids");
  const auto specials = options.special ? text::SpecialTokens::kKeep : text::SpecialTokens::kSkip;
  if (options.json) {
    const io::json::object object{{"text", tokenizer.decode(ids.seqs[0], specials)}};
    session.terminal.print_line(io::write_json(object, io::JsonStyle::kPython));
  } else {
    // The exact bytes and nothing more: what went into `tokenize` comes out.
    session.terminal.print(tokenizer.decode_bytes(ids.seqs[0], specials));
  }
  return 0;
}

std::string pieces_table(const std::vector<int32_t>& ids, const text::Tokenizer& tokenizer, const Terminal& terminal) {
  Table table({{"position", Table::Align::kRight}, {"id", Table::Align::kRight}, {"piece"}});
  for (size_t position = 0; position < ids.size(); ++position) {
    // decode() makes half a character printable.
    const std::string piece = tokenizer.decode({&ids[position], 1}, text::SpecialTokens::kKeep);
    table.row({std::to_string(position), std::to_string(ids[position]), io::write_json_string(piece)});
  }
  return table.text(terminal);
}

}  // namespace

int run_verb(const TokenizeOptions& options, Session& session) {
  const text::Tokenizer tokenizer = text::Tokenizer::load(options.folder);
  if (options.decode) return decode(options, tokenizer, session);
  const std::string text = options.text ? *options.text : read_stdin();
  const std::vector<int32_t> ids = options.special ? tokenizer.encode_with_special(text) : tokenizer.encode(text);
  if (options.json) {
    session.terminal.print_line(io::write_json(io::json::object{{"ids", json_ids(ids)}}, io::JsonStyle::kPython));
  } else if (options.pieces) {
    session.terminal.print(pieces_table(ids, tokenizer, session.terminal));
    session.terminal.note(fmt::format("{} tokens, {} bytes", ids.size(), text.size()));
  } else {
    session.terminal.print_line(fmt::format("{}", fmt::join(ids, " ")));
  }
  return 0;
}

Command define_tokenize() {
  auto options = std::make_shared<TokenizeOptions>();
  Command command{
      .name = "tokenize",
      .summary = "turn text into token ids, or ids into text",
      .usage = "MODEL [TEXT] [flags]",
      .description = "Without TEXT, reads stdin. With --decode, reads ids: [1, 2, 3] or what --json printed.",
      .arguments = {{"MODEL", "folder with tokenizer files", ValueKind::kFolder}, {"TEXT", "what to encode"}},
      .examples = {{"minimax tokenize MODEL \"Hello, 世界\"", "ids, one line"},
                   {"minimax tokenize MODEL --json < notes.txt", "{\"ids\": [...]}"},
                   {"minimax tokenize MODEL --pieces \"naïve café\"", "a table of what each id stands for"},
                   {"minimax tokenize MODEL --json < a.txt | minimax tokenize MODEL --decode > same.txt",
                    "there and back"}},
      .json = &options->json,
      .run = [options](Command& self, Session& session) {
        options->folder = take_model(self, options->folder, 1);
        if (!self.words.empty()) options->text = self.words[0];
        return run_verb(*options, session);
      }};
  command.text("-m,--model", options->folder, "FOLDER", "the model, instead of the argument", ValueKind::kFolder);
  command.flag("-d,--decode", options->decode, "ids to text");
  command.flag("--special", options->special,
               "special tokens count: in text they become their ids, in decoded text they are shown");
  command.flag("--pieces", options->pieces, "a table of the pieces");
  command.flag("--json", options->json, "{\"ids\": [...]}, or {\"text\": \"...\"} with --decode");
  return command;
}

}  // namespace minimax::cli
