#include "quant/error_feedback.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/dtype.h"
#include "core/error.h"
#include "quant/rounding_error.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define MM_VECTOR_CLONES 1
#endif

namespace minimax::quant {
namespace {

// Of the mean of the diagonal: a text never shows all directions, and weights should not stray along those it left out.
constexpr double kDamping = 0.01;

__attribute__((always_inline)) inline void add_lanes(float* y, const float* x, float factor, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] += factor * x[i];
}

using AddScaled = void (*)(float*, const float*, float, int64_t);

void add_plain(float* y, const float* x, float factor, int64_t count) {
  add_lanes(y, x, factor, count);
}

#ifdef MM_VECTOR_CLONES
__attribute__((target("avx2"))) void add_avx2(float* y, const float* x, float factor, int64_t count) {
  add_lanes(y, x, factor, count);
}
__attribute__((target("avx512f"))) void add_avx512(float* y, const float* x, float factor, int64_t count) {
  add_lanes(y, x, factor, count);
}
AddScaled choose() {
  if (__builtin_cpu_supports("avx512f")) return add_avx512;
  return __builtin_cpu_supports("avx2") ? add_avx2 : add_plain;
}
#else
AddScaled choose() {
  return add_plain;
}
#endif

// y += factor * x
void add_scaled(float* y, const float* x, float factor, int64_t count) {
  static const AddScaled chosen = choose();
  chosen(y, x, factor, count);
}

// Of one block: [n][n] from its triangle, with the factors, its mean diagonal 1, damped.
std::vector<float> square_of(const float* triangle, const float* factors, int64_t real, int64_t n, float& mean) {
  std::vector<float> square(static_cast<size_t>(n * n));
  double diagonal = 0;
  for (int64_t i = 0; i < real; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      MM_CHECK(std::isfinite(triangle[i * (i + 1) / 2 + j]), "calibration: a moment of inputs is ",
               triangle[i * (i + 1) / 2 + j], ", expected a finite number");
      const float scale = factors ? 1 / (factors[i] * factors[j]) : 1.0f;
      const float moment = triangle[i * (i + 1) / 2 + j] * scale;
      square[static_cast<size_t>(i * n + j)] = square[static_cast<size_t>(j * n + i)] = moment;
      if (i == j) diagonal += moment;
    }
  mean = diagonal > 0 ? static_cast<float>(diagonal / static_cast<double>(real)) : 1;
  for (float& moment : square) moment /= mean;
  return square;
}

// U and D of H = U D U^T, from the last row up.
void factorize(const std::vector<float>& square, int64_t n, std::vector<float>& upper, std::vector<float>& diagonal) {
  std::vector<double> rest(square.begin(), square.end());  // H less what the rows below explain
  upper.assign(square.size(), 0);
  diagonal.assign(static_cast<size_t>(n), 0);
  std::vector<double> column(static_cast<size_t>(n));
  for (int64_t k = n - 1; k >= 0; --k) {
    const double pivot = std::max(rest[static_cast<size_t>(k * n + k)], 1e-9);
    diagonal[static_cast<size_t>(k)] = static_cast<float>(pivot);
    upper[static_cast<size_t>(k * n + k)] = 1;
    for (int64_t j = 0; j < k; ++j) {
      column[static_cast<size_t>(j)] = rest[static_cast<size_t>(k * n + j)] / pivot;
      upper[static_cast<size_t>(j * n + k)] = static_cast<float>(column[static_cast<size_t>(j)]);
    }
    for (int64_t i = 0; i < k; ++i) {
      const double factor = column[static_cast<size_t>(i)] * pivot;
      double* row = rest.data() + i * n;
      for (int64_t j = 0; j <= i; ++j) row[j] -= factor * column[static_cast<size_t>(j)];
    }
  }
}

// The levels that a group's codes stand for, in units of its scale.
struct GroupGrid {
  float scale = 0;
  float lo = 0, hi = 0;
  bool e2m1 = false;

