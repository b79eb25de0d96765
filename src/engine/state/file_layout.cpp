#include "engine/state/file_layout.h"

#include <algorithm>

namespace minimax::engine {
namespace {

/// [1, heads, rows, columns] -> [1, heads, columns, rows]
Tensor transposed(const Tensor& x) {
  const int64_t heads = x.dim(1), rows = x.dim(2), columns = x.dim(3);
  const Tensor out = Tensor::empty({1, heads, columns, rows}, DType::kFloat32);
  for (int64_t head = 0; head < heads; ++head) {
    const float* from = x.data<float>() + head * rows * columns;
    float* to = out.data<float>() + head * rows * columns;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column) to[column * rows + row] = from[row * columns + column];
  }
  return out;
}

Tensor in_file(const Tensor& x, bool keys) {
  if (!x.defined() || !x.memory()) return x;
  const Tensor host = to_float32(to_host(x));
  return keys ? transposed(host) : host;
}

Tensor rounded(const Tensor& x) {
  const Tensor out = Tensor::empty(x.shape(), DType::kBFloat16);
  std::transform(x.span<float>().begin(), x.span<float>().end(), out.data<bfloat16>(),
                 [](float value) { return to_bfloat16(value); });
  return out;
}

}  // namespace

Snapshot in_file_layout(const Snapshot& snapshot) {
  Snapshot out = snapshot;
  for (LightningSlots& slot : out.state.layers)
    slot = {in_file(slot.state, false), in_file(slot.k_window, true), in_file(slot.v_window, false)};
  for (std::vector<KvPages>& pages : out.pages)
    for (KvPages& page : pages) page = {in_file(page.k, true), in_file(page.v, false)};
  return out;
}

Tensor in_cache_layout(const Tensor& x, const Tensor& pool, bool keys) {
  if (x.memory() || !pool.memory()) return x;
  const Tensor there = keys ? transposed(x) : x;
  return pool.dtype() == DType::kBFloat16 ? rounded(there) : there;
}

}  // namespace minimax::engine
