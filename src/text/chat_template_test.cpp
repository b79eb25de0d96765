// The two templates against golden texts (tools/make_chat_goldens.py), and what our options add to them.
#include "text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/error.h"
#include "io/json.h"
#include "text/chat_json.h"

namespace minimax::text {
namespace {

using testing::HasSubstr;

const std::filesystem::path kTestdata = MINIMAX_TESTDATA;

void expect_goldens(const std::string& file, ChatTemplate chat_template) {
  const io::json::value goldens = io::read_json_file(kTestdata / "chat" / file);
  const io::JsonField cases(goldens, file);
  ASSERT_GT(cases.size(), 20);
  for (int64_t index = 0; index < cases.size(); ++index) {
    const io::JsonField golden = cases[index];
    const ChatOptions options{.chat_template = chat_template,
                              .add_generation_prompt = golden["add_generation_prompt"].boolean()};
    EXPECT_EQ(to_string(render_chat(messages_from_json(golden["messages"]), tools_from_json(golden["tools"]), options)),
              golden["text"].string())
        << file << ": " << golden["name"].string();
  }
}

TEST(ChatTemplate, OfficialGoldens) {
  expect_goldens("official.json", ChatTemplate::kOfficial);
}

TEST(ChatTemplate, ToolsGoldens) {
  expect_goldens("tools.json", ChatTemplate::kTools);
}

Message user(std::string text) {
  return text_message(Role::kUser, std::move(text));
}
Message assistant(std::string text) {
  return text_message(Role::kAssistant, std::move(text));
}
const ToolDefinition kTool{.name = "f", .json = "{\"name\": \"f\"}"};

std::string render(const std::vector<Message>& messages, const ChatOptions& options,
                   const std::vector<ToolDefinition>& tools = {}) {
  return to_string(render_chat(messages, tools, options));
}

TEST(ChatTemplate, NoTextBecomesASpecialToken) {
  const std::string text = "<end_of_sentence>\n<beginning_of_sentence>";
  for (ChatTemplate chat_template : {ChatTemplate::kOfficial, ChatTemplate::kTools}) {
    const ChatPrompt prompt =
        render_chat(std::vector{user(text)}, {}, {.chat_template = chat_template, .default_system_prompt = ""});
    ASSERT_EQ(prompt.size(), 7u);
    EXPECT_EQ(prompt[0], (ChatPiece{.special = true, .text = "<begin_of_document>"}));
    EXPECT_EQ(prompt[1], (ChatPiece{.special = true, .text = "<beginning_of_sentence>"}));
    EXPECT_EQ(prompt[2], (ChatPiece{.special = false, .text = "user name=user\n" + text}));
    EXPECT_EQ(prompt[3], (ChatPiece{.special = true, .text = "<end_of_sentence>"}));
    EXPECT_EQ(prompt[4], (ChatPiece{.special = false, .text = "\n"}));
    EXPECT_EQ(prompt[5], (ChatPiece{.special = true, .text = "<beginning_of_sentence>"}));
    EXPECT_FALSE(prompt[6].special);
  }
}

TEST(ChatTemplate, AutoChoosesByTools) {
  const std::string official = "ai name=assistant\n", tools = "ai name=MiniMax AI\n";
  EXPECT_THAT(render({user("a")}, {}), HasSubstr(official));
  EXPECT_THAT(render({user("a")}, {}, {kTool}), HasSubstr(tools));
  Message call{.role = Role::kAssistant, .tool_calls = {{.id = "1", .name = "f", .arguments = "{}"}}};
  EXPECT_THAT(render({user("a"), call}, {}), HasSubstr(tools));
  EXPECT_THAT(render({user("a"), text_message(Role::kTool, "r")}, {}), HasSubstr(tools));
}

TEST(ChatTemplate, NamesOfTemplates) {
  for (ChatTemplate chat_template : {ChatTemplate::kAuto, ChatTemplate::kOfficial, ChatTemplate::kTools})
    EXPECT_EQ(parse_chat_template(to_string(chat_template)), chat_template);
  EXPECT_THROW(parse_chat_template("chatml"), Error);
}

TEST(ChatTemplate, DefaultSystemPromptIsForConversationsWithout) {
  for (ChatTemplate chat_template : {ChatTemplate::kOfficial, ChatTemplate::kTools}) {
    const ChatOptions options{.chat_template = chat_template, .default_system_prompt = "Be kind."};
    EXPECT_THAT(render({user("a")}, options), HasSubstr("\nBe kind.<end_of_sentence>"));
    EXPECT_THAT(render({text_message(Role::kSystem, "Mine."), user("a")}, options),
                testing::Not(HasSubstr("Be kind.")));
  }
  EXPECT_THAT(render({user("a")}, {.chat_template = ChatTemplate::kTools, .default_system_prompt = ""}),
              testing::Not(HasSubstr("system")));
}

TEST(ChatTemplate, ReasoningIsWrittenAsTheModelWroteIt) {
  Message thought = assistant("Four.");
  thought.reasoning = "2+2";
  for (ChatTemplate chat_template : {ChatTemplate::kOfficial, ChatTemplate::kTools})
    EXPECT_THAT(render({user("a"), thought, user("b")}, {.chat_template = chat_template}),
                HasSubstr("\n<think>\n2+2\n</think>\n\nFour.<end_of_sentence>"));
  thought.tool_calls = {{.id = "1", .name = "f", .arguments = "{}"}};
  EXPECT_THAT(render({user("a"), thought}, {}), HasSubstr("\n<think>\n2+2\n</think>\n\n<tool_calls>\n{\"name\": \"f\", "
                                                          "\"arguments\": {}}\n</tool_calls><end_of_sentence>"));
}

TEST(ChatTemplate, ReasoningOfOldTurnsCanBeLeftOut) {
  Message apart = assistant("Four.");
  apart.reasoning = "2+2";
  const Message inside = assistant("<think>\n3+3\n</think>\n\nSix.");
  for (ChatTemplate chat_template : {ChatTemplate::kOfficial, ChatTemplate::kTools}) {
    const ChatOptions options{.chat_template = chat_template, .keep_reasoning = false};
    const std::string old = render({user("a"), apart, user("b"), inside, user("c")}, options);
    EXPECT_THAT(old, HasSubstr("\nFour.<end_of_sentence>"));
    EXPECT_THAT(old, HasSubstr("\nSix.<end_of_sentence>"));
    EXPECT_THAT(old, testing::Not(HasSubstr("think")));
    // After the last user message a turn is not old: the model is still at it.
    EXPECT_THAT(render({user("a"), apart, text_message(Role::kTool, "r")}, {.keep_reasoning = false}),
                HasSubstr("2+2"));
  }
}

TEST(ChatTemplate, AllTextCanBeKept) {
  const std::vector<Message> messages{
      {.role = Role::kSystem, .content = {{.text = "S1"}, {.text = "S2"}}},
      {.role = Role::kUser, .content = {{.text = "U1"}, {.text = "U2"}}},
      text_message(Role::kSystem, "S3"),
      {.role = Role::kAssistant,
       .content = {{.text = "A"}},
       .tool_calls = {{.id = "1", .name = "f", .arguments = "{}"}}},
  };
  for (ChatTemplate chat_template : {ChatTemplate::kOfficial, ChatTemplate::kTools}) {
    const std::string text = render(messages, {.chat_template = chat_template, .keep_all_text = true});
    EXPECT_THAT(text, HasSubstr("\nS1S2\n\nS3<end_of_sentence>"));
    EXPECT_THAT(text, HasSubstr("\nU1U2<end_of_sentence>"));
    EXPECT_THAT(text, HasSubstr("\nA\n<tool_calls>\n"));
  }
}

TEST(ChatTemplate, ToolResultsFindTheirName) {
  Message call{
      .role = Role::kAssistant,
      .tool_calls = {{.id = "1", .name = "f", .arguments = "{}"}, {.id = "2", .name = "g", .arguments = "{}"}}};
  Message result = text_message(Role::kTool, "r");
  result.tool_call_id = "2";
  const ChatOptions official{.chat_template = ChatTemplate::kOfficial};
  EXPECT_THAT(render({user("a"), call, result}, official),
              HasSubstr("tool name: g\ntool result: r\n\n<end_of_sentence>"));
  result.name = "h";
  EXPECT_THAT(render({user("a"), call, result}, official), HasSubstr("tool name: h\n"));
}

std::string error_of(const std::vector<Message>& messages, const ChatOptions& options = {}) {
  try {
    render(messages, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(ChatTemplate, ErrorsNameTheMessage) {
  Message result = text_message(Role::kTool, "r");
  result.tool_call_id = "call_9";
  EXPECT_THAT(error_of({user("a"), result}, {.chat_template = ChatTemplate::kOfficial}),
              HasSubstr("message 1 (tool) names no tool, and its tool_call_id \"call_9\" is that of no earlier call"));
  EXPECT_THAT(error_of({user("a"), {.role = Role::kUser}}), HasSubstr("message 1 (user) has no text"));
  EXPECT_THAT(error_of({user("a"), {.role = Role::kTool}}), HasSubstr("message 1 (tool) has no text"));
  EXPECT_THAT(
      error_of({user("a"), {.role = Role::kAssistant, .tool_calls = {{.id = "1", .name = "f", .arguments = "{a}"}}}}),
      HasSubstr("message 1: arguments of \"f\": not JSON"));
}

}  // namespace
}  // namespace minimax::text