  float nearest(float weight) const {
    // What a damaged calibration makes of a weight may be no number.
    if (scale <= 0 || !std::isfinite(weight)) return 0;
    if (e2m1) return from_e2m1(to_e2m1(weight / scale));
    return std::clamp(std::nearbyint(weight / scale), lo, hi);
  }
};

int offset_of(Format format, const RowCodes& row, size_t group) {
  switch (format) {
    case Format::kQ8:
    case Format::kExpertsInt8:
      return 128;
    case Format::kMxfp4:
      return 0;
    default:
      return row.zeros.empty() ? 1 << (code_bits(format) - 1) : row.zeros[group];
  }
}

bool has_steps(Format format) {
  return format == Format::kQ4 || format == Format::kQ5 || format == Format::kQ6;
}

}  // namespace

// One block of one row.
class ErrorFeedback::Rounder {
 public:
  Rounder(Format format, const Block& block, int64_t index, const float* weights, RowCodes& row)
      : format_(format), block_(block), index_(index), n_(static_cast<int64_t>(block.conditional.size())), row_(row) {
    std::copy_n(weights, n_, weights_.begin());
  }

  void run() {
    Choice best = stored();
    descend(best);
    keep_better(best, fed_back(best));
    // With all integers given, least squares has the best scale; with another scale, other integers may be better.
    for (int round = 0; has_steps(format_) && round < 2; ++round) {
      Choice moved = best;
      if (!fit_scale(moved)) break;
      for (int64_t k = 0; k < n_; ++k) moved.levels[at(k)] = grid_of(moved, k / kGroup).nearest(weights_[at(k)]);
      if (!keep_better(best, fed_back(moved))) break;
    }
    store(best);
  }

 private:
  struct Choice {
    float scale = 0;                         // of the block, where there are steps
    std::array<float, kBlockGroups> scales;  // of each group, where there are none
    std::array<int, kBlockGroups> steps{}, zeros{};
    std::array<float, kBlock> levels{};
    double error = std::numeric_limits<double>::infinity();
  };

  static size_t at(int64_t i) { return static_cast<size_t>(i); }
  size_t group_in_row(int64_t g) const { return at(index_ * kBlockGroups + g); }
  int most() const { return (1 << code_bits(format_)) - 1; }

  GroupGrid grid_of(const Choice& choice, int64_t g) const {
    if (!has_steps(format_)) {
      if (format_ == Format::kMxfp4) return {choice.scales[at(g)], 0, 0, true};
      return {choice.scales[at(g)], -127, 127};
    }
    return {choice.scale * static_cast<float>(choice.steps[at(g)]), static_cast<float>(-choice.zeros[at(g)]),
            static_cast<float>(most() - choice.zeros[at(g)])};
  }

  Choice stored() const {
    Choice choice;
    if (has_steps(format_)) choice.scale = row_.scales[at(index_)];
    for (int64_t g = 0; g < n_ / kGroup; ++g) {
      const size_t group = group_in_row(g);
      choice.zeros[at(g)] = offset_of(format_, row_, group);
      if (has_steps(format_))
        choice.steps[at(g)] = row_.steps[group];
      else
        choice.scales[at(g)] = row_.scales[format_ == Format::kExpertsInt8 ? 0 : group];
      for (int64_t k = g * kGroup; k < (g + 1) * kGroup; ++k) {
        const uint8_t code = row_.codes[at(index_ * kBlock + k)];
        choice.levels[at(k)] =
            format_ == Format::kMxfp4 ? from_e2m1(code) : static_cast<float>(code - choice.zeros[at(g)]);
      }
    }
    return choice;
  }

