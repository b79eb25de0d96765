#include "cpu/packed_moe.h"

#include <algorithm>
#include <cstring>

#include "cpu/isa.h"
#include "cpu/packed.h"

namespace minimax::cpu {
namespace {

/// Outputs of gate and up in a piece of work: what is quantized together.
constexpr int64_t kUnit = quant::kBlock;

struct Piece {
  int64_t expert, begin, end;  // outputs
};

/// One thread's outputs of a panel of gate and of up, [rows, kPanelRows] each.
struct PanelOutputs {
  std::vector<float> gate, up;
};

PanelOutputs& panel_outputs(int64_t rows) {
  thread_local PanelOutputs outputs;
  const auto size = static_cast<size_t>(rows * quant::kPanelRows);
  if (outputs.gate.size() < size) {
    outputs.gate.resize(size);
    outputs.up.resize(size);
  }
  return outputs;
}

const std::byte* panels_of(const Weight& weight) {
  return static_cast<const std::byte*>(weight.data.raw());
}

class PackedExperts {
 public:
  PackedExperts(const Context& ctx, const Tensor& x, const Tensor& chosen, std::span<const ExpertTensors> experts)
      : ctx_(ctx),
        experts_(experts),
        hidden_(x.dim(1)),
        ffn_(experts[0].gate->outputs()),
        order_(chosen, static_cast<int64_t>(experts.size())),
        assignments_(static_cast<int64_t>(order_.place.size())),
        in_(gather(x, chosen.dim(1))),
        h_(ctx.empty({assignments_, ffn_})),
        h_quantized_(ctx, assignments_, ffn_),
        y_(ctx.empty({assignments_, hidden_})) {
    gate_and_up();
    down();
  }

  const float* output(int64_t assignment) const { return y_.data<float>() + order_.place[assignment] * hidden_; }

 private:
  /// Each token is quantized once, and copied to where its experts find it.
  QuantizedRows gather(const Tensor& x, int64_t top_k) const {
    const QuantizedRows of_token(ctx_, x.data<float>(), x.dim(0), hidden_);
    const QuantizedRows sorted(ctx_, assignments_, hidden_);
    ctx_.threads->parallel_for(assignments_, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sorted.copy_row(of_token, i / top_k, order_.place[i]);
    });
    return sorted;
  }

  int64_t rows_of(int64_t expert) const { return order_.starts[expert + 1] - order_.starts[expert]; }

  std::vector<Piece> cut(int64_t outputs, int64_t step) const {
    std::vector<Piece> pieces;
    for (int64_t expert = 0; expert < static_cast<int64_t>(experts_.size()); ++expert)
      for (int64_t begin = 0; begin < outputs && rows_of(expert) > 0; begin += step)
        pieces.push_back({expert, begin, std::min(begin + step, outputs)});
    return pieces;
  }

  template <typename Body>
  void for_each_piece(const std::vector<Piece>& pieces, const Body& body) const {
    ctx_.threads->parallel_for(static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) body(pieces[i]);
    });
  }

  void gate_and_up() const {
    for_each_piece(cut(ffn_, kUnit), [&](const Piece& piece) {
      const ExpertTensors& expert = experts_[piece.expert];
      const int64_t first = order_.starts[piece.expert], rows = rows_of(piece.expert);
      PanelOutputs& outputs = panel_outputs(rows);
      for (int64_t begin = piece.begin; begin < piece.end; begin += quant::kPanelRows) {
        const int64_t count = std::min(quant::kPanelRows, piece.end - begin), panel = begin / quant::kPanelRows;
        multiply_panels(*expert.gate->format, panels_of(*expert.gate), hidden_, panel, count, in_, first, rows,
                        outputs.gate.data(), count);
        multiply_panels(*expert.up->format, panels_of(*expert.up), hidden_, panel, count, in_, first, rows,
                        outputs.up.data(), count);
        kernels().silu_mul(outputs.gate.data(), outputs.up.data(), rows * count, outputs.gate.data());
        for (int64_t row = 0; row < rows; ++row)
          std::memcpy(h_.data<float>() + (first + row) * ffn_ + begin, outputs.gate.data() + row * count,
                      static_cast<size_t>(count) * sizeof(float));
      }
      for (int64_t row = first; row < first + rows; ++row)
        kernels().quantize_row(h_.data<float>() + row * ffn_ + piece.begin, piece.end - piece.begin,
                               h_quantized_.codes(row) + piece.begin,
                               h_quantized_.blocks(row) + piece.begin / quant::kBlock);
    });
  }

  void down() const {
    const int64_t touched = std::count_if(experts_.begin(), experts_.end(), [&](const ExpertTensors& expert) {
      return rows_of(&expert - experts_.data()) > 0;
    });
    // A dozen pieces for each thread, or what is left of that.
    const int64_t panels = quant::panel_count(hidden_) * touched, pieces = 12 * ctx_.threads->size();
    const int64_t step = std::clamp<int64_t>(panels / pieces, 1, 8) * quant::kPanelRows;
    for_each_piece(cut(hidden_, step), [&](const Piece& piece) {
      const Weight& weight = *experts_[piece.expert].down;
      const int64_t first = order_.starts[piece.expert];
      multiply_panels(*weight.format, panels_of(weight), ffn_, piece.begin / quant::kPanelRows, piece.end - piece.begin,
                      h_quantized_, first, rows_of(piece.expert), y_.data<float>() + first * hidden_ + piece.begin,
                      hidden_);
    });
  }

  const Context& ctx_;
  std::span<const ExpertTensors> experts_;
  int64_t hidden_, ffn_;
  ExpertOrder order_;
  int64_t assignments_;
  QuantizedRows in_;           // [assignments, hidden]
  Tensor h_;                   // [assignments, ffn]
  QuantizedRows h_quantized_;  // the same
  Tensor y_;                   // [assignments, hidden] outputs, not weighted yet
};

}  // namespace

ExpertOrder::ExpertOrder(const Tensor& chosen, int64_t experts)
    : starts(static_cast<size_t>(experts) + 1, 0), place(static_cast<size_t>(chosen.elements())) {
  // Counting sort.
  const std::span<const int32_t> expert_of = chosen.span<int32_t>();
  for (const int32_t expert : expert_of) ++starts[static_cast<size_t>(expert) + 1];
  for (size_t e = 0; e < static_cast<size_t>(experts); ++e) starts[e + 1] += starts[e];
  std::vector<int64_t> next(starts.begin(), starts.end() - 1);
  for (size_t i = 0; i < place.size(); ++i) place[i] = next[static_cast<size_t>(expert_of[i])]++;
}

bool all_packed(std::span<const ExpertTensors> experts) {
  return std::all_of(experts.begin(), experts.end(), [](const ExpertTensors& expert) {
    return expert.gate->format && expert.up->format && expert.down->format;
  });
}

void packed_experts(const Context& ctx, const Tensor& x, const Tensor& chosen, const Tensor& weights,
                    std::span<const ExpertTensors> experts, const Tensor& out) {
  const PackedExperts pass(ctx, x, chosen, experts);
  const int64_t hidden = x.dim(1), top_k = chosen.dim(1);
  // The best expert first, then the next ones: one order whoever else is in the batch.
  ctx.threads->parallel_for(x.dim(0), 8, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      float* to = out.data<float>() + token * hidden;
      std::memset(to, 0, static_cast<size_t>(hidden) * sizeof(float));
      for (int64_t i = token * top_k; i < (token + 1) * top_k; ++i)
        kernels().scaled_add(weights.data<float>()[i], pass.output(i), 1.0f, to, hidden, to);
    }
  });
}

}  // namespace minimax::cpu
