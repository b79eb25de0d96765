// Error feedback: what the rounding of one weight does wrong at a matrix's output, other weights of the row make good,
// as far as their inputs go together on a calibration text.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/threads.h"
#include "quant/panel.h"

namespace minimax::quant {

/// Numbers of the lower triangle, with the diagonal, of the second moments of one block of 256 inputs.
inline constexpr int64_t kTriangle = kBlock * (kBlock + 1) / 2;

/// With e the errors of a row's weights and H the mean of x x^T over inputs x, the mean squared error of the output is
/// e^T H e. H is known within each block of 256 inputs; between blocks they are taken to be independent.
class ErrorFeedback {
 public:
  /// moments: [blocks, kTriangle], rows of each lower triangle one after the other, zeros where the last block is
  /// shorter. factors: [inputs], what columns will be multiplied by, and inputs so divided by; empty: nothing.
  /// Throws kInvalidArgument when sizes do not fit.
  ErrorFeedback(int64_t inputs, std::span<const float> moments, std::span<const float> factors, ThreadPool& threads);

  /// Takes a row that is rounded by itself; changes codes, and steps, zero points and block scales of q4, q5 and q6, so
  /// that the output's error is less, never more. weights: [inputs]. The same bits on every processor.
  void improve(Format format, const float* weights, RowCodes& row) const;

  /// e^T H e.
  double output_error(const float* weights, const float* rounded) const;

  int64_t inputs() const { return inputs_; }

 private:
  // H = U D U^T with ones on U's diagonal and zeros below it: the error is the sum over k of
  // D_k (e_k + sum over j < k of e_j U_jk)^2, so a weight is rounded to where it cancels what came before.
  struct Block {
    float mean = 1;                  // of the diagonal, which the rest is divided by
    std::vector<float> moments;      // [n][n]
    std::vector<float> feedback;     // [n][n], U
    std::vector<float> conditional;  // [n], D
  };
  class Rounder;

  int64_t inputs_;
  std::vector<Block> blocks_;
};

}  // namespace minimax::quant
