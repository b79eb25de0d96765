// The squared error of rounding a group of weights to a grid: what the search for scales asks millions of times.
#pragma once

#include <cstdint>

namespace minimax::quant {

/// Codes lo..hi times a scale.
struct Grid {
  float scale;  ///< above 0
  float lo, hi;
};

/// sum over 32 weights of importance * (w - scale * clamp(round(w / scale), lo, hi))^2. Halves go to the even integer.
/// |w / scale| is below 2^22. The same bits on every processor.
float rounding_error(const float* weights, const float* importance, Grid grid);

/// The same for microscaling: the error of the nearest values of E2M1 times `scale`.
float e2m1_error(const float* weights, const float* importance, float scale);

/// The code of the value of E2M1 nearest to x; of two as near, the one whose last bit is 0. Beyond 6: 6.
uint8_t to_e2m1(float x);

}  // namespace minimax::quant
