// The index arithmetic of the packed kernels, run here lane by lane: every byte it reads stands for the weight that
// quant/panel.cpp says, and warp products of its words, by the layouts of the PTX manual, add up to the matrix product.
#include "cuda/packed_words.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "core/rng.h"
#include "quant/panel.h"

namespace minimax::cuda::packed {
namespace {

/// A panel with random codes, steps, zero points and scales, and its weights by quant/panel.cpp.
struct Panel {
  Panel(Format format, int64_t inputs_wanted, uint64_t seed) : inputs(inputs_wanted) {
    Rng rng(seed);
    const auto below = [&](int64_t n) { return static_cast<int64_t>(rng.below(static_cast<uint64_t>(n))); };
    bytes.resize(static_cast<size_t>(quant::panel_bytes(format, inputs)));
    for (int64_t row = 0; row < kPanel; ++row) {
      quant::RowCodes codes = quant::zero_row(format, inputs);
      const int64_t bits = quant::code_bits(format);
      for (int64_t k = 0; k < inputs; ++k) {
        auto code = static_cast<uint8_t>(below(int64_t{1} << bits));
        if (bits == 8 && code == 0) code = 1;  // within +-127
        codes.codes[static_cast<size_t>(k)] = code;
      }
      for (size_t group = 0; group < codes.steps.size(); ++group) {
        codes.steps[group] = static_cast<uint8_t>(1 + below(int64_t{1} << (8 - bits)));
        // step * zero is at most 128 and step * (15 - zero) at most 127.
        if (format == Format::kQ4)
          codes.zeros[group] = static_cast<uint8_t>(codes.steps[group] > 12 ? 8 : 6 + below(4));
      }
      for (int64_t k = inputs; k < quant::padded_inputs(inputs) && format == Format::kQ4; ++k)
        codes.codes[static_cast<size_t>(k)] = codes.zeros.back();
      for (float& scale : codes.scales)
        scale = format == Format::kMxfp4 ? std::ldexp(1.0f, static_cast<int>(below(12)) - 6)
                                         : to_float(to_float16(0.01f + static_cast<float>(below(1000)) / 1000));
      quant::pack_row(format, inputs, codes, row, bytes.data());
    }
    weights.resize(static_cast<size_t>(kPanel * inputs));
    quant::dequantize_rows(format, inputs, bytes.data(), 0, kPanel, weights.data());
  }
  const unsigned char* data() const { return reinterpret_cast<const unsigned char*>(bytes.data()); }
  /// 0 behind the last input.
  double weight(int64_t row, int64_t k) const {
    return k < inputs ? static_cast<double>(weights[static_cast<size_t>(row * inputs + k)]) : 0.0;
  }

