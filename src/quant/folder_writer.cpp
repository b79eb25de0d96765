#include "quant/folder_writer.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "io/atomic_file.h"
#include "io/file.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "io/sha256.h"
#include "io/shards.h"

namespace minimax::quant {
namespace {

namespace fs = std::filesystem;
namespace json = io::json;

constexpr int64_t kPieceBytes = int64_t{32} << 20;  // of a tensor in memory at once, or one panel for each thread

struct Matrix {
  int64_t rows, columns;
};
Matrix matrix_of(const SourceTensor& tensor) {
  if (tensor.shape.rank() == 1) return {1, tensor.shape.dim(0)};
  return {tensor.shape.dim(0), tensor.shape.dim(1)};
}

std::string stored_name(const SourceTensor& tensor) {
  return tensor.format ? tensor.name + "." + std::string(name(*tensor.format)) : tensor.name;
}

io::TensorPlan plan_of(const SourceTensor& tensor) {
  if (!tensor.format) return {tensor.name, tensor.dtype, tensor.shape};
  const auto [rows, columns] = matrix_of(tensor);
  return {stored_name(tensor), DType::kUInt8, {panel_count(rows), panel_bytes(*tensor.format, columns)}};
}

std::string five_digits(size_t number) {
  const std::string digits = std::to_string(number);
  return std::string(5 - std::min<size_t>(5, digits.size()), '0') + digits;
}

struct Shard {
  std::string file;
  std::vector<size_t> tensors;  // in the order of the file
  int64_t bytes = 0;
};

std::vector<Shard> shards_of(const std::vector<SourceTensor>& tensors, int64_t shard_bytes) {
  std::vector<Shard> shards;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const int64_t bytes = stored_bytes(tensors[i]);
    if (shards.empty() || shards.back().bytes + bytes > shard_bytes) shards.emplace_back();
    shards.back().tensors.push_back(i);
    shards.back().bytes += bytes;
  }
  for (size_t i = 0; i < shards.size(); ++i) {
    // Panels first: each then starts at a multiple of 64 bytes, whatever the lengths of norms.
    std::stable_partition(shards[i].tensors.begin(), shards[i].tensors.end(),
                          [&](size_t tensor) { return stored_bytes(tensors[tensor]) % kAlignment == 0; });
    shards[i].file = shards.size() == 1
                         ? "model.safetensors"
                         : cat("model-", five_digits(i + 1), "-of-", five_digits(shards.size()), ".safetensors");
  }
  return shards;
}

// What the bytes of the folder follow from.
std::string fingerprint(const std::vector<SourceTensor>& tensors, const WriteOptions& options) {
  io::Sha256 sum;
  sum.update(cat(options.settings, "\n", options.rounding == Rounding::kBest, " ", options.shard_bytes, "\n"));
  for (const SourceTensor& tensor : tensors)
    sum.update(cat(stored_name(tensor), " ", tensor.dtype, " ", tensor.shape, " ", tensor.importance != nullptr, " ",
                   tensor.feedback != nullptr, "\n"));
  return sum.finish();
}

// What an unfinished run left behind: finished shards, with the figures of their tensors.
class Unfinished {
 public:
  Unfinished(fs::path folder, std::string fingerprint) : path_(folder / kUnfinishedName) {
    state_["settings"] = fingerprint;
    state_["shards"] = json::object{};
    fs::create_directories(folder);
    if (!fs::exists(path_)) {
      MM_CHECK(fs::is_empty(folder), folder.string(),
               ": there is something already, and it is no unfinished quantized "
               "model; expected an empty folder or a new one");
      save();
      return;
    }
    json::value found = io::read_json_file(path_);
    const io::JsonField root(found, path_.string());
    MM_CHECK(root["settings"].string() == fingerprint, folder.string(),
             ": was begun with other settings or from another model; remove it, or choose another folder");
    root["shards"].object();
    state_ = found.as_object();
    // What a killed run was writing.
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(".model") && name.find(".tmp-") != std::string::npos) fs::remove(entry.path());
    }
  }

  // The sum and figures of a finished shard, or null.
  const json::value* find(const std::string& file) const { return state_.at("shards").as_object().if_contains(file); }

  void add(const std::string& file, const std::string& sum, const std::vector<WrittenTensor>& tensors) {
    json::array figures;
    for (const WrittenTensor& tensor : tensors) figures.emplace_back(tensor.relative_error);
    state_["shards"].as_object()[file] = json::object{{"sha256", sum}, {"relative_errors", std::move(figures)}};
    save();
  }

 private:
  void save() const { io::write_file(path_, io::write_json(state_, io::JsonStyle::kPretty) + "\n"); }

  fs::path path_;
  json::object state_;
};

