// Calibration: how large the inputs of each matrix are on a text and how they go together, and what quantization makes
// of that.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "eval/perplexity.h"
#include "model/quantize_checkpoint.h"

namespace minimax::eval {

/// Statistics of a text's passage through a model.
struct Calibration {
  /// [inputs] of each matrix by published name: mean of the squared input. Of an expert's, tokens count as the square
  /// of the weight that the mixture gives them: as their errors do. Experts that no token went to have none.
  std::map<std::string, std::shared_ptr<const std::vector<float>>> mean_square;
  /// [blocks, quant::kTriangle] float32: means of products of two inputs within each block of 256, weighed alike, by
  /// the matrix that stands for all that read the same input (moments_name). Products of different inputs are taken
  /// less than they were where tokens are few.
  std::map<std::string, Tensor> moments;
  int64_t tokens = 0;
};

/// The matrix under whose name moments of this one's inputs are kept: q for k and v of softmax attention, qkv for the
/// output gate of lightning attention, gate for up.
std::string moments_name(const std::string& name);

/// Runs the windows through the model. Inputs of the experts' down projections are computed a second time. Memory for
/// the moments is 514 bytes for each input of each matrix that has them.
Calibration calibrate(const MiniMaxM1& model, const Context& ctx, const std::vector<Window>& windows,
                      const TokenProgress& progress = {}, bool with_moments = true);

/// A safetensors file: "NAME.mean_square" [inputs] and "NAME.moments" [blocks, kTriangle], float32, and the number of
/// tokens as metadata. Moments that are read stay in the file until they are used.
void write_calibration(const std::filesystem::path& path, const Calibration& calibration);
/// Throws kInvalidArgument for a file that is no calibration of a model of this config: names it has not, sizes that do
/// not fit, values that are negative or not finite.
Calibration read_calibration(const std::filesystem::path& path, const ModelConfig& config);

/// Two weights whose product of factors is 1: rows of the first are divided by what columns of the second are
/// multiplied by.
struct FoldablePair {
  std::string rows;     ///< up, v, or a norm, whose elements are its rows
  std::string columns;  ///< down, o or out
  int64_t group = 1;    ///< so many query heads, whose columns are these, share one value head
};
std::vector<FoldablePair> foldable_pairs(const ModelConfig& config);
/// A value for each row of the first -> for each column of the second.
std::vector<float> to_columns(const std::vector<float>& rows, const FoldablePair& pair, int64_t head_dim);

/// The importance of each input, and factors that make columns round better where the matrix before can take their
/// inverse exactly: up and down projections of an expert, values and outputs of softmax attention, norm and outputs of
/// lightning attention. Factors are powers of two, so that the model stays the same function to the bit; how far they
/// follow the inputs is tried for each matrix on some of its rows.
QuantizeHints hints_of(const Calibration& calibration, const Checkpoint& checkpoint, const quant::Recipe& recipe,
                       ThreadPool& threads);

/// Powers of two near (root mean square of each input / their geometric mean) ^ strength, within 1/16 and 16.
std::vector<float> column_factors(const std::vector<float>& mean_square, float strength);

}  // namespace minimax::eval
