// What verbs read from the person: stdin, files of text and of ids, and which word is the model.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.h"

namespace minimax::cli {

/// All of stdin. Throws kIo.
std::string read_stdin();
/// A whole file, or stdin for "-". Throws kNotFound, kIo.
std::string read_text(const std::string& file);

/// ids.json: [1, 2, 3], or [[1, 2], [3]] for a batch, or {"ids": ...} as `minimax tokenize --json` prints it. `file`
/// may be "-", or the list itself. Throws kInvalidArgument naming the place.
struct Ids {
  std::vector<std::vector<int32_t>> seqs;
  bool batch = false;  ///< an array of arrays was given
};
Ids read_ids(const std::string& file);

/// The first of the arguments is the model, unless -m named one. Where the environment or the settings file names one,
/// `from_flag` too, an argument still comes first: if it is a folder, or if there are more words than `most_more`.
/// Throws UsageError when there is no model and when words are left over after `most_more` more.
std::string take_model(Command& command, const std::string& from_flag, size_t most_more = 0);

/// Levels of the generated tasks: "3" or "1-4". Throws UsageError.
std::pair<int64_t, int64_t> parse_levels(const std::string& text, const std::string& verb);

/// "8GB", "512MiB", "1000000": bytes. Throws UsageError, naming the flag, when it is no such amount.
int64_t parse_bytes(const std::string& word, const std::string& flag, const std::string& verb);

/// Throws kNotFound, in words that help, for a folder that is not one with a config.json: a name of a model that is
/// not built in, a file, a folder of something else.
void check_model_folder(const std::string& model);

}  // namespace minimax::cli
