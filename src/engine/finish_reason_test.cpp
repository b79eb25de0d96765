#include "engine/finish_reason.h"

#include <gtest/gtest.h>

namespace minimax::engine {
namespace {

TEST(FinishReason, OpenAiKnowsOneWordForBothStops) {
  EXPECT_EQ(openai_name(FinishReason::kStopToken), "stop");
  EXPECT_EQ(openai_name(FinishReason::kStopString), "stop");
  EXPECT_EQ(openai_name(FinishReason::kLength), "length");
  EXPECT_EQ(openai_name(FinishReason::kToolCalls), "tool_calls");
  EXPECT_EQ(openai_name(FinishReason::kCancelled), "abort");
  EXPECT_EQ(openai_name(FinishReason::kError), "error");
  EXPECT_EQ(openai_name(FinishReason::kNone), "");
  EXPECT_EQ(to_string(FinishReason::kStopString), "stop_string");
}

}  // namespace
}  // namespace minimax::engine
