#include "cli/device.h"

#include <gtest/gtest.h>

namespace minimax::cli {
namespace {

// m1-tiny has 927,680 parameters.
TEST(Device, AModelThatDoesNotFitStaysOnTheProcessor) {
  ModelOptions options;
  options.model = MINIMAX_TESTDATA "/golden/m1-tiny";
  EXPECT_TRUE(weights_fit(options, 2'100'000));
  EXPECT_FALSE(weights_fit(options, 1'900'000)) << "no room beside the weights";
  options.exact = true;
  EXPECT_FALSE(weights_fit(options, 2'100'000));
}

TEST(Device, WhatCannotBeKnownIsTried) {
  ModelOptions options;
  EXPECT_TRUE(weights_fit(options, 0)) << "no model named";
  options.model = "/nowhere";
  EXPECT_TRUE(weights_fit(options, 0));
  options.model = MINIMAX_TESTDATA "/golden/m1-tiny";
  EXPECT_TRUE(weights_fit(options, -1)) << "the device would not say";
}

TEST(Device, TheProcessorWhenItWasAskedFor) {
  ModelOptions options;
  options.device = DeviceChoice::kCpu;
  EXPECT_EQ(open_device(options), nullptr);
  options.bfloat16_matmul = true;
  options.exact = true;  // of GPUs only
  EXPECT_EQ(precision_of(options, nullptr), MatmulPrecision::kBFloat16);
}

}  // namespace
}  // namespace minimax::cli
