// Messages and tools in the spellings clients use, and the errors they get.
#include "text/chat_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace minimax::text {
namespace {

using testing::HasSubstr;

std::vector<Message> messages(std::string_view json) {
  const io::json::value root = io::parse_json(json, "request");
  return messages_from_json(io::JsonField(root, "request"));
}

std::vector<ToolDefinition> tools(std::string_view json) {
  const io::json::value root = io::parse_json(json, "request");
  return tools_from_json(io::JsonField(root, "request")["tools"]);
}

template <typename Parse>
std::string error_of(Parse parse) {
  try {
    parse();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
    return error.what();
  }
  return "no error";
}

TEST(ChatJson, ContentAsStringOrParts) {
  const std::vector<Message> got = messages(R"([
    {"role": "system", "content": "S"}, {"role": "developer", "content": "D"},
    {"role": "user", "content": [{"type": "text", "text": "U1"}, {"type": "text", "text": ""}], "name": "Ada"},
    {"role": "assistant", "content": "A", "refusal": null}])");
  ASSERT_EQ(got.size(), 4u);
  EXPECT_EQ(got[0], text_message(Role::kSystem, "S"));
  EXPECT_EQ(got[1], text_message(Role::kSystem, "D"));
  EXPECT_EQ(got[2], (Message{.role = Role::kUser, .content = {{.text = "U1"}, {.text = ""}}, .name = "Ada"}));
  EXPECT_EQ(got[3], text_message(Role::kAssistant, "A"));
}

TEST(ChatJson, ReasoningInEitherSpelling) {
  for (const char* key : {"reasoning_content", "reasoning"}) {
    const std::vector<Message> got =
        messages(std::string("[{\"role\": \"assistant\", \"content\": \"A\", \"") + key + "\": \"R\"}]");
    EXPECT_EQ(got[0].reasoning, "R");
  }
  EXPECT_EQ(messages(R"([{"role": "assistant", "content": "A", "reasoning": null}])")[0].reasoning, std::nullopt);
  EXPECT_EQ(messages(R"([{"role": "assistant", "reasoning": "R"}])")[0].content.size(), 0u);
}

TEST(ChatJson, ToolCallsWrappedAndBare) {
  const std::vector<Message> got = messages(R"([{"role": "assistant", "content": null, "tool_calls": [
    {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"b\":1,\"a\":\"\\u4e0a\"}"}},
    {"name": "g", "arguments": {"x": [1.0]}},
    {"id": "3", "function": {"name": "h", "arguments": ""}},
    {"id": "4", "function": {"name": "i"}}]}])");
  EXPECT_EQ(got[0].tool_calls, (std::vector<ToolCall>{{.id = "1", .name = "f", .arguments = R"({"b": 1, "a": "上"})"},
                                                      {.id = "", .name = "g", .arguments = R"({"x": [1.0]})"},
                                                      {.id = "3", .name = "h", .arguments = "{}"},
                                                      {.id = "4", .name = "i", .arguments = "{}"}}));
  EXPECT_TRUE(got[0].content.empty());
}

TEST(ChatJson, ToolResultsInBothSpellings) {
  const std::vector<Message> got = messages(R"([
    {"role": "tool", "tool_call_id": "1", "content": "r"},
    {"role": "tool", "name": "f", "content": [{"type": "text", "text": "r"}]},
    {"role": "tool", "content": [{"name": "f", "type": "text", "text": "r"}, {"name": "g", "text": "s"}]}])");
  EXPECT_EQ(got[0], (Message{.role = Role::kTool, .content = {{.text = "r"}}, .tool_call_id = "1"}));
  EXPECT_EQ(got[1], (Message{.role = Role::kTool, .content = {{.text = "r"}}, .name = "f"}));
  EXPECT_EQ(got[2].content,
            (std::vector<ContentPart>{{.text = "r", .name = "f"}, {.type = "", .text = "s", .name = "g"}}));
}

TEST(ChatJson, ToolsAreUnwrappedAndKeptInOrder) {
  const std::vector<ToolDefinition> got = tools(R"({"tools": [
    {"type":"function","function":{"parameters":{"z":1,"a":{"x":0.7,"y":null}},"name":"f","description":"上"}},
    {"name":"g"}]})");
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].name, "f");
  EXPECT_EQ(got[0].json, R"({"parameters": {"z": 1, "a": {"x": 0.7, "y": null}}, "name": "f", "description": "上"})");
  EXPECT_EQ(got[1].json, R"({"name": "g"})");
  EXPECT_TRUE(tools("{}").empty());
  EXPECT_TRUE(tools(R"({"tools": null})").empty());
}

