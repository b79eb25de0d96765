#include "io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <numeric>
#include <tuple>

#include "core/error.h"
#include "io/atomic_file.h"
#include "io/json.h"

namespace minimax::io {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little endian");

constexpr int64_t kLengthBytes = 8;  // the header's length, before the header
constexpr std::string_view kMetadata = "__metadata__";

// Bytes of an element; nothing for a type we have not heard of.
std::optional<int64_t> element_bytes(const TensorInfo& tensor) {
  if (tensor.dtype) return size_of(*tensor.dtype);
  constexpr std::pair<std::string_view, int64_t> kOthers[] = {
      {"BOOL", 1}, {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1},
      {"I16", 2},  {"U16", 2}, {"U32", 4},     {"U64", 8},     {"C64", 8}};
  for (const auto& [name, bytes] : kOthers)
    if (tensor.dtype_name == name) return bytes;
  return std::nullopt;
}

std::string shape_text(const std::vector<int64_t>& dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

TensorInfo read_tensor_info(std::string name, const JsonField& field, std::string_view file) {
  TensorInfo tensor;
  tensor.name = std::move(name);
  tensor.dtype_name = field["dtype"].string();
  tensor.dtype = parse_dtype(tensor.dtype_name);
  tensor.dims = field["shape"].integers(0);
  const std::vector<int64_t> offsets = field["data_offsets"].integers(0);
  MM_CHECK(offsets.size() == 2, file, ": tensor \"", tensor.name, "\" has ", offsets.size(),
           " data_offsets, expected 2: begin and end");
  tensor.begin = offsets[0];
  tensor.end = offsets[1];
  MM_CHECK(tensor.begin <= tensor.end, file, ": tensor \"", tensor.name, "\" ends at byte ", tensor.end,
           ", before it begins at ", tensor.begin);
  return tensor;
}

void check_size(const TensorInfo& tensor, std::string_view file) {
  int64_t expected = element_bytes(tensor).value_or(1);
  for (const int64_t dim : tensor.dims)
    MM_CHECK(!__builtin_mul_overflow(expected, dim, &expected), file, ": tensor \"", tensor.name, "\" ",
             shape_text(tensor.dims), " has more than 2^63 bytes");
  if (!element_bytes(tensor)) return;
  MM_CHECK(expected == tensor.bytes(), file, ": tensor \"", tensor.name, "\" is ", tensor.dtype_name, " ",
           shape_text(tensor.dims), " = ", expected, " bytes, but its data_offsets hold ", tensor.bytes());
}

// The tensors in order of their bytes must fill the data exactly, side by side.
void check_layout(const std::vector<TensorInfo>& tensors, int64_t data_bytes, std::string_view file) {
  std::vector<const TensorInfo*> by_place;
  for (const TensorInfo& tensor : tensors) by_place.push_back(&tensor);
  std::sort(by_place.begin(), by_place.end(), [](const TensorInfo* a, const TensorInfo* b) {
    return std::tie(a->begin, a->end, a->name) < std::tie(b->begin, b->end, b->name);
  });
  int64_t filled = 0;
  for (const TensorInfo* tensor : by_place) {
    MM_CHECK(tensor->begin >= filled, file, ": tensor \"", tensor->name, "\" begins at byte ", tensor->begin,
             " of the data, inside the tensor before it, which ends at ", filled);
    MM_CHECK(tensor->begin == filled, file, ": tensor \"", tensor->name, "\" begins at byte ", tensor->begin,
             " of the data, but the bytes from ", filled, " on belong to no tensor");
    MM_CHECK(tensor->end <= data_bytes, file, ": tensor \"", tensor->name, "\" ends at byte ", tensor->end,
             " of the data, but the file holds only ", data_bytes, " (is it truncated?)");
    filled = tensor->end;
  }
  MM_CHECK(filled == data_bytes, file, ": ", data_bytes - filled, " bytes after the last tensor, expected none");
}

}  // namespace

int64_t TensorInfo::elements() const {
  return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>());
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, std::string_view name) {
  const auto file_bytes = static_cast<int64_t>(file.size());
  MM_CHECK(file_bytes >= kLengthBytes, name, ": ", file_bytes,
           " bytes, expected a safetensors file of at least 8 (is it truncated?)");
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  MM_CHECK(length <= kMaxSafetensorsHeaderBytes, name, ": says its header has ", length, " bytes, expected at most ",
           kMaxSafetensorsHeaderBytes, " (is it a safetensors file?)");
  const auto header_bytes = static_cast<int64_t>(length);
  MM_CHECK(header_bytes <= file_bytes - kLengthBytes, name, ": says its header has ", header_bytes, " bytes, but only ",
           file_bytes - kLengthBytes, " follow (is it truncated?)");
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  MM_CHECK(text.starts_with('{'), name, ": its header does not start with '{' (is it a safetensors file?)");

  // Even one-letter metadata spends 7 bytes a value: a header with more values is hostile.
  const JsonLimits limits{.max_bytes = kMaxSafetensorsHeaderBytes, .max_depth = 4, .max_values = 16 + header_bytes / 6};
  const std::string document = cat(name, ", header");
  const json::value root = parse_json(text, document, limits);

  SafetensorsHeader header;
  header.data_begin = kLengthBytes + header_bytes;
  for (const auto& member : root.get_object()) {
    const std::string_view key(member.key());
    const JsonField field(member.value(), cat(document, ": \"", key, "\""));
    if (key != kMetadata) {
      header.tensors.push_back(read_tensor_info(std::string(key), field, name));
      check_size(header.tensors.back(), name);
      continue;
    }
    for (const auto& entry : field.object())
      header.metadata.emplace(std::string_view(entry.key()), field[std::string_view(entry.key())].string());
  }
  check_layout(header.tensors, file_bytes - header.data_begin, name);
  return header;
}

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path, const LoadOptions& options) {
  SafetensorsFile opened;
  opened.file_ = MappedFile::open(path, options);
  opened.header_ =
      std::make_shared<const SafetensorsHeader>(parse_safetensors_header(opened.file_->bytes(), path.string()));
  std::unordered_map<std::string_view, const TensorInfo*> by_name;
  for (const TensorInfo& tensor : opened.header_->tensors) by_name.emplace(tensor.name, &tensor);
  opened.by_name_ = std::make_shared<const decltype(by_name)>(std::move(by_name));
  return opened;
}

