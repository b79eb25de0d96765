#include "cli/input.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include "cli/built_in.h"
#include "cli/usage_error.h"
#include "io/file.h"
#include "io/json.h"
#include "rl/tasks/task.h"

namespace minimax::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTryThis =
    "try a tiny one of the repository: minimax run testdata/golden/m1-tiny --ids '[1, 2, 3]' -n 8";

}  // namespace

std::string read_stdin() {
  std::string out;
  char bytes[1 << 16];
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (got == 0) return out;
    if (got > 0) out.append(bytes, got);
    // Ctrl-C while reading ends the program as it would any other.
    MM_CHECK_KIND(kIo, got > 0 || errno == EINTR, "standard input: ", std::strerror(errno));
  }
}

std::string read_text(const std::string& file) {
  if (file == "-") return read_stdin();
  std::error_code error;
  if (!fs::is_fifo(file, error) && !fs::is_character_file(file, error)) return io::read_file(file);
  std::ifstream in(file);  // <(a command of the shell)
  MM_CHECK_KIND(kIo, in.is_open(), file, ": cannot be read");
  return {std::istreambuf_iterator<char>(in), {}};
}

Ids read_ids(const std::string& file) {
  const bool inline_list = file.starts_with('[');
  const std::string name = inline_list ? "--ids" : file == "-" ? "standard input" : file;
  const io::json::value document = io::parse_json(inline_list ? file : read_text(file), name);
  const io::JsonField root(document, name);
  const io::JsonField list = root.is_object() ? root["ids"] : root;
  const auto seq_of = [](const io::JsonField& field) {
    std::vector<int32_t> seq;
    for (int64_t id : field.integers(0, std::numeric_limits<int32_t>::max())) seq.push_back(static_cast<int32_t>(id));
    return seq;
  };
  Ids ids;
  ids.batch = list.size() > 0 && list[0].is_array();
  if (ids.batch)
    for (int64_t seq = 0; seq < list.size(); ++seq) ids.seqs.push_back(seq_of(list[seq]));
  else
    ids.seqs.push_back(seq_of(list));
  for (size_t seq = 0; seq < ids.seqs.size(); ++seq)
    MM_CHECK(!ids.seqs[seq].empty(), name, ": ", ids.batch ? cat("sequence ", seq, " is") : "there are", " no ids",
             ids.batch ? ", expected at least one" : "; expected [1, 2, 3] or [[1, 2], [3]]");
  return ids;
}

std::string take_model(Command& command, const std::string& from_flag, size_t most_more) {
  std::string model = from_flag;
  const auto& settings = command.from_settings;
  const bool only_a_default = std::find(settings.begin(), settings.end(), "model") != settings.end();
  const bool named = !command.words.empty() && (command.words.size() > most_more || fs::is_directory(command.words[0]));
  if ((model.empty() && !command.words.empty()) || (only_a_default && named)) {
    model = command.words.front();
    command.words.erase(command.words.begin());
  }
  if (model.empty())
    throw UsageError(fmt::format("{}: no MODEL given, expected a folder or nano", command.name), command.name);
  if (command.words.size() > most_more)
    throw UsageError(fmt::format("{}: \"{}\" is one word too many", command.name, command.words[most_more]),
                     command.name);
  const fs::path built_in = fs::exists(model) ? fs::path() : built_in_folder(model);
  return built_in.empty() ? model : built_in.string();
}

std::pair<int64_t, int64_t> parse_levels(const std::string& text, const std::string& verb) {
  const size_t dash = text.find('-');
  const auto digit = [](const std::string& word) {
    return word.size() == 1 && word[0] >= '1' && word[0] <= '0' + rl::kLevels ? word[0] - '0' : 0;
  };
  const int64_t least = digit(text.substr(0, dash));
  const int64_t most = dash == std::string::npos ? least : digit(text.substr(dash + 1));
  if (least == 0 || most < least)
    throw UsageError(fmt::format("--level \"{}\", expected a level from 1 to {} or a range as 1-3", text, rl::kLevels),
                     verb);
  return {least, most};
}

int64_t parse_bytes(const std::string& word, const std::string& flag, const std::string& verb) {
  double number = 0;
  const char* end = word.data() + word.size();
  const auto [unit, failure] = std::from_chars(word.data(), end, number);
  const std::string suffix(unit, end);
  constexpr std::pair<const char*, double> kUnits[] = {{"", 1},         {"KB", 1e3},     {"MB", 1e6},
                                                       {"GB", 1e9},     {"TB", 1e12},    {"KiB", 0x1p10},
                                                       {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
  for (const auto& [name, factor] : kUnits)
    if (failure == std::errc{} && suffix == name && number >= 0 && number * factor < 0x1p62)
      return static_cast<int64_t>(number * factor);
  throw UsageError(fmt::format("{}: \"{}\" is no amount of memory, expected one like 8GB or 512MiB", flag, word), verb);
}

void check_model_folder(const std::string& model) {
  std::error_code error;
  const fs::file_status status = fs::status(model, error);
  if (fs::is_directory(status)) {
    MM_CHECK_KIND(kNotFound, fs::exists(fs::path(model) / "config.json", error), model,
                  " holds no config.json: expected a folder in the published layout (config.json, *.safetensors, "
                  "tokenizer files)");
    return;
  }
  MM_CHECK_KIND(kNotFound, !fs::exists(status), model, " is a file: expected the folder with config.json");
  MM_CHECK_KIND(kNotFound, model != kBuiltInModel, "the built-in model ", model, " is not beside the program (",
                built_in_places(), "): give a folder, or ", kTryThis);
  MM_CHECK_KIND(kNotFound, false, model, ": no such folder");
}

}  // namespace minimax::cli
