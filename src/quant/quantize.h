// From float weights to codes: scales that minimise the error, then the nearest codes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "core/threads.h"
#include "quant/error_feedback.h"
#include "quant/panel.h"

namespace minimax::quant {

enum class Rounding : uint8_t {
  kNearest,  ///< each scale from the largest magnitude it serves: the plain baseline
  kBest,     ///< scales, steps and zero points that minimise the squared error
};

/// One row. importance: [inputs], what the squared error at each input counts (the mean square of the activation
/// there), none negative; null: all alike. feedback: makes the row's output better, not each weight by itself; null:
/// nothing. Throws kInvalidArgument when a weight is not finite or too large for a float16 scale.
RowCodes encode_row(Format format, int64_t inputs, const float* weights, const float* importance = nullptr,
                    Rounding rounding = Rounding::kBest, const ErrorFeedback* feedback = nullptr);

/// A whole panel: rows [rows, inputs], 1 to 32; what is missing to 32 becomes zeros. panel: [panel_bytes].
void quantize_panel(Format format, int64_t inputs, int64_t rows, const float* weights, const float* importance,
                    Rounding rounding, std::byte* panel, const ErrorFeedback* feedback = nullptr);

/// Writes rows [first, first + rows) as float32 to out: [rows, inputs]. Called from several threads at once.
using RowReader = std::function<void(int64_t first, int64_t rows, float* out)>;

/// A matrix [outputs, inputs] panel by panel on all threads of the pool; packed: [packed_bytes]. The same bytes
/// whatever the number of threads.
void quantize_matrix(Format format, int64_t outputs, int64_t inputs, const RowReader& read, const float* importance,
                     Rounding rounding, ThreadPool& threads, std::byte* packed);

}  // namespace minimax::quant
