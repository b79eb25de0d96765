#include "io/shards.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "io/file.h"
#include "io/json.h"

namespace minimax::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".safetensors";

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

bool is_plain_file_name(std::string_view name) {
  return name.size() > kExtension.size() && name.ends_with(kExtension) && name.front() != '.' &&
         std::none_of(name.begin(), name.end(), [](char c) { return c == '/' || c == '\\' || c == '\0'; });
}

std::string file_name(const SafetensorsFile& file) {
  return file.path().filename().string();
}

}  // namespace

std::vector<std::string> ShardIndex::files() const {
  std::set<std::string> names;
  for (const auto& [tensor, file] : file_of) names.insert(file);
  return {names.begin(), names.end()};
}

ShardIndex parse_shard_index(std::string_view text, std::string_view what) {
  const json::value root = parse_json(text, what);
  const JsonField document(root, what);
  ShardIndex index;
  const JsonField weight_map = document["weight_map"];
  for (const auto& entry : weight_map.object()) {
    const std::string_view tensor(entry.key());
    const JsonField file = weight_map[tensor];
    if (!is_plain_file_name(file.string())) file.fail("a plain file name that ends in .safetensors");
    index.file_of.emplace(tensor, file.string());
  }
  const JsonField metadata = document["metadata"];
  if (metadata.is_object() && metadata["total_size"].has_value()) index.total_size = metadata["total_size"].integer(0);
  return index;
}

Shards Shards::open(const fs::path& folder, const LoadOptions& options) {
  return Shards(folder, options, false);
}

Shards Shards::inspect(const fs::path& folder) {
  return Shards(folder, LoadOptions{}, true);
}

Shards::Shards(const fs::path& folder, const LoadOptions& options, bool tolerant) : tolerant_(tolerant) {
  std::vector<std::string> missing;
  for (const std::string& name : choose_files(folder)) {
    std::error_code ignored;
    if (!fs::exists(folder / name, ignored)) {
      missing.push_back(name);
      continue;
    }
    if (!missing.empty() && !tolerant_) continue;  // will fail: only collect the names of the others
    try {
      files_.push_back(SafetensorsFile::open(folder / name, options));
    } catch (const Error& error) {
      problem(error.kind(), error.what());
    }
  }
  for (size_t i = 0; i < files_.size(); ++i) {
    for (const TensorInfo& tensor : files_[i].tensors()) {
      const auto [first, is_new] = file_index_.emplace(tensor.name, i);
      if (!is_new)
        problem(ErrorKind::kInvalidArgument, cat(folder.string(), ": tensor \"", tensor.name, "\" lies in two files, ",
                                                 file_name(files_[first->second]), " and ", file_name(files_[i])));
    }
  }
  check_against_index(folder, missing);
}

void Shards::problem(ErrorKind kind, const std::string& message) {
  if (!tolerant_) throw Error(kind, message);
  problems_.push_back(message);
}

// The names of the files that should hold the tensors; sets index_ when there is one.
std::vector<std::string> Shards::choose_files(const fs::path& folder) {
  std::error_code failure;
  if (!fs::is_directory(folder, failure)) {
    problem(ErrorKind::kNotFound, cat(folder.string(), ": no such folder, expected one with *.safetensors files"));
    return {};
  }
  const fs::path index_path = folder / kShardIndexName;
  if (fs::exists(index_path, failure)) {
    try {
      index_ = parse_shard_index(read_file(index_path), index_path.string());
      return index_->files();
    } catch (const Error& error) {
      problem(error.kind(), error.what());
    }
  }
  if (fs::exists(folder / "model.safetensors", failure)) return {"model.safetensors"};
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder, failure)) {
    const std::string name = entry.path().filename().string();
    if (is_plain_file_name(name)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  if (names.empty())
    problem(ErrorKind::kNotFound, cat(folder.string(), ": holds no weights, expected ", kShardIndexName,
                                      " with its shards, or *.safetensors"));
  return names;
}

void Shards::check_against_index(const fs::path& folder, const std::vector<std::string>& missing) {
  if (!index_) return;
  const size_t expected = index_->files().size();
  if (!missing.empty())
    problem(ErrorKind::kNotFound,
            cat(folder.string(), ": ", missing.size(), " of ", expected, " shards are missing: ", joined(missing)));
  std::set<std::string> opened;
  for (const SafetensorsFile& file : files_) opened.insert(file_name(file));
  for (const auto& [tensor, file] : index_->file_of) {
    const SafetensorsFile* holder = file_of(tensor);
    if (holder ? file_name(*holder) == file : !opened.contains(file)) continue;
    problem(ErrorKind::kInvalidArgument,
            cat((folder / file).string(), ": has no tensor \"", tensor, "\", which ", kShardIndexName, " places there",
                holder ? " (it lies in " + file_name(*holder) + ")" : std::string()));
  }
}

std::vector<std::string> Shards::names() const {
  std::set<std::string_view> names;
  for (const auto& [name, file] : file_index_) names.insert(name);
  if (index_)
    for (const auto& [name, file] : index_->file_of) names.insert(name);
  return {names.begin(), names.end()};
}

const SafetensorsFile* Shards::file_of(std::string_view name) const {
  const auto found = file_index_.find(name);
  return found == file_index_.end() ? nullptr : &files_[found->second];
}

const TensorInfo* Shards::find(std::string_view name) const {
  const SafetensorsFile* file = file_of(name);
  return file ? file->find(name) : nullptr;
}

Tensor Shards::tensor(std::string_view name) const {
  const SafetensorsFile* file = file_of(name);
  MM_CHECK_KIND(kNotFound, file, "no file holds the tensor \"", name, "\"");
  return file->tensor(name);
}

}  // namespace minimax::io