  void store(const Choice& choice) {
    if (has_steps(format_)) row_.scales[at(index_)] = choice.scale;
    for (int64_t g = 0; g < n_ / kGroup; ++g) {
      const size_t group = group_in_row(g);
      if (has_steps(format_)) row_.steps[group] = static_cast<uint8_t>(choice.steps[at(g)]);
      if (!row_.zeros.empty()) row_.zeros[group] = static_cast<uint8_t>(choice.zeros[at(g)]);
      for (int64_t k = g * kGroup; k < (g + 1) * kGroup; ++k)
        row_.codes[at(index_ * kBlock + k)] =
            format_ == Format::kMxfp4
                ? to_e2m1(choice.levels[at(k)])
                : static_cast<uint8_t>(static_cast<int>(choice.levels[at(k)]) + choice.zeros[at(g)]);
    }
  }

  // Rounds from the first weight to the last, each where it cancels the errors before it, then descends.
  Choice fed_back(Choice choice) const {
    std::array<float, kBlock> target = weights_;
    for (int64_t k = 0; k < n_; ++k) {
      if (k % kGroup == 0 && has_steps(format_)) choose_grid(choice, k / kGroup, target.data() + k);
      const GroupGrid grid = grid_of(choice, k / kGroup);
      const float level = grid.nearest(target[at(k)]);
      choice.levels[at(k)] = level;
      add_scaled(target.data() + k + 1, block_.feedback.data() + k * n_ + k + 1, weights_[at(k)] - level * grid.scale,
                 n_ - k - 1);
    }
    descend(choice);
    return choice;
  }

  // The errors so far have moved what a group should be: the steps beside its own, and all zero points.
  void choose_grid(Choice& choice, int64_t g, const float* target) const {
    const int bits = static_cast<int>(code_bits(format_));
    const int most_steps = 1 << (8 - bits), own = choice.steps[at(g)];
    const bool zeros = format_ == Format::kQ4;
    float least = std::numeric_limits<float>::infinity();
    if (choice.scale <= 0) return;
    for (int step = std::max(1, own - 1); step <= std::min(most_steps, own + 1); ++step)
      for (int zero = zeros ? 6 : choice.zeros[at(g)]; zero <= (zeros ? 9 : choice.zeros[at(g)]); ++zero) {
        if (step * zero > 128 || step * (most() - zero) > 127) continue;
        const float error = rounding_error(
            target, block_.conditional.data() + g * kGroup,
            {choice.scale * static_cast<float>(step), static_cast<float>(-zero), static_cast<float>(most() - zero)});
        if (error < least) {
          least = error;
          choice.steps[at(g)] = step;
          choice.zeros[at(g)] = zero;
        }
      }
  }

  // One weight after the other goes to the level that is best while the others stay, until none moves.
  void descend(Choice& choice) const {
    std::array<float, kBlock> errors{}, pull{};  // e, H e
    for (int64_t k = 0; k < n_; ++k) {
      errors[at(k)] = weights_[at(k)] - choice.levels[at(k)] * grid_of(choice, k / kGroup).scale;
      if (errors[at(k)] != 0) add_scaled(pull.data(), block_.moments.data() + k * n_, errors[at(k)], n_);
    }
    constexpr int kSweeps = 6;
    bool moved = true;
    for (int sweep = 0; sweep < kSweeps && moved; ++sweep) {
      moved = false;
      for (int64_t g = 0; g < n_ / kGroup; ++g) {
        const GroupGrid grid = grid_of(choice, g);
        for (int64_t k = g * kGroup; k < (g + 1) * kGroup; ++k) {
          const float moment = block_.moments[at(k * n_ + k)];
          const float level = grid.nearest(weights_[at(k)] - errors[at(k)] + pull[at(k)] / moment);
          if (level == choice.levels[at(k)]) continue;
          const float error = weights_[at(k)] - level * grid.scale;
          add_scaled(pull.data(), block_.moments.data() + k * n_, error - errors[at(k)], n_);
          errors[at(k)] = error;
          choice.levels[at(k)] = level;
          moved = true;
        }
      }
    }
    choice.error = 0;
    for (int64_t k = 0; k < n_; ++k) choice.error += static_cast<double>(errors[at(k)]) * pull[at(k)];
  }

