// Counter-based random numbers: the n-th number of a stream depends on (seed, stream, n) and on nothing else.
#pragma once

#include <array>
#include <cstdint>

namespace minimax {

/// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): four 32-bit words of a block.
std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter_high, uint64_t counter_low);

/// A stream of numbers. Copying it copies its place.
class Rng {
 public:
  explicit Rng(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  uint32_t next_u32();
  uint64_t next_u64();
  double uniform();  ///< in [0, 1), 53 bits
  double normal();   ///< mean 0, variance 1 (Box-Muller; both values used)
  /// Uniform in [0, bound), bound > 0, without bias.
  uint64_t below(uint64_t bound);
  /// The place in the stream, in 32-bit words; set it to return there.
  uint64_t position() const { return position_; }
  void seek(uint64_t position);

 private:
  uint64_t seed_;
  uint64_t stream_;
  uint64_t position_ = 0;  // words handed out
  std::array<uint32_t, 4> block_{};
  double spare_normal_ = 0;
  bool has_spare_normal_ = false;
};

/// The `index`-th uniform number in [0, 1) of a stream, without an Rng: sampling token `index` of request `stream`.
double uniform_at(uint64_t seed, uint64_t stream, uint64_t index);

}  // namespace minimax