TEST(ChatJson, ToolsOfWrongTypesAreRefusedByPlace) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"name": "f", "parameters": "x"})", "tools[0].parameters"},
      {R"({"type": "function", "function": {"name": "f", "parameters": [1]}})", "tools[0].function.parameters"},
      {R"({"name": "f", "description": 5})", "tools[0].description"},
      {R"({"name": "f", "strict": "x"})", "tools[0].strict"},
      {R"({"name": ""})", "tools[0].name"}};
  for (const auto& [tool, place] : cases) {
    const std::string json = std::string(R"({"tools": [)") + tool + "]}";
    EXPECT_THAT(error_of([&] { tools(json); }), HasSubstr(place));
  }
  EXPECT_EQ(tools(R"({"tools": [{"name": "f", "description": null, "parameters": null}]})").size(), 1u);
}

TEST(ChatJson, WhatWasSaidBeforeThereWereTools) {
  const auto got = messages(R"([
      {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{\"a\": 1}"}},
      {"role": "function", "name": "f", "content": "done"}, {"role": "function", "name": "g", "content": null},
      {"role": "assistant"}, {"role": "assistant", "content": null, "refusal": "No."},
      {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}, {"type": "text", "text": "!"}]}])");
  ASSERT_EQ(got.size(), 6u);
  ASSERT_EQ(got[0].tool_calls.size(), 1u);
  EXPECT_EQ(got[0].tool_calls[0].arguments, R"({"a": 1})");
  EXPECT_EQ(got[1].role, Role::kTool);
  EXPECT_EQ(got[1].name, "f");
  EXPECT_EQ(got[1].content.at(0).text, "done");
  EXPECT_EQ(got[2].content.at(0).text, "");
  EXPECT_TRUE(got[3].content.empty());
  EXPECT_EQ(got[4].content.at(0).text, "No.");
  ASSERT_EQ(got[5].content.size(), 2u);
  EXPECT_EQ(got[5].content[0].text, "No");
}

TEST(ChatJson, ErrorsNameThePlace) {
  const std::pair<const char*, const char*> cases[] = {
      {"[]", "at least one message"},
      {"{}", "expected"},
      {R"([{"content": "a"}])", "role"},
      {R"([{"role": "wizard", "content": "a"}])", "wizard"},
      {R"([{"role": "user"}])", "[0].content"},
      {R"([{"role": "user", "content": null}])", "[0].content"},
      {R"([{"role": "user", "content": []}])", "at least one part"},
      {R"([{"role": "user", "content": 7}])", "a string or a list of parts"},
      {R"([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])", "image_url"},
      {R"([{"role": "user", "content": [{"text": "x"}]}])", "[0].content[0].type"},
      {R"([{"role": "user", "content": [{"type": "text"}]}])", "[0].content[0].text"},
      {R"([{"role": "assistant", "content": 7}])", "[0].content"},
      {R"([{"role": "assistant", "content": [{"type": "refusal"}]}])", "[0].content[0].refusal"},
      {R"([{"role": "user", "content": [{"type": "refusal", "refusal": "x"}]}])", "[0].content[0].type"},
      {R"([{"role": "assistant", "audio": {"id": "a"}}])", "[0].audio"},
      {R"([{"role": "assistant", "tool_calls": [{"type": "custom", "custom": {}}]}])", "tool_calls[0].type"},
      {R"([{"role": "function", "content": "x"}])", "[0].name"},
      {R"([{"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]}])", "tool_calls[0].function.name"},
      {R"([{"role": "assistant", "tool_calls": [{"function": {"name": "", "arguments": "{}"}}]}])",
       "the name of a tool"},
      {R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{a}"}}]}])",
       "tool_calls[0].function.arguments"},
      {R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[]"}}]}])", "a JSON object"},
      {R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 7}}]}])", "arguments"},
  };
  for (const auto& [json, expected] : cases)
    EXPECT_THAT(error_of([&, json = json] { messages(json); }), HasSubstr(expected)) << json;
  EXPECT_THAT(error_of([] { tools(R"({"tools": [{"type": "retrieval"}]})"); }), HasSubstr("retrieval"));
  EXPECT_THAT(error_of([] { tools(R"({"tools": [{"type": "custom", "function": {"name": "f"}}]})"); }),
              HasSubstr("custom"));
  EXPECT_THAT(error_of([] { tools(R"({"tools": [{"description": "x"}]})"); }), HasSubstr("tools[0].name"));
  EXPECT_THAT(error_of([] { tools(R"({"tools": [{"name": ""}]})"); }), HasSubstr("the name of a tool"));
  EXPECT_THAT(error_of([] { tools(R"({"tools": {}})"); }), HasSubstr("tools"));
}

}  // namespace
}  // namespace minimax::text
