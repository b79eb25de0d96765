// The tensors of a model folder: an index and its shards, or a single file, seen as one set of names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/tensor.h"
#include "io/mapped_file.h"
#include "io/safetensors.h"

namespace minimax::io {

inline constexpr std::string_view kShardIndexName = "model.safetensors.index.json";

/// What model.safetensors.index.json says.
struct ShardIndex {
  std::map<std::string, std::string, std::less<>> file_of;  ///< tensor name -> file name
  std::optional<int64_t> total_size;                        ///< metadata.total_size: bytes of all tensors

  /// The distinct file names, sorted.
  std::vector<std::string> files() const;
};

/// `text` is the index's JSON, `what` its name in errors. File names must be plain names that end in .safetensors: a
/// path could lead out of the folder. Throws kInvalidArgument.
ShardIndex parse_shard_index(std::string_view text, std::string_view what);

/// All tensors of a folder. Files stay mapped while a Shards or a tensor from it lives. Not tied to any model.
class Shards {
 public:
  /// Uses model.safetensors.index.json and the shards it names; without an index model.safetensors; without that all
  /// *.safetensors, by name. Throws kNotFound when there is none or a shard is missing (all are listed),
  /// kInvalidArgument when a file is malformed, a tensor lies in two files, or not in the file the index names.
  static Shards open(const std::filesystem::path& folder, const LoadOptions& options = {});
  /// The same for a folder that may be broken: what open() would throw for is described in problems(), and the tensors
  /// that can be had are there.
  static Shards inspect(const std::filesystem::path& folder);

  /// The files that could be opened, sorted by name.
  const std::vector<SafetensorsFile>& files() const { return files_; }
  const std::optional<ShardIndex>& index() const { return index_; }
  /// Empty after open().
  const std::vector<std::string>& problems() const { return problems_; }

  /// Every tensor in an opened file and every name in the index, sorted.
  std::vector<std::string> names() const;
  /// Null when no opened file holds it.
  const TensorInfo* find(std::string_view name) const;
  /// A view into its file (SafetensorsFile::tensor). Throws kNotFound, or as that does.
  Tensor tensor(std::string_view name) const;
  /// The opened file that holds it, or null.
  const SafetensorsFile* file_of(std::string_view name) const;

 private:
  Shards(const std::filesystem::path& folder, const LoadOptions& options, bool tolerant);
  void problem(ErrorKind kind, const std::string& message);
  std::vector<std::string> choose_files(const std::filesystem::path& folder);
  void check_against_index(const std::filesystem::path& folder, const std::vector<std::string>& missing);

  bool tolerant_;
  std::optional<ShardIndex> index_;
  std::vector<SafetensorsFile> files_;
  std::unordered_map<std::string_view, size_t> file_index_;  // tensor name (kept by the file) -> its file
  std::vector<std::string> problems_;
};

}  // namespace minimax::io
