#include "quant/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/dtype.h"
#include "core/error.h"
#include "quant/rounding_error.h"

namespace minimax::quant {
namespace {

// A row, padded with zeros to whole groups.
struct Row {
  std::vector<float> weights;
  std::vector<float> importance;  // 0 in the padding

  const float* group(int64_t index) const { return weights.data() + index * kGroup; }
  const float* importance_of(int64_t index) const { return importance.data() + index * kGroup; }
};

float largest(const float* weights, int64_t count) {
  float most = 0;
  for (int64_t k = 0; k < count; ++k) most = std::max(most, std::fabs(weights[k]));
  return most;
}

// Of a scale above 0 the result is above 0 too: the smallest float16 rather than weights that vanish.
float as_float16(float scale) {
  MM_CHECK(scale <= 65504.0f, "a scale of ", scale,
           " is more than float16 holds: the weights are too large to quantize");
  return scale > 0 ? std::max(to_float(to_float16(scale)), 0x1p-24f) : 0.0f;
}

int nearest(float x, int lo, int hi) {
  return static_cast<int>(std::clamp(std::nearbyint(x), static_cast<float>(lo), static_cast<float>(hi)));
}

uint8_t code_of(float weight, float scale, int zero, int most) {
  return static_cast<uint8_t>(scale > 0 ? nearest(weight / scale, -zero, most - zero) + zero : zero);
}

// q8 and experts-int8 ----------------------------------------------------------------------------------------------

constexpr int kMostInt8 = 127;  // -128 is not used: the grid is the same on both sides of zero

float int8_error(const Row& row, int64_t first_group, int64_t groups, float scale) {
  if (scale <= 0) return std::numeric_limits<float>::infinity();
  float error = 0;
  for (int64_t g = first_group; g < first_group + groups; ++g)
    error += rounding_error(row.group(g), row.importance_of(g), {scale, -kMostInt8, kMostInt8});
  return error;
}

// The scale of int8 codes for some groups. Cutting off the largest magnitude a little can pay when there are many
// weights; with few, it is luck how they fall on the grid, which is worth as much.
float int8_scale(const Row& row, int64_t first_group, int64_t groups, Rounding rounding, bool float16_scale) {
  const float most = largest(row.group(first_group), groups * kGroup);
  const auto stored = [&](float scale) { return float16_scale ? as_float16(scale) : scale; };
  float best = stored(most / kMostInt8);
  if (rounding == Rounding::kNearest || most == 0) return best;
  float least = int8_error(row, first_group, groups, best);
  const int tries = groups > 1 ? 24 : 6;
  const float range = groups > 1 ? 0.4f : 0.04f;
  for (int i = 1; i <= tries; ++i) {
    const float scale = stored(most / kMostInt8 * (1 - range * static_cast<float>(i) / static_cast<float>(tries)));
    const float error = int8_error(row, first_group, groups, scale);
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

void encode_int8(Format format, const Row& row, int64_t groups, Rounding rounding, RowCodes& out) {
  const bool of_row = format == Format::kExpertsInt8;
  if (of_row) out.scales[0] = int8_scale(row, 0, groups, rounding, false);
  for (int64_t g = 0; g < groups; ++g) {
    if (!of_row) out.scales[static_cast<size_t>(g)] = int8_scale(row, g, 1, rounding, true);
    const float scale = out.scales[of_row ? 0 : static_cast<size_t>(g)];
    for (int64_t k = g * kGroup; k < (g + 1) * kGroup; ++k) {
      const float weight = row.weights[static_cast<size_t>(k)];
      out.codes[static_cast<size_t>(k)] =
          static_cast<uint8_t>(scale > 0 ? nearest(weight / scale, -kMostInt8, kMostInt8) + 128 : 128);
    }
  }
}

// mxfp4 ------------------------------------------------------------------------------------------------------------

void encode_mxfp4(const Row& row, int64_t groups, Rounding rounding, RowCodes& out) {
  for (int64_t g = 0; g < groups; ++g) {
    const float* weights = row.group(g);
    const float most = largest(weights, kGroup);
    if (most == 0) continue;  // zero_row has its codes
    // The standard's choice: the largest magnitude gets the largest exponent of E2M1, which is 2.
    const int standard = std::clamp(std::ilogb(most) - 2, -127, 127);
    float scale = std::ldexp(1.0f, standard);
    if (rounding == Rounding::kBest) {
      float least = e2m1_error(weights, row.importance_of(g), scale);
      for (const int exponent : {standard - 1, standard + 1}) {
        if (exponent < -126 || exponent > 127) continue;
        const float other = std::ldexp(1.0f, exponent);
        const float error = e2m1_error(weights, row.importance_of(g), other);
        if (error < least) {
          least = error;
          scale = other;
        }
      }
    }
    out.scales[static_cast<size_t>(g)] = scale;
    for (int64_t k = 0; k < kGroup; ++k) out.codes[static_cast<size_t>(g * kGroup + k)] = to_e2m1(weights[k] / scale);
  }
}

// q6, q5 and q4: code - zero, times a step for each group, times a scale for each block ------------------------------

struct StepGrid {
  int most;        // the largest code
  int most_steps;  // step * (code - zero) stays inside int8
  int first_zero, last_zero;

  bool allows(int step, int zero) const { return step * zero <= 128 && step * (most - zero) <= 127; }
  Grid grid(float scale, int zero) const { return {scale, static_cast<float>(-zero), static_cast<float>(most - zero)}; }
};

StepGrid step_grid(Format format) {
  const int bits = static_cast<int>(code_bits(format));
  const int half = 1 << (bits - 1);
  const bool zeros = format == Format::kQ4;
  return {2 * half - 1, 1 << (8 - bits), zeros ? 6 : half, zeros ? 9 : half};
}

// How one group of a block is rounded.
struct GroupChoice {
  int step = 1;
  int zero = 8;
  float error = std::numeric_limits<float>::infinity();
};

class BlockEncoder {
 public:
  BlockEncoder(Format format, const Row& row, int64_t first_group, int64_t groups)
      : grid_(step_grid(format)), row_(row), first_(first_group), groups_(groups) {}

  void encode(Rounding rounding, RowCodes& out) {
    choose(rounding);
    write(out);
    if (rounding == Rounding::kBest && scale_ > 0 && refine(out)) write(out);
    out.scales[static_cast<size_t>(first_ / kBlockGroups)] = scale_;
  }

 private:
  const float* weights(int64_t g) const { return row_.group(first_ + g); }
  const float* importance(int64_t g) const { return row_.importance_of(first_ + g); }

  void choose(Rounding rounding) {
    choices_.assign(static_cast<size_t>(groups_), {1, (grid_.most + 1) / 2, 0});
    const float most = largest(weights(0), groups_ * kGroup);
    if (most == 0) return;
    const int half = (grid_.most + 1) / 2;
    if (rounding == Rounding::kNearest) {
      scale_ = as_float16(most / static_cast<float>((half - 1) * grid_.most_steps));
      for (int64_t g = 0; g < groups_; ++g)
        choices_[static_cast<size_t>(g)].step = nearest(
            std::ceil(largest(weights(g), kGroup) / (static_cast<float>(half - 1) * scale_)), 1, grid_.most_steps);
      return;
    }
    wanted_.clear();
    for (int64_t g = 0; g < groups_; ++g) wanted_.push_back(wanted_scale(g));
    const float widest = *std::max_element(wanted_.begin(), wanted_.end()) / static_cast<float>(grid_.most_steps);
    float least = std::numeric_limits<float>::infinity();
    // The group with the widest grid takes about the largest step; how the others fall on their steps decides. Where
    // there are few steps, that matters more.
    const int tries = grid_.most_steps > 8 ? 8 : 16;
    for (int i = 0; i < tries; ++i) {
      const float scale = as_float16(widest * (0.92f + 0.32f * static_cast<float>(i) / static_cast<float>(tries)));
      float error = 0;
      std::vector<GroupChoice> choices;
      for (int64_t g = 0; g < groups_ && error < least; ++g) {
        choices.push_back(choose_group(g, scale));
        error += choices.back().error;
      }
      if (error < least) {
        least = error;
        scale_ = scale;
        choices_ = std::move(choices);
      }
    }
  }

  // The scale that this group would have if it were free.
  float wanted_scale(int64_t g) const {
    const float most = largest(weights(g), kGroup);
    if (most == 0) return 0;
    float best = 0;
    float least = std::numeric_limits<float>::infinity();
    for (int i = 0; i < 9; ++i) {
      const float scale = most / static_cast<float>((grid_.most + 1) / 2) * (0.72f + 0.05f * static_cast<float>(i));
      if (scale < 1e-30f) continue;  // its inverse would overflow; nothing is lost at that size
      for (int zero = grid_.first_zero; zero <= grid_.last_zero; ++zero) {
        const float error = rounding_error(weights(g), importance(g), grid_.grid(scale, zero));
        if (error < least) {
          least = error;
          best = scale;
        }
      }
    }
    return best;
  }

  // The best of the two or three steps around the scale that the group wants.
  GroupChoice choose_group(int64_t g, float scale) const {
    GroupChoice best;
    best.zero = (grid_.most + 1) / 2;
    const int below = std::max(1, static_cast<int>(std::floor(wanted_[static_cast<size_t>(g)] / scale)));
    for (int step = std::min(below, grid_.most_steps - 1); step <= std::min(below + 1, grid_.most_steps); ++step) {
      for (int zero = grid_.first_zero; zero <= grid_.last_zero; ++zero) {
        if (!grid_.allows(step, zero)) continue;
        const float error =
            rounding_error(weights(g), importance(g), grid_.grid(scale * static_cast<float>(step), zero));
        if (error < best.error) best = {step, zero, error};
      }
    }
    return best;
  }

  // With all integers given, the best scale is that of least squares; with the scale moved, codes may move too. True
  // when the error became smaller.
  bool refine(const RowCodes& codes) {
    double product = 0, square = 0;
    float before = 0;
    for (int64_t g = 0; g < groups_; ++g) {
      const GroupChoice& choice = choices_[static_cast<size_t>(g)];
      before += choice.error;
      for (int64_t k = 0; k < kGroup; ++k) {
        const int code = codes.codes[static_cast<size_t>((first_ + g) * kGroup + k)];
        const double level = choice.step * (code - choice.zero);
        product += static_cast<double>(importance(g)[k]) * weights(g)[k] * level;
        square += static_cast<double>(importance(g)[k]) * level * level;
      }
    }
    if (square == 0 || product <= 0) return false;
    const float scale = as_float16(static_cast<float>(product / square));
    if (scale <= 0 || scale == scale_) return false;
    float after = 0;
    for (int64_t g = 0; g < groups_; ++g) {
      const GroupChoice& choice = choices_[static_cast<size_t>(g)];
      after +=
          rounding_error(weights(g), importance(g), grid_.grid(scale * static_cast<float>(choice.step), choice.zero));
    }
    if (after >= before) return false;
    scale_ = scale;
    return true;
  }

  void write(RowCodes& out) const {
    for (int64_t g = 0; g < groups_; ++g) {
      const GroupChoice& choice = choices_[static_cast<size_t>(g)];
      const auto place = static_cast<size_t>(first_ + g);
      out.steps[place] = static_cast<uint8_t>(choice.step);
      if (!out.zeros.empty()) out.zeros[place] = static_cast<uint8_t>(choice.zero);
      const float scale = scale_ * static_cast<float>(choice.step);
      for (int64_t k = 0; k < kGroup; ++k)
        out.codes[place * kGroup + static_cast<size_t>(k)] = code_of(weights(g)[k], scale, choice.zero, grid_.most);
    }
  }

  StepGrid grid_;
  const Row& row_;
  int64_t first_, groups_;
  float scale_ = 0;
  std::vector<float> wanted_;
  std::vector<GroupChoice> choices_;
};

}  // namespace

RowCodes encode_row(Format format, int64_t inputs, const float* weights, const float* importance, Rounding rounding,
                    const ErrorFeedback* feedback) {
  const auto padded = static_cast<size_t>(padded_inputs(inputs));
  Row row{std::vector<float>(padded, 0.0f), std::vector<float>(padded, 0.0f)};
  float most_important = 0;
  for (int64_t k = 0; k < inputs; ++k) {
    MM_CHECK(std::isfinite(weights[k]), "weight ", k, " of a row is ", weights[k], ", expected a finite number");
    if (importance) most_important = std::max(most_important, importance[k]);
  }
  std::copy(weights, weights + inputs, row.weights.begin());
  for (int64_t k = 0; k < inputs; ++k) {
    // An input that was never active still counts a little: the next text may use it.
    row.importance[static_cast<size_t>(k)] =
        importance && most_important > 0 ? importance[k] / most_important + 1e-6f : 1.0f;
  }

  RowCodes out = zero_row(format, inputs);
  const int64_t groups = group_count(inputs);
  switch (format) {
    case Format::kQ8:
    case Format::kExpertsInt8:
      encode_int8(format, row, groups, rounding, out);
      break;
    case Format::kMxfp4:
      encode_mxfp4(row, groups, rounding, out);
      break;
    default:
      for (int64_t first = 0; first < groups; first += kBlockGroups)
        BlockEncoder(format, row, first, std::min(kBlockGroups, groups - first)).encode(rounding, out);
  }
  if (feedback) feedback->improve(format, weights, out);
  return out;
}

void quantize_panel(Format format, int64_t inputs, int64_t rows, const float* weights, const float* importance,
                    Rounding rounding, std::byte* panel, const ErrorFeedback* feedback) {
  std::memset(panel, 0, static_cast<size_t>(panel_bytes(format, inputs)));
  for (int64_t row = 0; row < kPanelRows; ++row)
    pack_row(format, inputs,
             row < rows ? encode_row(format, inputs, weights + row * inputs, importance, rounding, feedback)
                        : zero_row(format, inputs),
             row, panel);
}

void quantize_matrix(Format format, int64_t outputs, int64_t inputs, const RowReader& read, const float* importance,
                     Rounding rounding, ThreadPool& threads, std::byte* packed) {
  const int64_t stride = panel_bytes(format, inputs);
  threads.parallel_for(panel_count(outputs), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> weights(static_cast<size_t>(kPanelRows * inputs));
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t first = panel * kPanelRows;
      const int64_t rows = std::min(kPanelRows, outputs - first);
      read(first, rows, weights.data());
      quantize_panel(format, inputs, rows, weights.data(), importance, rounding, packed + panel * stride);
    }
  });
}

}  // namespace minimax::quant