const TensorInfo* SafetensorsFile::find(std::string_view name) const {
  const auto found = by_name_->find(name);
  return found == by_name_->end() ? nullptr : found->second;
}

Tensor SafetensorsFile::tensor(std::string_view name) const {
  const TensorInfo* info = find(name);
  MM_CHECK_KIND(kNotFound, info, path().string(), ": has no tensor \"", name, "\"");
  MM_CHECK(info->dtype, path().string(), ": tensor \"", name, "\" is ", info->dtype_name,
           ", expected F32, BF16, F16, F64, I32, I64 or U8");
  MM_CHECK(static_cast<int64_t>(info->dims.size()) <= Shape::kMaxRank, path().string(), ": tensor \"", name, "\" has ",
           info->dims.size(), " dimensions, expected at most ", Shape::kMaxRank);
  const Shape shape{std::span<const int64_t>(info->dims)};
  const std::byte* data = file_->bytes().data() + header_->data_begin + info->begin;
  if (reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(size_of(*info->dtype)) == 0)
    return Tensor(file_, const_cast<std::byte*>(data), shape, *info->dtype);
  Tensor aligned = Tensor::empty(shape, *info->dtype);
  std::memcpy(aligned.raw(), data, static_cast<size_t>(aligned.bytes()));
  return aligned;
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::span<const TensorPlan> plan,
                                     const std::map<std::string, std::string>& metadata, Observer observer)
    : file_(path), path_(path), observer_(std::move(observer)) {
  json::object header;
  if (!metadata.empty()) {
    json::object entries;
    for (const auto& [key, value] : metadata) entries.emplace(key, value);
    header.emplace(kMetadata, std::move(entries));
  }
  for (const TensorPlan& tensor : plan) {
    json::array dims;
    for (int64_t i = 0; i < tensor.shape.rank(); ++i) dims.emplace_back(tensor.shape.dim(i));
    json::object entry;
    entry.emplace("dtype", json::string(to_string(tensor.dtype)));
    entry.emplace("shape", std::move(dims));
    entry.emplace("data_offsets", json::array({left_, left_ + tensor.bytes()}));
    left_ += tensor.bytes();
    const bool is_new = tensor.name != kMetadata && header.emplace(tensor.name, std::move(entry)).second;
    MM_CHECK(is_new, path.string(), ": tensor name \"", tensor.name, "\" is repeated or reserved");
  }
  std::string text = write_json(json::value(std::move(header)));
  constexpr size_t kAlignment = 64;  // one cache line
  text.append((kAlignment - (kLengthBytes + text.size()) % kAlignment) % kAlignment, ' ');
  const uint64_t length = text.size();
  put(&length, kLengthBytes);
  put(text.data(), static_cast<int64_t>(text.size()));
}

void SafetensorsWriter::put(const void* data, int64_t bytes) {
  if (observer_) observer_(data, bytes);
  file_.write(data, bytes);
  bytes_ += bytes;
}

void SafetensorsWriter::write(const void* data, int64_t bytes) {
  MM_CHECK_KIND(kInternal, bytes <= left_, path_.string(), ": ", bytes, " bytes more, where ", left_, " were planned");
  put(data, bytes);
  left_ -= bytes;
}

void SafetensorsWriter::commit() {
  MM_CHECK_KIND(kInternal, left_ == 0, path_.string(), ": ", left_, " bytes of the plan were never written");
  file_.commit();
}

void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
    const int64_t a_bytes = size_of(a->tensor.dtype()), b_bytes = size_of(b->tensor.dtype());
    return a_bytes != b_bytes ? a_bytes > b_bytes : a < b;  // a < b: their places in the caller's list
  });
  std::vector<TensorPlan> plan;
  for (const NamedTensor* named : order) plan.push_back({named->name, named->tensor.dtype(), named->tensor.shape()});
  SafetensorsWriter file(path, plan, metadata);
  for (const NamedTensor* named : order) file.write(named->tensor.raw(), named->tensor.bytes());
  file.commit();
}

}  // namespace minimax::io
