#include "ops/sharded_norm.h"

#include <cmath>
#include <vector>

namespace minimax::ops {

Tensor sharded_rms_norm(const Context& ctx, comm::ProcessGroup& group, const Tensor& x, const Tensor& weight,
                        float eps) {
  MM_CHECK_DTYPE(x, DType::kFloat32);
  MM_CHECK_DTYPE(weight, DType::kFloat32);
  MM_CHECK(weight.rank() == 1 && x.rank() >= 1 && weight.dim(0) == x.dim(-1), "sharded_rms_norm: weight ",
           weight.shape(), " for x ", x.shape());
  MM_CHECK(ctx.device == Device::kCpu && !ctx.tape, "sharded_rms_norm: on a GPU or with a tape, expected neither");
  int64_t rows = 1;
  for (int64_t axis = 0; axis + 1 < x.rank(); ++axis) rows *= x.dim(axis);
  const int64_t width = x.dim(-1);

  // How many rows the others have comes first: sums over lists of different lengths would hang or mix rows.
  const auto all_rows = comm::all_gather<int64_t>(group, std::span(&rows, 1));
  for (const int64_t others : all_rows)
    MM_CHECK(others == rows, "sharded_rms_norm: ", rows, " rows in process ", group.rank(), ", ", others,
             " in another, expected the same");
  std::vector<double> sums(static_cast<size_t>(rows) + 1);  // of squares, for each row; then the width
  const float* const in = x.data<float>();
  for (int64_t row = 0; row < rows; ++row) {
    double sum = 0;
    for (int64_t i = 0; i < width; ++i) {
      const auto value = static_cast<double>(in[row * width + i]);
      sum += value * value;
    }
    sums[static_cast<size_t>(row)] = sum;
  }
  sums.back() = static_cast<double>(width);
  group.all_reduce_sum(std::span<double>(sums));

  Tensor out = ctx.empty(x.shape());
  float* const to = out.data<float>();
  for (int64_t row = 0; row < rows; ++row) {
    const double mean = sums[static_cast<size_t>(row)] / std::max(sums.back(), 1.0);
    const auto scale = static_cast<float>(1 / std::sqrt(mean + static_cast<double>(eps)));
    for (int64_t i = 0; i < width; ++i) to[row * width + i] = in[row * width + i] * scale * weight.data<float>()[i];
  }
  return out;
}

}  // namespace minimax::ops
