// Gradients of ops against derivatives of the float64 references by a complex step.
//
// With the loss sum(y * u) of random u, the derivative of the reference in a random direction r is
// imag(loss(x + i h r)) / h, exact but for float64 rounding. If e is the error of a gradient, <e, r> has mean 0 and
// variance |e|^2 over normal r: a few directions tell the Frobenius error of the whole tensor, where coordinates one by
// one would take an evaluation each.
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <map>
#include <vector>

#include "core/tape.h"
#include "ops/test_targets.h"

namespace minimax::test {

using Complex = std::complex<double>;
using ComplexMatrix = reference::Matrix<Complex>;

constexpr int kDirections = 6;
constexpr double kStep = 1e-30;

inline ComplexMatrix complex_of(const Matrix& x) {
  ComplexMatrix out(x.rows, x.columns);
  std::copy(x.values.begin(), x.values.end(), out.values.begin());
  return out;
}

/// The derivatives of sum(y * u), y = reference(inputs), in random directions of each input.
class Derivatives {
 public:
  /// reference: std::vector<ComplexMatrix> -> ComplexMatrix.
  template <typename Reference>
  Derivatives(const std::vector<Tensor>& inputs, const Reference& reference) : rng_(11) {
    std::vector<ComplexMatrix> point;
    for (const Tensor& input : inputs) point.push_back(complex_of(exact(input)));
    const ComplexMatrix y = reference(point);
    u_ = Tensor::empty({y.rows, y.columns}, DType::kFloat32);
    for (float& value : u_.span<float>()) value = static_cast<float>(rng_.normal());
    for (ComplexMatrix& input : point) {
      const ComplexMatrix before = input;
      std::vector<Direction> directions(kDirections);
      for (Direction& direction : directions) {
        for (size_t i = 0; i < input.values.size(); ++i) {
          direction.r.push_back(rng_.normal());
          input.values[i] = before.values[i] + Complex(0, kStep * direction.r.back());
        }
        const ComplexMatrix moved = reference(point);
        for (size_t i = 0; i < moved.values.size(); ++i)
          direction.slope += std::imag(moved.values[i]) / kStep * static_cast<double>(u_.data<float>()[i]);
      }
      input = before;
      directions_.push_back(std::move(directions));
    }
  }

  /// The loss's gradient at y: what to start the backward with.
  const Tensor& u() const { return u_; }

  /// Frobenius error of the gradient of input `index` relative to its norm, both as estimated from the directions; the
  /// norm counts as 1 at least, for gradients that cancel (inputs and u are of size 1).
  double error(size_t index, const Tensor& gradient) const {
    double errors = 0, squares = 0;
    for (const Direction& direction : directions_[index]) {
      EXPECT_EQ(gradient.elements(), static_cast<int64_t>(direction.r.size()));
      double slope = 0;
      for (size_t i = 0; i < direction.r.size(); ++i)
        slope += static_cast<double>(gradient.data<float>()[i]) * direction.r[i];
      errors += (slope - direction.slope) * (slope - direction.slope);
      squares += direction.slope * direction.slope;
    }
    return std::sqrt(errors) / std::max(std::sqrt(squares), 1.0);
  }

 private:
  struct Direction {
    std::vector<double> r;
    double slope = 0;
  };
  Rng rng_;
  Tensor u_;
  std::vector<std::vector<Direction>> directions_;  // of each input
};

/// d sum(y * u) of the inputs, y = op(ctx, inputs).
template <typename Op>
std::vector<Tensor> gradients_of(Context ctx, const std::vector<Tensor>& inputs, const Tensor& u, const Op& op) {
  Tape tape;
  ctx.tape = &tape;
  Gradients d;
  {
    const Tensor y = op(ctx, inputs);
    d.add(y, u);
  }
  tape.backward(ctx, d);
  EXPECT_EQ(d.size(), static_cast<int64_t>(inputs.size())) << "gradients of what was made on the way are left";
  std::vector<Tensor> out;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor* found = d.find(inputs[i]);
    EXPECT_TRUE(found) << "input " << i << " has no gradient";
    out.push_back(found ? *found : Tensor::zeros(inputs[i].shape(), DType::kFloat32));
  }
  return out;
}

/// Every instruction set's gradients within `tolerance` of the reference's, and the same bits for all team sizes.
template <typename Op, typename Reference>
void check_gradients(const std::vector<Tensor>& inputs, const Op& op, const Reference& reference, double tolerance) {
  const Derivatives derivatives(inputs, reference);
  std::map<const cpu::Kernels*, std::vector<Tensor>> first_run;
  for_each_target([&](const Context& ctx) {
    const std::vector<Tensor> got = gradients_of(ctx, inputs, derivatives.u(), op);
    const auto [before, is_first] = first_run.try_emplace(&cpu::kernels(), got);
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_LT(derivatives.error(i, got[i]), tolerance) << "gradient of input " << i << ", " << got[i].shape();
      EXPECT_TRUE(is_first || same_bits(got[i], before->second[i])) << "gradient of input " << i;
    }
  });
}

}  // namespace minimax::test
