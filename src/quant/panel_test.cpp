#include "quant/panel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "core/dtype.h"
#include "core/error.h"
#include "core/rng.h"

namespace minimax::quant {
namespace {

std::byte byte_of(unsigned value) {
  return static_cast<std::byte>(value);
}

// Any codes that the format can hold.
RowCodes random_row(Format format, int64_t inputs, Rng& rng) {
  RowCodes row = zero_row(format, inputs);
  for (uint8_t& code : row.codes) code = static_cast<uint8_t>(rng.below(uint64_t{1} << code_bits(format)));
  for (uint8_t& step : row.steps) step = static_cast<uint8_t>(1 + rng.below(uint64_t{1} << (8 - code_bits(format))));
  for (uint8_t& zero : row.zeros) zero = static_cast<uint8_t>(6 + rng.below(4));
  for (float& scale : row.scales)
    scale = format == Format::kMxfp4 ? std::ldexp(1.0f, static_cast<int>(rng.below(250)) - 127)
                                     : static_cast<float>(1 + rng.below(1000)) * 0x1p-12f;
  return row;
}

TEST(Format, NamesLeadBackToTheirFormat) {
  for (const Format format : all_formats()) EXPECT_EQ(format_by_name(name(format)), format);
  EXPECT_EQ(format_by_name("q7"), std::nullopt);
}

TEST(Format, SizesOfOneBlock) {
  EXPECT_EQ(panel_bytes(Format::kQ8, 256), 8704);
  EXPECT_EQ(panel_bytes(Format::kExpertsInt8, 256), 128 + 8192);
  EXPECT_EQ(panel_bytes(Format::kQ6, 256), 6272);
  EXPECT_EQ(panel_bytes(Format::kQ5, 256), 5312);
  EXPECT_EQ(panel_bytes(Format::kQ4, 256), 4352);
  EXPECT_EQ(panel_bytes(Format::kMxfp4, 256), 4352);
  EXPECT_EQ(panel_bytes(Format::kQ4, 257), 4352 + 256 + 512);  // a header as of a whole block, one group
}

TEST(Format, BitsPerWeightAreThoseOfAWholeMatrix) {
  for (const Format format : all_formats())
    EXPECT_DOUBLE_EQ(bits_per_weight(format, 6144),
                     static_cast<double>(packed_bytes(format, 9216, 6144)) * 8 / (9216.0 * 6144.0))
        << name(format);
  EXPECT_DOUBLE_EQ(bits_per_weight(Format::kQ4), 4.25);
}

TEST(Format, EveryPartIsAligned) {
  for (const Format format : all_formats())
    for (const int64_t inputs : {1, 32, 96, 256, 6144, 6176}) {
      EXPECT_EQ(panel_bytes(format, inputs) % kAlignment, 0) << name(format);
      for (int64_t group = 0; group < group_count(inputs); ++group)
        EXPECT_EQ(group_offset(format, group) % kAlignment, 0) << name(format);
    }
}

TEST(Format, RefusesMatricesThatCannotBe) {
  EXPECT_THROW(packed_bytes(Format::kQ4, 0, 32), Error);
  EXPECT_THROW(packed_bytes(Format::kQ4, 32, -1), Error);
  EXPECT_THROW(packed_bytes(Format::kQ8, int64_t{1} << 40, int64_t{1} << 40), Error);
  EXPECT_THROW(packed_bytes(Format::kQ8, 1, int64_t{1} << 62), Error);
  EXPECT_THROW(packed_bytes(Format::kQ8, int64_t{1} << 62, 1), Error);
}

TEST(Panel, RowsComeBackAndLeaveTheirNeighboursAlone) {
  Rng rng(1);
  for (const Format format : all_formats())
    for (const int64_t inputs : {1, 32, 96, 256, 300, 544}) {
      std::vector<std::byte> panel(static_cast<size_t>(panel_bytes(format, inputs)), std::byte{0xff});
      std::vector<RowCodes> rows;
      for (int64_t row = 0; row < kPanelRows; ++row) {
        rows.push_back(random_row(format, inputs, rng));
        pack_row(format, inputs, rows.back(), row, panel.data());
      }
      for (int64_t row = 0; row < kPanelRows; ++row) {
        const RowCodes found = unpack_row(format, inputs, panel.data(), row);
        const RowCodes& expected = rows[static_cast<size_t>(row)];
        EXPECT_EQ(found.codes, expected.codes) << name(format) << " " << inputs << " row " << row;
        EXPECT_EQ(found.steps, expected.steps) << name(format);
        EXPECT_EQ(found.zeros, expected.zeros) << name(format);
        EXPECT_EQ(found.scales, expected.scales) << name(format);
      }
    }
}

// The places of docs/formats.md, counted by hand: row 5, inputs 70 and 75 of a matrix with 256 inputs. 70 is in group
// 2: its input 6, quad 1, byte 2 of it; 75 is that group's input 11, quad 2, byte 3.
struct HandPlaced : testing::Test {
  static constexpr int64_t kRow = 5;