// The bytes of one tensor, piece by piece.
class TensorWriter {
 public:
  TensorWriter(const SourceTensor& tensor, Rounding rounding, ThreadPool& threads)
      : tensor_(tensor), matrix_(matrix_of(tensor)), rounding_(rounding), threads_(threads) {}

  // Calls take(bytes) for each piece.
  template <typename Take>
  double write(const Take& take) {
    try {
      tensor_.format ? write_panels(take) : write_plain(take);
    } catch (const Error& error) {
      throw Error(error.kind(), cat("tensor \"", tensor_.name, "\": ", error.what()));
    }
    if (tensor_.release) tensor_.release();
    return square_ > 0 ? std::sqrt(error_ / square_) : 0;
  }

 private:
  template <typename Take>
  void write_panels(const Take& take) {
    const int64_t stride = panel_bytes(*tensor_.format, matrix_.columns);
    const int64_t panels = panel_count(matrix_.rows);
    const int64_t piece = std::max<int64_t>(threads_.size(), kPieceBytes / stride);
    std::optional<ErrorFeedback> feedback;
    if (tensor_.feedback && rounding_ == Rounding::kBest) feedback = tensor_.feedback(threads_);
    std::vector<std::byte> packed(static_cast<size_t>(std::min(piece, panels) * stride));
    for (int64_t first = 0; first < panels; first += piece) {
      const int64_t count = std::min(piece, panels - first);
      std::vector<double> errors(static_cast<size_t>(count)), squares(errors);
      threads_.parallel_for(count, 1, [&](int64_t begin, int64_t end) {
        for (int64_t panel = begin; panel < end; ++panel)
          write_panel(first + panel, feedback ? &*feedback : nullptr, packed.data() + panel * stride,
                      errors[static_cast<size_t>(panel)], squares[static_cast<size_t>(panel)]);
      });
      for (const double error : errors) error_ += error;
      for (const double square : squares) square_ += square;
      take(packed.data(), count * stride);
    }
  }

  void write_panel(int64_t panel, const ErrorFeedback* feedback, std::byte* packed, double& error,
                   double& square) const {
    const int64_t first = panel * kPanelRows;
    const int64_t rows = std::min(kPanelRows, matrix_.rows - first);
    std::vector<float> weights(static_cast<size_t>(rows * matrix_.columns)), back(weights.size());
    tensor_.read(first, rows, weights.data());
    const float* importance = tensor_.importance ? tensor_.importance->data() : nullptr;
    quantize_panel(*tensor_.format, matrix_.columns, rows, weights.data(), importance, rounding_, packed, feedback);
    dequantize_rows(*tensor_.format, matrix_.columns, packed, 0, rows, back.data());
    for (size_t i = 0; i < weights.size(); ++i) {
      const double difference = static_cast<double>(weights[i]) - back[i];
      error += difference * difference;
      square += static_cast<double>(weights[i]) * weights[i];
    }
  }

  template <typename Take>
  void write_plain(const Take& take) {
    const int64_t piece = std::max<int64_t>(1, kPieceBytes / (4 * std::max<int64_t>(1, matrix_.columns)));
    for (int64_t first = 0; first < matrix_.rows; first += piece) {
      const int64_t rows = std::min(piece, matrix_.rows - first);
      std::vector<float> values(static_cast<size_t>(rows * matrix_.columns));
      tensor_.read(first, rows, values.data());
      std::vector<uint16_t> halves;
      if (tensor_.dtype == DType::kFloat32) {
        take(values.data(), static_cast<int64_t>(values.size()) * 4);
        continue;
      }
      for (const float value : values) {
        halves.push_back(tensor_.dtype == DType::kBFloat16 ? to_bfloat16(value).bits : to_float16(value).bits);
        const double stored =
            tensor_.dtype == DType::kBFloat16 ? to_float(bfloat16{halves.back()}) : to_float(float16{halves.back()});
        error_ += (value - stored) * (value - stored);
        square_ += static_cast<double>(value) * value;
      }
      take(halves.data(), static_cast<int64_t>(halves.size()) * 2);
    }
  }

  const SourceTensor& tensor_;
  Matrix matrix_;
  Rounding rounding_;
  ThreadPool& threads_;
  double error_ = 0, square_ = 0;
};

