// The register tile of products whose vector lanes are columns: each sum is one chain over j, in order, whatever the
// tile. sums[row][columns] += sum over j of factors[row][j] * m[j][columns].
#pragma once

#include "cpu/kernel_text/simd.h"

namespace minimax::cpu::MM_ISA {

/// Rows and vectors of a tile: 24 sums, 4 values and a broadcast in 32 registers; 12, 2 and 1 in 16. (8 x 2 reads m
/// half as often, but its eight pointers to factors do not fit the other registers: 77% of the peak for 84%.)
constexpr int kBroadcastRows = 6;
#if defined(__AVX512F__)
constexpr int kBroadcastVectors = 4;
#else
constexpr int kBroadcastVectors = 2;
#endif

/// Memory to be brought nearer while a tile computes: as many bytes as it loads of m, or a part of them.
template <int kPart>
struct Later {
  const char* at = nullptr;

  template <int kVectors>
  MM_INLINE void go_on() {
    constexpr int kBytes = kVectors * (int)sizeof(F32) / kPart;
    for (int byte = 0; byte < kBytes; byte += 64) __builtin_prefetch(at + byte);
    at += kBytes;
  }
};

/// For no fetching at all.
struct Nothing {
  template <int>
  MM_INLINE void go_on() {}
};

template <int kRows, int kVectors, typename Fetch = Nothing>
MM_INLINE void add_products(const float* const (&factors)[kRows], const float* m, int64_t m_stride, int64_t count,
                            F32 (&sums)[kRows][kVectors], Fetch&& fetch = {}) {
  for (int64_t j = 0; j < count; ++j, m += m_stride) {
    fetch.template go_on<kVectors>();
    F32 values[kVectors];
    MM_UNROLL for (int v = 0; v < kVectors; ++v) values[v] = load(m + v * kLanes);
    MM_UNROLL for (int row = 0; row < kRows; ++row) {
      const F32 factor = broadcast(factors[row][j]);
      MM_UNROLL for (int v = 0; v < kVectors; ++v) sums[row][v] = fma(factor, values[v], sums[row][v]);
    }
  }
}

/// [0, total) in as few parts of at most kBroadcastRows as will do, of about equal sizes.
struct RowTiles {
  int64_t total, count;

  explicit RowTiles(int64_t rows) : total(rows), count((rows + kBroadcastRows - 1) / kBroadcastRows) {}
  int64_t begin(int64_t tile) const { return total * tile / count; }
};

template <int kCount>
struct Count {
  static constexpr int value = kCount;
};

/// function(Count<rows>) for rows from 1 to kBroadcastRows.
template <int kRows = kBroadcastRows, typename Function>
MM_INLINE void with_rows(int64_t rows, Function function) {
  if constexpr (kRows > 1)
    if (rows < kRows) return with_rows<kRows - 1>(rows, function);
  function(Count<kRows>());
}

}  // namespace minimax::cpu::MM_ISA