  std::vector<std::byte> panel_of(Format format, uint8_t code_70, uint8_t code_75) {
    RowCodes row = zero_row(format, 256);
    row.codes.assign(256, 0);
    row.codes[70] = code_70;
    row.codes[75] = code_75;
    std::vector<std::byte> panel(static_cast<size_t>(panel_bytes(format, 256)), std::byte{0});
    pack_row(format, 256, row, kRow, panel.data());
    return panel;
  }
};

TEST_F(HandPlaced, EightBits) {
  const std::vector<std::byte> q8 = panel_of(Format::kQ8, 201, 17);
  EXPECT_EQ(q8[512 + 2 * 1024 + 1 * 128 + 5 * 4 + 2], byte_of(201));
  EXPECT_EQ(q8[512 + 2 * 1024 + 2 * 128 + 5 * 4 + 3], byte_of(17));
  const std::vector<std::byte> experts = panel_of(Format::kExpertsInt8, 201, 17);
  EXPECT_EQ(experts[128 + 2 * 1024 + 1 * 128 + 5 * 4 + 2], byte_of(201));
}

TEST_F(HandPlaced, FourBits) {
  const std::vector<std::byte> q4 = panel_of(Format::kQ4, 0xb, 0x7);
  EXPECT_EQ(q4[256 + 2 * 512 + 0 * 128 + 5 * 4 + 2], byte_of(0xb0));  // quad 1: the high nibble of pair 0
  EXPECT_EQ(q4[256 + 2 * 512 + 1 * 128 + 5 * 4 + 3], byte_of(0x07));  // quad 2: the low nibble of pair 1
  const std::vector<std::byte> mxfp4 = panel_of(Format::kMxfp4, 0xb, 0x7);
  EXPECT_EQ(mxfp4[256 + 2 * 512 + 0 * 128 + 5 * 4 + 2], byte_of(0xb0));
}

TEST_F(HandPlaced, FiveBits) {
  const std::vector<std::byte> q5 = panel_of(Format::kQ5, 0x1b, 0x17);
  EXPECT_EQ(q5[192 + 2 * 640 + 0 * 128 + 5 * 4 + 2], byte_of(0xb0));
  EXPECT_EQ(q5[192 + 2 * 640 + 512 + 5 * 4 + 2], byte_of(1 << 1));
  EXPECT_EQ(q5[192 + 2 * 640 + 512 + 5 * 4 + 3], byte_of(1 << 2));
}

TEST_F(HandPlaced, SixBits) {
  const std::vector<std::byte> q6 = panel_of(Format::kQ6, 0x2b, 0x37);
  EXPECT_EQ(q6[128 + 2 * 768 + 0 * 128 + 5 * 4 + 2], byte_of(0xb0));
  EXPECT_EQ(q6[128 + 2 * 768 + 512 + 5 * 4 + 2], byte_of(2 << 2));
  EXPECT_EQ(q6[128 + 2 * 768 + 512 + 5 * 4 + 3], byte_of(3 << 4));
}

TEST_F(HandPlaced, Headers) {
  const auto header = [](Format format) {
    RowCodes row = zero_row(format, 256);
    for (float& scale : row.scales) scale = 1;
    row.scales.back() = 0.5f;
    for (size_t i = 0; i < row.steps.size(); ++i)
      row.steps[i] = static_cast<uint8_t>(1 + i % (format == Format::kQ6 ? 4 : 8));
    if (format == Format::kQ4) row.zeros = {6, 7, 8, 9, 9, 8, 7, 6};
    std::vector<std::byte> panel(static_cast<size_t>(panel_bytes(format, 256)), std::byte{0});
    pack_row(format, 256, row, kRow, panel.data());
    return panel;
  };
  const std::vector<std::byte> q4 = header(Format::kQ4);
  EXPECT_EQ(q4[11], byte_of(0x38));  // 0.5 in float16 is 0x3800
  EXPECT_EQ(q4[64 + 1 * 32 + 5], byte_of(0x32));
  EXPECT_EQ(q4[192 + 0 * 32 + 5], byte_of(0b11100100));
  EXPECT_EQ(q4[192 + 1 * 32 + 5], byte_of(0b00011011));
  const std::vector<std::byte> q6 = header(Format::kQ6);
  EXPECT_EQ(q6[64 + 1 * 32 + 5], byte_of(0b11100100));
  const std::vector<std::byte> q8 = header(Format::kQ8);
  EXPECT_EQ(q8[7 * 64 + 11], byte_of(0x38));
  EXPECT_EQ(q8[6 * 64 + 11], byte_of(0x3c));
  const std::vector<std::byte> mxfp4 = header(Format::kMxfp4);
  EXPECT_EQ(mxfp4[7 * 32 + 5], byte_of(126));
  const std::vector<std::byte> experts = header(Format::kExpertsInt8);
  EXPECT_EQ(experts[5 * 4 + 3], byte_of(0x3f));  // 0.5 in float32 is 0x3f000000
}

TEST(Panel, ValuesOfCodes) {
  RowCodes q4 = zero_row(Format::kQ4, 40);
  q4.codes[33] = 15;
  q4.steps = {1, 14};
  q4.zeros = {8, 6};
  q4.scales = {0.25f};
  std::vector<float> weights(40);
  decode_row(Format::kQ4, 40, q4, weights.data());
  EXPECT_EQ(weights[0], 0);
  EXPECT_EQ(weights[33], 14 * 9 * 0.25f);
  EXPECT_EQ(weights[34], 14 * 2 * 0.25f);

  RowCodes q6 = zero_row(Format::kQ6, 32);
  q6.codes[0] = 0;
  q6.steps = {4};
  q6.scales = {2};
  decode_row(Format::kQ6, 32, q6, weights.data());
  EXPECT_EQ(weights[0], -32 * 4 * 2);

  RowCodes q8 = zero_row(Format::kQ8, 40);
  q8.codes[39] = 1;
  q8.scales = {7, 0.5f};
  decode_row(Format::kQ8, 40, q8, weights.data());
  EXPECT_EQ(weights[39], -63.5f);
}

TEST(Panel, MicroscalingIsThatOfTheStandard) {
  const float values[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  for (uint8_t code = 0; code < 8; ++code) {
    EXPECT_EQ(from_e2m1(code), values[code]);
    EXPECT_EQ(from_e2m1(code + 8), -values[code]);
  }
  EXPECT_EQ(from_e8m0(127), 1);
  EXPECT_EQ(from_e8m0(0), 0x1p-127f);
  EXPECT_EQ(from_e8m0(254), 0x1p127f);
  EXPECT_TRUE(std::isnan(from_e8m0(255)));
}

TEST(Panel, DequantizesRowsAcrossPanels) {
  Rng rng(3);
  for (const Format format : all_formats()) {
    constexpr int64_t kInputs = 288, kOutputs = 70;
    std::vector<std::byte> packed(static_cast<size_t>(packed_bytes(format, kOutputs, kInputs)), std::byte{0});
    std::vector<float> expected(kOutputs * kInputs);
    for (int64_t row = 0; row < kOutputs; ++row) {
      const RowCodes codes = random_row(format, kInputs, rng);
      decode_row(format, kInputs, codes, expected.data() + row * kInputs);
      pack_row(format, kInputs, codes, row % 32, packed.data() + row / 32 * panel_bytes(format, kInputs));
    }
    std::vector<float> found(40 * kInputs, NAN);
    dequantize_rows(format, kInputs, packed.data(), 30, 40, found.data());
    EXPECT_EQ(std::memcmp(found.data(), expected.data() + 30 * kInputs, found.size() * 4), 0) << name(format);
  }
}

TEST(Panel, AnyBytesCanBeDequantized) {
  Rng rng(4);
  for (const Format format : all_formats()) {
    std::vector<std::byte> packed(static_cast<size_t>(packed_bytes(format, 32, 300)));
    for (std::byte& byte : packed) byte = byte_of(rng.next_u32() & 0xff);
    std::vector<float> out(32 * 300);
    dequantize_rows(format, 300, packed.data(), 0, 32, out.data());
    // Steps of q5 have a bit to spare, which is ignored: no integer leaves int8.
    if (format == Format::kQ5) {
      for (const uint8_t step : unpack_row(format, 300, packed.data(), 7).steps) EXPECT_LE(step, 8);
    }
  }
}

}  // namespace
}  // namespace minimax::quant
