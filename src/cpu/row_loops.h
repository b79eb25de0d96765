// How row-wise CPU work is cut into pieces for the threads.
#pragma once

#include <algorithm>

#include "core/context.h"

namespace minimax::cpu {

/// About 64 KiB of float32 for one thread at a time: two pieces' worth is worth waking a second thread for.
constexpr int64_t kPieceElements = 16 * 1024;

/// Calls body(row) for every row of a matrix, several rows to a piece.
template <typename Body>
void for_each_row(const Context& ctx, int64_t rows, int64_t row_elements, const Body& body) {
  ctx.threads->parallel_for(rows, std::max<int64_t>(1, kPieceElements / std::max<int64_t>(1, row_elements)),
                            [&](int64_t begin, int64_t end) {
                              for (int64_t row = begin; row < end; ++row) body(row);
                            });
}

/// Calls body(first, count) over flat pieces.
template <typename Body>
void for_each_piece(const Context& ctx, int64_t elements, const Body& body) {
  ctx.threads->parallel_for(elements, kPieceElements, [&](int64_t begin, int64_t end) { body(begin, end - begin); });
}

}  // namespace minimax::cpu
