// Session files: the state of a token sequence on disk, to go on from there in another process with the same bits.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "engine/state/state_cache.h"
#include "model/minimax_m1.h"

namespace minimax::engine {

/// What a state belongs to. States of another model are nonsense; those of other kernels differ in the last bits.
struct ModelTag {
  /// Hash of the config and the weights, 16 hexadecimal digits: of all bytes of a model of up to kHashedWhole, else of
  /// each weight's shape and eight pages spread over it.
  std::string model;
  std::string kernels;  ///< instruction set, or a GPU, and precision of products
};

std::string kernels_name(MatmulPrecision precision, bool on_gpu = false);
constexpr int64_t kHashedWhole = int64_t{256} << 20;
ModelTag model_tag(const MiniMaxM1& model, MatmulPrecision precision, bool on_gpu = false);

struct SavedSession {
  std::string name;
  std::string salt;          ///< of the prefix cache
  std::string kernels;       ///< as ModelTag::kernels when it was written
  std::vector<int32_t> ids;  ///< snapshot.state.length of them
  Snapshot snapshot;         ///< views of the mapped file
  Tensor logits;             ///< [vocab] of the last token; undefined when it was not kept
};

/// A safetensors file with tensors `ids`, `logits`, `layer.N.state`, `layer.N.k_window`, `layer.N.v_window`,
/// `layer.N.k.P` and `layer.N.v.P` (page P), and metadata for the checks below. Written atomically; nothing of the
/// snapshot is copied. Throws kIo.
void write_session(const std::filesystem::path& path, const SavedSession& session, const ModelTag& tag);

/// Throws kInvalidArgument, naming the file, what was found and what was expected, for a file that is no session, of
/// another version, of another model, damaged (every tensor is under a checksum), or with tensors that do not fit
/// `config`; kNotFound, kIo.
SavedSession read_session(const std::filesystem::path& path, const ModelConfig& config, const ModelTag& tag);

}  // namespace minimax::engine