  static bool keep_better(Choice& best, const Choice& other) {
    if (!(other.error < best.error)) return false;
    best = other;
    return true;
  }

  bool fit_scale(Choice& choice) const {
    std::array<float, kBlock> pull{};
    for (int64_t k = 0; k < n_; ++k) {
      const float level = choice.levels[at(k)] * static_cast<float>(choice.steps[at(k / kGroup)]);
      if (level != 0) add_scaled(pull.data(), block_.moments.data() + k * n_, level, n_);
    }
    double product = 0, square = 0;
    for (int64_t k = 0; k < n_; ++k) {
      product += static_cast<double>(weights_[at(k)]) * pull[at(k)];
      square += static_cast<double>(choice.levels[at(k)]) * choice.steps[at(k / kGroup)] * pull[at(k)];
    }
    if (!(square > 0) || !(product > 0)) return false;
    const float scale = to_float(to_float16(static_cast<float>(product / square)));
    if (!(scale > 0) || scale == choice.scale || !std::isfinite(scale)) return false;
    choice.scale = scale;
    return true;
  }

  Format format_;
  const Block& block_;
  int64_t index_, n_;
  RowCodes& row_;
  std::array<float, kBlock> weights_{};
};

ErrorFeedback::ErrorFeedback(int64_t inputs, std::span<const float> moments, std::span<const float> factors,
                             ThreadPool& threads)
    : inputs_(inputs), blocks_(static_cast<size_t>(block_count(inputs))) {
  MM_CHECK(static_cast<int64_t>(moments.size()) == block_count(inputs) * kTriangle, "error feedback: ", moments.size(),
           " moments, expected ", block_count(inputs) * kTriangle, " for ", inputs, " inputs");
  MM_CHECK(factors.empty() || static_cast<int64_t>(factors.size()) == inputs, "error feedback: ", factors.size(),
           " factors, expected ", inputs);
  threads.parallel_for(block_count(inputs), 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t real = std::min(kBlock, inputs - b * kBlock), n = padded_inputs(real);
      Block& block = blocks_[static_cast<size_t>(b)];
      block.moments = square_of(moments.data() + b * kTriangle, factors.empty() ? nullptr : factors.data() + b * kBlock,
                                real, n, block.mean);
      for (int64_t k = 0; k < n; ++k) block.moments[static_cast<size_t>(k * n + k)] += static_cast<float>(kDamping);
      factorize(block.moments, n, block.feedback, block.conditional);
    }
  });
}

void ErrorFeedback::improve(Format format, const float* weights, RowCodes& row) const {
  std::array<float, kBlock> padded{};
  for (size_t b = 0; b < blocks_.size(); ++b) {
    const auto index = static_cast<int64_t>(b);
    padded.fill(0);
    std::copy_n(weights + index * kBlock, std::min(kBlock, inputs_ - index * kBlock), padded.begin());
    Rounder(format, blocks_[b], index, padded.data(), row).run();
  }
}

double ErrorFeedback::output_error(const float* weights, const float* rounded) const {
  double error = 0;
  for (size_t b = 0; b < blocks_.size(); ++b) {
    const auto first = static_cast<int64_t>(b) * kBlock;
    const Block& block = blocks_[b];
    const auto n = static_cast<int64_t>(block.conditional.size());
    const int64_t real = std::min(kBlock, inputs_ - first);
    std::array<float, kBlock> pull{};
    for (int64_t k = 0; k < real; ++k)
      add_scaled(pull.data(), block.moments.data() + k * n, weights[first + k] - rounded[first + k], n);
    double sum = 0;
    for (int64_t k = 0; k < real; ++k)
      sum += static_cast<double>(weights[first + k] - rounded[first + k]) * pull[static_cast<size_t>(k)];
    error += block.mean * sum;
  }
  return error;
}

}  // namespace minimax::quant
