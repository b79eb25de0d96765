#include "core/tape.h"

namespace minimax {

const Tensor* Gradients::find(const Tensor& x) const {
  const auto found = by_address_.find(x.raw());
  return found == by_address_.end() ? nullptr : &found->second.value;
}

Tensor Gradients::take(const Tensor& x) {
  const auto found = by_address_.find(x.raw());
  if (found == by_address_.end()) return {};
  Tensor dx = std::move(found->second.value);
  by_address_.erase(found);
  return dx;
}

void Gradients::add(const Tensor& x, const Tensor& dx) {
  MM_CHECK(dx.elements() == x.elements(), "gradient ", dx.shape(), " of a tensor ", x.shape());
  MM_CHECK_DTYPE(dx, DType::kFloat32);
  if (by_address_.try_emplace(x.raw(), Sum{dx.view(x.shape()), false}).second) return;
  const Tensor total = accumulator(x);
  if (total.memory()) {
    total.memory()->add(static_cast<float*>(total.raw()), static_cast<const float*>(dx.raw()), x.elements());
    return;
  }
  float* sum = total.data<float>();
  const float* more = dx.data<float>();
  for (int64_t i = 0; i < x.elements(); ++i) sum[i] += more[i];
}

Tensor Gradients::accumulator(const Tensor& x) {
  const auto [place, is_first] = by_address_.try_emplace(x.raw());
  Sum& sum = place->second;
  if (is_first) sum = {Tensor::zeros(x.shape(), DType::kFloat32, x.memory()), true};
  MM_CHECK(sum.value.elements() == x.elements(), "gradient ", sum.value.shape(), " of a tensor ", x.shape());
  if (!sum.own) {
    const Tensor before = sum.value;
    sum = {Tensor::empty(x.shape(), DType::kFloat32, x.memory()), true};
    copy_bytes(before, sum.value);
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

Tensor checkpoint(Context& ctx, std::function<Tensor(Context& ctx)> forward) {
  Context untaped = ctx;
  untaped.tape = nullptr;
  const Tensor out = forward(untaped);
  if (ctx.tape)
    ctx.tape->record([out, forward = std::move(forward)](Context& ctx, Gradients& d) {
      const Tensor dout = d.take(out);
      if (!dout.defined()) return;
      Tape tape;
      Context taped = ctx;
      taped.tape = &tape;
      const Tensor again = forward(taped);
      d.add(again, dout);
      tape.backward(taped, d);
    });
  return out;
}

}  // namespace minimax