  int64_t inputs;
  std::vector<std::byte> bytes;
  std::vector<float> weights;
};

template <typename Body>
void for_formats(const Body& body) {
  body.template operator()<Format::kQ8>();
  body.template operator()<Format::kExpertsInt8>();
  body.template operator()<Format::kQ6>();
  body.template operator()<Format::kQ5>();
  body.template operator()<Format::kQ4>();
  body.template operator()<Format::kMxfp4>();
}

const int64_t kInputs[] = {1, 31, 32, 100, 128, 160, 256, 300, 640};

TEST(PackedWords, SizesAreThoseOfTheFormats) {
  for_formats([]<Format kFormat>() {
    using L = Layout<kFormat>;
    EXPECT_EQ(L::kBlockHeader, quant::block_header_bytes(kFormat));
    EXPECT_EQ(L::kGroupBytes, quant::group_bytes(kFormat));
    for (const int64_t inputs : kInputs) EXPECT_EQ(L::panel_bytes(inputs), quant::panel_bytes(kFormat, inputs));
    for (const int64_t block : {0, 1, 5}) EXPECT_EQ(L::block_offset(block), quant::block_offset(kFormat, block));
  });
}

TEST(PackedWords, EveryWeightIsFound) {
  for_formats([]<Format kFormat>() {
    for (const int64_t inputs : kInputs) {
      const Panel panel(kFormat, inputs, static_cast<uint64_t>(inputs));
      for (int row = 0; row < kPanel; ++row)
        for (int64_t k = 0; k < inputs; ++k)
          ASSERT_EQ(weight_at<kFormat>(panel.data(), row, k), static_cast<float>(panel.weight(row, k)))
              << quant::name(kFormat) << " row " << row << " input " << k << " of " << inputs;
    }
  });
}

TEST(PackedWords, LanesReadEveryByteOfAGroupOnce) {
  for_formats([]<Format kFormat>() {
    using L = Layout<kFormat>;
    std::vector<int> read(L::kGroupBytes);
    for (int lane = 0; lane < 32; ++lane)
      for (int piece = 0; piece < Codes<kFormat>::kPieces; ++piece) {
        const int place = Codes<kFormat>::place(piece, lane / 4, lane % 4);
        ASSERT_EQ(place % 16, 0);
        ASSERT_LE(place + 16, L::kGroupBytes);
        for (int i = 0; i < 16; ++i) ++read[static_cast<size_t>(place + i)];
      }
    // What is above four bits is shared by lanes of a row.
    for (int at = 0; at < L::kGroupBytes; ++at)
      EXPECT_EQ(read[static_cast<size_t>(at)], L::kBytes || at < 512 ? 1 : kFormat == Format::kQ5 ? 4 : 2) << at;
  });
}

TEST(PackedWords, ColumnsOfAnOperandAreAPermutation) {
  for (int input = 0; input < kGroup; ++input) EXPECT_EQ(input_of_column(column_of_input(input)), input);
  for (int column = 0; column < kGroup; ++column) EXPECT_EQ(column_of_input(input_of_column(column)), column);
}

/// All lanes' codes and scales of one half block.
template <Format kFormat>
struct Warp {
  Warp(const Panel& panel, int64_t half) {
    using L = Layout<kFormat>;
    const int64_t groups = (panel.inputs + kGroup - 1) / kGroup;
    there = static_cast<int>(std::min<int64_t>(kHalfGroups, groups - half * kHalfGroups));
    const unsigned char* header = panel.data() + L::block_offset(half / 2);
    const unsigned char* from = header + L::kBlockHeader + half % 2 * kHalfGroups * L::kGroupBytes;
    for (int lane = 0; lane < 32; ++lane) {
      scales[lane].load(panel.data(), header, static_cast<int>(half % 2), lane / 4);
      for (int group = 0; group < there; ++group)
        for (int piece = 0; piece < Codes<kFormat>::kPieces; ++piece)
          std::memcpy(codes[lane][group].words(piece),
                      from + group * L::kGroupBytes + Codes<kFormat>::place(piece, lane / 4, lane % 4), 16);
    }
  }
  int there;
  Codes<kFormat> codes[32][kHalfGroups];
  Scales<kFormat> scales[32];
};

// As add_panels of packed_rows.cu, with m16n8k32 spelled out: a's register r of lane 4 g + t has row g + 8 (r % 2),
// terms 4 t + 16 (r / 2) + 0..3; b's register r terms 4 t + 16 r + 0..3 of column g; sums 0, 1 are row g, columns 2 t
// and 2 t + 1, sums 2, 3 row g + 8.
TEST(PackedWords, WarpProductsOfBytesAddUpToTheProduct) {
  for_formats([]<Format kFormat>() {
    for (const int64_t inputs : kInputs) {
      const Panel panel(kFormat, inputs, 7);
      const int64_t groups = (inputs + kGroup - 1) / kGroup, padded = groups * kGroup;
      constexpr int kRows = 4;
      Rng rng(3);
      std::vector<int> x(static_cast<size_t>(kRows * padded));  // the activations' codes; their scale is 1
      for (int row = 0; row < kRows; ++row)
        for (int64_t k = 0; k < inputs; ++k) {
          int code = static_cast<int>(rng.below(2 * kLargestCode + 1)) - kLargestCode;
          if (k < 2) code = k == 0 ? kLargestCode : -kLargestCode;
          ASSERT_EQ(128 * high_part(code) + low_part(code), code);
          ASSERT_LE(std::abs(high_part(code)), 127);
          ASSERT_LE(std::abs(low_part(code)), 64);
          x[static_cast<size_t>(row * padded + k)] = code;
        }
      std::vector<double> got(kRows * kPanel), magnitude(kRows * kPanel);
      for (int64_t half = 0; half < (groups + kHalfGroups - 1) / kHalfGroups; ++half) {
        const Warp<kFormat> warp(panel, half);
        HalfSums<kFormat> sums[32];
        for (int group = 0; group < warp.there; ++group) {
          const int64_t first = (half * kHalfGroups + group) * kGroup;
          int x_sums[kRows] = {};
          for (int row = 0; row < kRows; ++row)
            for (int k = 0; k < kGroup; ++k) x_sums[row] += x[static_cast<size_t>(row * padded + first + k)];
          for (int pair = 0; pair < 2; ++pair) {
            int a[16][32] = {}, b[32][8] = {};
            for (int lane = 0; lane < 32; ++lane) {
              const int g = lane / 4, t = lane % 4;
              for (int reg = 0; reg < 4; ++reg) {
                const uint32_t word = warp.codes[lane][group].quad(2 * pair + reg % 2, reg / 2, t);
                for (int i = 0; i < 4; ++i)
                  a[g + 8 * (reg % 2)][4 * t + 16 * (reg / 2) + i] = static_cast<int>(word >> (8 * i) & 0xff);
              }
              for (int i = 0; i < 8; ++i) {
                const int code = x[static_cast<size_t>(g / 2 * padded + first + 8 * t + i)];
                b[4 * t + 16 * (i / 4) + i % 4][g] = g % 2 == 0 ? high_part(code) : low_part(code);
              }
            }
            int product[16][8] = {};
            for (int row = 0; row < 16; ++row)
              for (int column = 0; column < 8; ++column)
                for (int k = 0; k < 32; ++k) product[row][column] += a[row][k] * b[k][column];
            for (int lane = 0; lane < 32; ++lane) {
              const int g = lane / 4, t = lane % 4;
              for (int i = 0; i < 2; ++i)
                sums[lane].add(warp.scales[lane], group, 2 * pair + i, product[g + 8 * i][2 * t],
                               product[g + 8 * i][2 * t + 1], x_sums[t]);
            }
          }
        }
        for (int lane = 0; lane < 32; ++lane)
          for (int row = 0; row < 4; ++row)
            got[static_cast<size_t>(lane % 4 * kPanel + lane / 4 * 4 + row)] +=
                static_cast<double>(sums[lane].sum(warp.scales[lane], row));
      }
      for (int row = 0; row < kRows; ++row)
        for (int output = 0; output < kPanel; ++output) {
          double want = 0, size = 1e-9;
          for (int64_t k = 0; k < inputs; ++k) {
            const double term = panel.weight(output, k) * x[static_cast<size_t>(row * padded + k)];
            want += term;
            size += std::abs(term);
          }
          // Integers are exact; what is left is float32's rounding of groups' sums.
          EXPECT_NEAR(got[static_cast<size_t>(row * kPanel + output)], want, 1e-6 * size)
              << quant::name(kFormat) << " " << inputs << " inputs, output " << output;
        }
    }
  });
}

// As packed_product.cu, with the left operand of m64n..k16 spelled out: register r of lane 4 g + t has row g + 8 (r %
// 2), terms 2 t + 8 (r / 2) and the next.
TEST(PackedWords, WarpgroupOperandsMeetTheirColumns) {
  for_formats([]<Format kFormat>() {
    const int64_t inputs = 300, groups = (inputs + kGroup - 1) / kGroup;
    const Panel panel(kFormat, inputs, 11);
    for (int64_t half = 0; half < (groups + kHalfGroups - 1) / kHalfGroups; ++half) {
      const Warp<kFormat> warp(panel, half);
      for (int group = 0; group < warp.there; ++group)
        for (int pair = 0; pair < 2; ++pair)
          for (int step = 0; step < 2; ++step)
            for (int lane = 0; lane < 32; ++lane)
              for (int reg = 0; reg < 4; ++reg) {
                const int g = lane / 4, t = lane % 4;
                const OperandPlace place = operand_place(pair, step, reg);
                EXPECT_EQ(place.row, 2 * pair + reg % 2);
                for (int i = 0; i < 2; ++i) {
                  const int column = 16 * step + 8 * (reg / 2) + 2 * t + i;
                  const uint32_t codes = warp.codes[lane][group].quad(place.row, place.which, t);
                  const float weight = weight_of(codes, place.places[i], warp.scales[lane].step(group, place.row),
                                                 warp.scales[lane].zero(group, place.row)) *
                                       warp.scales[lane].scale(group, place.row);
                  const int64_t k = (half * kHalfGroups + group) * kGroup + input_of_column(column);
                  ASSERT_EQ(weight, static_cast<float>(panel.weight(4 * g + place.row, k)))
                      << quant::name(kFormat) << " lane " << lane << " register " << reg << " step " << step;
                }
              }
    }
  });
}

}  // namespace
}  // namespace minimax::cuda::packed
