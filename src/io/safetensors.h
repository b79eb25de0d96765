// The safetensors format: a file of named tensors, read without copying and written atomically.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/tensor.h"
#include "io/atomic_file.h"
#include "io/mapped_file.h"

namespace minimax::io {

/// What a header says of one tensor. The type may be one we do not compute with; that is an error only on use.
struct TensorInfo {
  std::string name;
  std::string dtype_name;      ///< as written: BF16, F8_E4M3, ...
  std::optional<DType> dtype;  ///< when it is one of ours
  std::vector<int64_t> dims;
  int64_t begin = 0;  ///< bytes [begin, end), counted from the end of the header
  int64_t end = 0;

  int64_t elements() const;
  int64_t bytes() const { return end - begin; }
};

/// A header, checked: every tensor lies inside the data, none overlap, no byte between them is unused, and each is as
/// long as its shape and type say (where the type is known).
struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  ///< in the order of the header
  std::map<std::string, std::string> metadata;
  int64_t data_begin = 0;  ///< where the data starts in the file
};

inline constexpr int64_t kMaxSafetensorsHeaderBytes = 100'000'000;  // as in the reference implementation

/// `file` is the whole file; `name` is how errors call it. Memory used is a small multiple of the header's length, and
/// a header that claims to be longer than the file costs nothing. Throws kInvalidArgument naming file and tensor.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, std::string_view name);

/// An open file. Copies share the mapping, and tensors keep it alive.
class SafetensorsFile {
 public:
  /// Throws as MappedFile::open and parse_safetensors_header do.
  static SafetensorsFile open(const std::filesystem::path& path, const LoadOptions& options = {});

  const std::filesystem::path& path() const { return file_->path(); }
  const std::vector<TensorInfo>& tensors() const { return header_->tensors; }
  const std::map<std::string, std::string>& metadata() const { return header_->metadata; }
  /// Null when there is none of that name.
  const TensorInfo* find(std::string_view name) const;
  /// A view of the file's bytes, read only (writing to it ends the process). Only a tensor whose place in the file is
  /// no multiple of its element size is copied. Throws kNotFound, or kInvalidArgument for a type or rank we do not
  /// compute with.
  Tensor tensor(std::string_view name) const;
  /// The file behind the tensors, for advise().
  const MappedFile& file() const { return *file_; }

 private:
  std::shared_ptr<const MappedFile> file_;
  std::shared_ptr<const SafetensorsHeader> header_;
  std::shared_ptr<const std::unordered_map<std::string_view, const TensorInfo*>> by_name_;
};

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

/// What a file will hold, before the bytes are known.
struct TensorPlan {
  std::string name;
  DType dtype;
  Shape shape;

  int64_t bytes() const { return shape.elements() * size_of(dtype); }
};

/// Writes a file whose tensors come one after another, in the order of the plan: for what is larger than memory. Data
/// starts at a multiple of 64 bytes; after tensors whose lengths are multiples of 64, so does the next one.
class SafetensorsWriter {
 public:
  /// Sees all bytes on their way to the file: for checksums.
  using Observer = std::function<void(const void* data, int64_t bytes)>;

  /// Writes the header. Throws kInvalidArgument for a repeated name, and kIo.
  SafetensorsWriter(const std::filesystem::path& path, std::span<const TensorPlan> plan,
                    const std::map<std::string, std::string>& metadata = {}, Observer observer = {});

  /// The next bytes, in any pieces. Throws kInternal for more than were planned.
  void write(const void* data, int64_t bytes);
  /// The file appears. Throws kInternal when bytes are missing.
  void commit();
  /// Of the whole file.
  int64_t bytes() const { return bytes_; }

 private:
  void put(const void* data, int64_t bytes);

  AtomicFile file_;
  std::filesystem::path path_;
  Observer observer_;
  int64_t bytes_ = 0;
  int64_t left_ = 0;
};

/// Writes a file atomically (AtomicFile). Data starts at a multiple of 64 bytes and tensors of larger elements come
/// first, else in the order given, so every tensor is aligned to its elements. Throws kInvalidArgument for a repeated
/// name, and kIo.
void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace minimax::io
