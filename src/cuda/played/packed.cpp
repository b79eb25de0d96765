// Products with packed panels and what they take, weight by weight.
#include <algorithm>
#include <cmath>

#include "cuda/packed_words.h"
#include "cuda/played/played.h"

namespace minimax::cuda::played {
namespace {

using namespace packed;

template <Format kFormat>
float weight_of_row(const void* panels, int64_t inputs, int64_t row, int64_t k) {
  const auto* panel = static_cast<const unsigned char*>(panels) + row / kPanel * Layout<kFormat>::panel_bytes(inputs);
  return weight_at<kFormat>(panel, static_cast<int>(row % kPanel), k);
}
/// One weight of a matrix with `inputs` inputs.
float weight(quant::Format format, const void* panels, int64_t inputs, int64_t row, int64_t k) {
  switch (format) {
    case Format::kQ8:
      return weight_of_row<Format::kQ8>(panels, inputs, row, k);
    case Format::kExpertsInt8:
      return weight_of_row<Format::kExpertsInt8>(panels, inputs, row, k);
    case Format::kQ6:
      return weight_of_row<Format::kQ6>(panels, inputs, row, k);
    case Format::kQ5:
      return weight_of_row<Format::kQ5>(panels, inputs, row, k);
    case Format::kQ4:
      return weight_of_row<Format::kQ4>(panels, inputs, row, k);
    case Format::kMxfp4:
      return weight_of_row<Format::kMxfp4>(panels, inputs, row, k);
  }
  return std::nanf("");
}

/// Where the numbers of rows of k lie in QuantizedRows.
struct Rows {
  const QuantizedRows& of;
  int64_t k;
  int64_t groups() const { return (k + kGroup - 1) / kGroup; }
  int64_t code_at(int64_t row, int64_t part, int64_t i) const { return (row * 2 + part) * groups() * kGroup + i; }
  float& scale(int64_t row, int64_t i) const {
    const int64_t blocks = (groups() + kBlockGroups - 1) / kBlockGroups;
    return of.scales[row * blocks + i / (kGroup * kBlockGroups)];
  }
  float number(int64_t row, int64_t i) const {
    return scale(row, i) * static_cast<float>(128 * of.codes[code_at(row, 0, i)] + of.codes[code_at(row, 1, i)]);
  }
  float dot(int64_t row, quant::Format format, const void* panels, int64_t output) const {
    float sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += number(row, i) * weight(format, panels, k, output, i);
    return sum;
  }
};

void quantize(const float* x, int64_t rows, int64_t k, const QuantizedRows& out) {
  const Rows to{out, k};
  for (int64_t row = 0; row < rows; ++row) {
    std::fill_n(out.sums + row * to.groups(), to.groups(), 0);
    for (int64_t i = 0; i < to.groups() * kGroup; ++i) {
      const int64_t begin = i / 256 * 256, end = std::min(k, begin + 256);
      float largest = 0;
      for (int64_t other = begin; other < end; ++other) largest = std::max(largest, std::abs(x[row * k + other]));
      const float scale = to.scale(row, i) = largest / static_cast<float>(kLargestCode);
      const int code = i < k && scale > 0 ? static_cast<int>(std::lrint(x[row * k + i] / scale)) : 0;
      out.codes[to.code_at(row, 0, i)] = static_cast<int8_t>(high_part(code));
      out.codes[to.code_at(row, 1, i)] = static_cast<int8_t>(low_part(code));
      out.sums[row * to.groups() + i / kGroup] += code;
    }
  }
}

int64_t column_of(int64_t i) {
  return i / kGroup * kGroup + column_of_input(static_cast<int>(i % kGroup));
}

}  // namespace

Failure quantize_rows(const float* x, int64_t rows, int64_t k, const QuantizedRows& given, Stream) {
  return run([=, out = given] { quantize(x, rows, k, out); });
}
Failure packed_few_rows(const QuantizedRows& given, const void* panels, quant::Format format, float* out, int64_t rows,
                        int64_t n, int64_t k, Stream) {
  return run([=, x = given] {
    for (int64_t at = 0; at < rows * n; ++at) out[at] = Rows{x, k}.dot(at / n, format, panels, at % n);
  });
}
Failure packed_expert_rows(const PackedExpertRowsArgs& given, Stream) {
  return run([args = given] {
    const auto matrix = [&](const void* first, int64_t stride, int64_t pair) {
      return static_cast<const char*>(first) + args.chosen[pair] * stride;
    };
    const int64_t pairs = args.tokens * args.top_k;
    for (int64_t at = 0; at < pairs * args.ffn; ++at) {
      const int64_t pair = at / args.ffn, output = at % args.ffn;
      const auto dot = [&](const void* panels) {
        return Rows{args.x, args.hidden}.dot(pair / args.top_k, args.format, panels, output);
      };
      const float gate = dot(matrix(args.gate, args.gate_stride, pair));
      args.hidden_rows[at] = gate * sigmoid(gate) * dot(matrix(args.up, args.up_stride, pair));
    }
    quantize(args.hidden_rows, pairs, args.ffn, args.h);
    std::fill_n(args.out, args.tokens * args.hidden, 0.0f);
    for (int64_t pair = 0; pair < pairs; ++pair)
      for (int64_t output = 0; output < args.hidden; ++output)
        args.out[pair / args.top_k * args.hidden + output] +=
            args.weights[pair] *
            Rows{args.h, args.ffn}.dot(pair, args.down_format, matrix(args.down, args.down_stride, pair), output);
  });
}
Failure packed_operand(const float* x, int64_t rows, int64_t k, int64_t parts, const ExpertOrder& given,
                       int64_t experts, int64_t top_k, void* out, Stream) {
  return run([=, order = given] {
    const int64_t columns = packed_columns(k), all = order.starts ? order.starts[experts] : rows;
    auto* to = static_cast<bfloat16*>(out);
    for (int64_t row = 0; row < all; ++row) {
      const int64_t from = !order.starts ? row : order.pair_of[row] < 0 ? -1 : order.pair_of[row] / top_k;
      for (int64_t i = 0; i < columns; ++i) {
        float left = from >= 0 && i < k ? x[from * k + i] : 0.0f;
        for (int64_t part = 0; part < parts; ++part) {
          const bfloat16 taken = to_bfloat16(left);
          to[(row * parts + part) * columns + column_of(i)] = taken;
          left -= to_float(taken);
        }
      }
    }
  });
}
Failure packed_product(const PackedProductArgs& given, Stream) {
  return run([args = given.product, format = given.format] {
    const bool operand = args.a_type == Type::kBFloat16;
    const auto term = [&](int64_t row, int64_t k) {
      if (!operand) return static_cast<const float*>(args.a)[row * args.k + k];
      float sum = 0;
      for (int64_t part = 0; part < args.a_parts; ++part)
        sum += get(args.a, Type::kBFloat16, (row * args.a_parts + part) * args.a_part_columns + column_of(k));
      return sum;
    };
    for (int64_t group = 0; group < std::max<int64_t>(args.groups, 1); ++group) {
      const int64_t begin = args.groups ? args.group_starts[group] : 0;
      const int64_t end = args.groups ? args.group_starts[group + 1] : args.m;
      const auto dot = [&](const void* first, int64_t stride, int64_t row, int64_t output) {
        float sum = 0;
        for (int64_t k = 0; k < args.k; ++k) {
          const float value = weight(format, static_cast<const char*>(first) + group * stride, args.k, output, k);
          sum += term(row, k) * as(args.a_type, value);
        }
        return sum;
      };
      const int64_t width = operand && args.b2 ? packed_columns(args.n) : args.n;
      for (int64_t row = begin; row < end; ++row)
        for (int64_t output = 0; output < width; ++output) {
          float value = output < args.n ? dot(args.b, args.b_group_stride, row, output) : 0.0f;
          if (args.b2 && output < args.n) value *= sigmoid(value) * dot(args.b2, args.b2_group_stride, row, output);
          if (operand && args.b2)
            put(args.out, Type::kBFloat16, row * width + column_of(output), value);
          else
            static_cast<float*>(args.out)[row * width + output] = value;
        }
    }
  });
}
Failure packed_product_simple(const PackedProductArgs& args, Stream stream) {
  return packed_product(args, stream);
}
Failure packed_take_rows(const void* panels, quant::Format format, int64_t table_rows, const int32_t* indices,
                         float* out, int64_t count, int64_t width, Stream) {
  return run([=] {
    for (int64_t at = 0; at < count * width; ++at) {
      const int64_t row = indices[at / width];
      out[at] = row >= 0 && row < table_rows ? weight(format, panels, width, row, at % width) : std::nanf("");
    }
  });
}

}  // namespace minimax::cuda::played
