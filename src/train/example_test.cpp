#include "train/example.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "io/atomic_file.h"
#include "io/test_folder.h"
#include "text/chat_encode.h"
#include "train/data_files.h"
#include "train/test_tokenizer.h"

namespace minimax::train {
namespace {

using testing::HasSubstr;
using text::Message;
using text::Role;
using text::text_message;

class ExampleTest : public testing::Test {
 protected:
  /// What the model is to write, one text for each run of targets.
  std::vector<std::string> learned(const Example& example) const {
    std::vector<std::string> runs;
    std::vector<int32_t> run;
    for (size_t i = 0; i <= example.tokens.size(); ++i) {
      if (i < example.tokens.size() && example.targets[i]) {
        run.push_back(example.tokens[i]);
      } else if (!run.empty()) {
        runs.push_back(tokenizer().decode(run, text::SpecialTokens::kKeep));
        run.clear();
      }
    }
    return runs;
  }
  std::string whole(const Example& example) const {
    return tokenizer().decode(example.tokens, text::SpecialTokens::kKeep);
  }
  const text::Tokenizer& tokenizer() const { return *small.tokenizer; }

  test::SmallTokenizer small;
};

TEST_F(ExampleTest, LearnsWhatTheAssistantWrites) {
  Message thinking = text_message(Role::kAssistant, "4");
  thinking.reasoning = "2+2=4";
  const Message messages[] = {text_message(Role::kSystem, "Be short."),
                              text_message(Role::kUser, "2+2?"),
                              thinking,
                              text_message(Role::kUser, "and 3+3?"),
                              text_message(Role::kAssistant, "6"),
                              text_message(Role::kUser, "thanks")};
  const Example example = conversation_example(messages, {}, {}, tokenizer());
  EXPECT_THAT(learned(example),
              testing::ElementsAre("<think>\n2+2=4\n</think>\n\n4<end_of_sentence>", "6<end_of_sentence>"));
  // The rest is the template's rendering, up to the last answer.
  text::ChatOptions options;
  options.add_generation_prompt = false;
  const std::string rendered = text::to_string(text::render_chat(std::span(messages).first(5), {}, options));
  EXPECT_EQ(whole(example) + "\n", rendered);
}

TEST_F(ExampleTest, LearnsTheAnswerAloneOrNothingOfATurn) {
  Message cut = text_message(Role::kAssistant, "4"), unthought = text_message(Role::kAssistant, "6");
  cut.reasoning = "2+";
  unthought.reasoning = "";
  const Message messages[] = {text_message(Role::kUser, "2+2?"),    text_message(Role::kAssistant, "5"),
                              text_message(Role::kUser, "really?"), cut,
                              text_message(Role::kUser, "3+3?"),    unthought};
  const Learn learn[] = {Learn::kAll, Learn::kNothing, Learn::kAll, Learn::kAnswer, Learn::kAll, Learn::kAnswer};
  const Example example = conversation_example(messages, {}, {}, tokenizer(), learn);
  EXPECT_THAT(learned(example), testing::ElementsAre("4<end_of_sentence>", "6<end_of_sentence>"));
  text::ChatOptions options;
  options.add_generation_prompt = false;
  EXPECT_EQ(whole(example) + "\n", text::to_string(text::render_chat(messages, {}, options)));
  // Before the answer stand the ids that the engine writes, after any token and at once.
  const auto holds = [&](const std::string& text) {
    const std::vector<int32_t> ids = tokenizer().encode(text);
    return std::search(example.tokens.begin(), example.tokens.end(), ids.begin(), ids.end()) != example.tokens.end();
  };
  EXPECT_TRUE(holds("\n</think>\n\n"));
  EXPECT_TRUE(holds("<think>\n\n</think>\n\n"));

  const Learn wrong[] = {Learn::kAll, Learn::kAnswer};
  EXPECT_THAT([&] { conversation_example(std::span(messages).first(2), {}, {}, tokenizer(), wrong); },
              testing::ThrowsMessage<Error>(HasSubstr("message 1 is to be learned without its thinking")));
}

TEST_F(ExampleTest, FilesSayWhatToLearn) {
  const test::Folder folder;
  const auto learn_of = [&](const std::string& mark) {
    const auto path = folder.path() / "chats.jsonl";
    io::write_file(path, R"({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "4")" +
                             mark + "}]}\n");
    return conversation_of(read_data_file({.name = "chats", .path = path}), 0).learn;
  };
  EXPECT_THAT(learn_of(""), testing::ElementsAre(Learn::kAll, Learn::kAll));
  EXPECT_THAT(learn_of(R"(, "learn": "answer")"), testing::ElementsAre(Learn::kAll, Learn::kAnswer));
  EXPECT_THAT(learn_of(R"(, "learn": "nothing")"), testing::ElementsAre(Learn::kAll, Learn::kNothing));
  EXPECT_THAT([&] { learn_of(R"(, "learn": "some")"); },
              testing::ThrowsMessage<Error>(HasSubstr(R"("messages[1].learn" is "some")")));
}

TEST_F(ExampleTest, PromptIsEncodedAsForGeneration) {
  // An answer that begins with a line end could merge with the template's own.
  const Message messages[] = {text_message(Role::kUser, "hi"), text_message(Role::kAssistant, "\n\nthe answer")};
  const Example example = conversation_example(messages, {}, {}, tokenizer());
  const std::vector<int32_t> prompt = text::encode(text::render_chat(std::span(messages).first(1), {}), tokenizer());
  ASSERT_GT(example.tokens.size(), prompt.size());
  EXPECT_TRUE(std::equal(prompt.begin(), prompt.end(), example.tokens.begin()));
  for (size_t i = 0; i < example.tokens.size(); ++i) EXPECT_EQ(example.targets[i], i >= prompt.size()) << i;
}

TEST_F(ExampleTest, ToolCallsAreLearnedAndTheirResultsAreNot) {
  Message call;
  call.role = Role::kAssistant;
  call.tool_calls = {{.id = "1", .name = "add", .arguments = "{\"a\": 1}"}};
  Message result = text_message(Role::kTool, "3");
  result.tool_call_id = "1";
  const Message messages[] = {text_message(Role::kUser, "1+2?"), call, result, text_message(Role::kAssistant, "3!")};
  const text::ToolDefinition tool{"add", R"({"name": "add"})"};
  const std::vector<std::string> runs = learned(conversation_example(messages, {&tool, 1}, {}, tokenizer()));
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_THAT(runs[0], HasSubstr("<tool_calls>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_calls>"));
  EXPECT_TRUE(runs[0].ends_with("<end_of_sentence>"));
  EXPECT_EQ(runs[1], "3!<end_of_sentence>");
}

TEST_F(ExampleTest, RefusesWhatIsNoSingleSequence) {
  const Message messages[] = {text_message(Role::kUser, "a"), text_message(Role::kAssistant, "b"),
                              text_message(Role::kSystem, "late"), text_message(Role::kUser, "c"),
                              text_message(Role::kAssistant, "d")};
  const text::ChatOptions options{.keep_all_text = true};
  EXPECT_THAT(test::error_of([&] { conversation_example(messages, {}, options, tokenizer()); }),
              HasSubstr("message 4 changes how the messages before it are rendered"));
  EXPECT_EQ(conversation_example(std::span(messages).first(1), {}, options, tokenizer()).target_count(), 0);
}

TEST_F(ExampleTest, TextsAreCutSoThatEveryTargetIsLearnedOnce) {
  const Example example = text_example("one two three", tokenizer());
  EXPECT_EQ(whole(example), "<beginning_of_sentence>one two three<end_of_sentence>");
  const auto tokens = static_cast<int64_t>(example.tokens.size());
  EXPECT_EQ(example.target_count(), tokens - 1);
  for (int64_t size = 2; size <= tokens + 2; ++size) {
    int64_t targets = 0;
    std::vector<int32_t> joined;
    for (const Example& run : cut(example, size)) {
      EXPECT_LE(static_cast<int64_t>(run.tokens.size()), size);
      EXPECT_FALSE(run.targets[0]);
      targets += run.target_count();
      joined.insert(joined.end(), run.tokens.begin() + (joined.empty() ? 0 : 1), run.tokens.end());
    }
    EXPECT_EQ(targets, tokens - 1);
    EXPECT_EQ(joined, example.tokens);
  }
}

}  // namespace
}  // namespace minimax::train