class FolderWriter {
 public:
  FolderWriter(fs::path folder, const std::vector<SourceTensor>& tensors, const WriteOptions& options,
               ThreadPool& threads)
      : folder_(std::move(folder)),
        tensors_(tensors),
        options_(options),
        threads_(threads),
        shards_(shards_of(tensors, options.shard_bytes)),
        unfinished_(folder_, fingerprint(tensors, options)) {
    out_.tensors.resize(tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) {
      const SourceTensor& tensor = tensors[i];
      out_.tensors[i] = {stored_name(tensor),
                         std::string(tensor.format ? name(*tensor.format) : to_string(tensor.dtype)),
                         stored_bytes(tensor)};
      out_.bytes += stored_bytes(tensor);
    }
    progress_.total_bytes = out_.bytes;
  }

  WrittenFolder write() {
    for (const Shard& shard : shards_)
      if (!resume(shard)) write_shard(shard);
    if (shards_.size() > 1) write_index();
    return std::move(out_);
  }

 private:
  void report(int64_t bytes, bool fresh) {
    progress_.done_bytes += bytes;
    if (fresh) progress_.fresh_bytes += bytes;
    if (options_.progress) options_.progress(progress_);
  }

  bool resume(const Shard& shard) {
    const json::value* found = unfinished_.find(shard.file);
    if (!found || !fs::exists(folder_ / shard.file)) return false;
    const io::JsonField entry(*found, (folder_ / kUnfinishedName).string());
    const json::array& errors = entry["relative_errors"].array();
    progress_.name = shard.file;
    if (options_.progress) options_.progress(progress_);
    const std::string sum = io::sha256_of_file(folder_ / shard.file);
    if (sum != entry["sha256"].string() || errors.size() != shard.tensors.size()) return false;
    for (size_t i = 0; i < shard.tensors.size(); ++i)
      out_.tensors[shard.tensors[i]].relative_error = entry["relative_errors"][static_cast<int64_t>(i)].number();
    out_.sums[shard.file] = sum;
    out_.resumed_shards += 1;
    report(shard.bytes, false);
    return true;
  }

  void write_shard(const Shard& shard) {
    std::vector<io::TensorPlan> plan;
    for (const size_t tensor : shard.tensors) plan.push_back(plan_of(tensors_[tensor]));
    io::Sha256 sum;
    io::SafetensorsWriter file(folder_ / shard.file, plan, {{"format", "pt"}},
                               [&](const void* data, int64_t bytes) { sum.update(data, bytes); });
    std::vector<WrittenTensor> written;
    for (const size_t tensor : shard.tensors) {
      progress_.name = tensors_[tensor].name;
      TensorWriter writer(tensors_[tensor], options_.rounding, threads_);
      out_.tensors[tensor].relative_error = writer.write([&](const void* data, int64_t bytes) {
        file.write(data, bytes);
        report(bytes, true);
      });
      written.push_back(out_.tensors[tensor]);
    }
    file.commit();
    out_.sums[shard.file] = sum.finish();
    unfinished_.add(shard.file, out_.sums[shard.file], written);
  }

  void write_index() {
    json::object map;
    for (const Shard& shard : shards_)
      for (const size_t tensor : shard.tensors) map[stored_name(tensors_[tensor])] = shard.file;
    const json::object index{{"metadata", json::object{{"total_size", out_.bytes}}}, {"weight_map", std::move(map)}};
    const std::string text = io::write_json(index, io::JsonStyle::kPretty) + "\n";
    io::write_file(folder_ / io::kShardIndexName, text);
    io::Sha256 sum;
    sum.update(text);
    out_.sums[std::string(io::kShardIndexName)] = sum.finish();
  }

  fs::path folder_;
  const std::vector<SourceTensor>& tensors_;
  const WriteOptions& options_;
  ThreadPool& threads_;
  std::vector<Shard> shards_;
  Unfinished unfinished_;
  WriteProgress progress_;
  WrittenFolder out_;
};

}  // namespace

int64_t stored_bytes(const SourceTensor& tensor) {
  if (!tensor.format) return tensor.shape.elements() * size_of(tensor.dtype);
  const auto [rows, columns] = matrix_of(tensor);
  return packed_bytes(*tensor.format, rows, columns);
}

WrittenFolder write_folder(const fs::path& folder, const std::vector<SourceTensor>& tensors,
                           const WriteOptions& options, ThreadPool& threads) {
  return FolderWriter(folder, tensors, options, threads).write();
}

void finish_folder(const fs::path& folder) {
  fs::remove(folder / kUnfinishedName);
}

}  // namespace minimax::quant
