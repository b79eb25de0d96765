#include "core/tape.h"

#include <cstring>

namespace minimax {

const Tensor* Gradients::find(const Tensor& x) const {
  const auto found = by_address_.find(x.raw());
  return found == by_address_.end() ? nullptr : &found->second.value;
}

void Gradients::add(const Tensor& x, const Tensor& dx) {
  MM_CHECK(dx.elements() == x.elements(), "gradient ", dx.shape(), " of a tensor ", x.shape());
  const auto [place, is_first] = by_address_.try_emplace(x.raw(), Sum{dx.view(x.shape()), false});
  if (is_first) return;
  float* sum = accumulator(x).data<float>();
  const float* more = dx.data<float>();
  for (int64_t i = 0; i < x.elements(); ++i) sum[i] += more[i];
}

Tensor Gradients::accumulator(const Tensor& x) {
  Sum& sum = by_address_[x.raw()];
  if (!sum.own) {
    const Tensor before = sum.value;
    sum.value = Tensor::zeros(x.shape(), DType::kFloat32);
    sum.own = true;
    if (before.defined()) std::memcpy(sum.value.raw(), before.raw(), static_cast<size_t>(before.bytes()));
  }
  return sum.value;
}

void Tape::backward(Context& ctx, Gradients& d) {
  Context untaped = ctx;
  untaped.tape = nullptr;
  while (!steps_.empty()) {
    const Backward step = std::move(steps_.back());
    steps_.pop_back();
    step(untaped, d);
  }
}

}  // namespace minimax
