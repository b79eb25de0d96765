// Prompts as ids, against the tokenizer's own reading of the rendered text.
#include "text/chat_encode.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "io/json.h"
#include "text/chat_json.h"

namespace minimax::text {
namespace {

const std::filesystem::path kTestdata = MINIMAX_TESTDATA;

// Ids of a prompt are those of its text with special tokens matched, as long as no message holds the text of one.
TEST(ChatTemplate, EncodesAsItsTextWouldBe) {
  const Tokenizer tokenizer = Tokenizer::load(kTestdata / "tokenizer");
  const std::string special_text = "text that looks like special tokens";
  for (const char* file : {"official.json", "tools.json"}) {
    const io::json::value goldens = io::read_json_file(kTestdata / "chat" / file);
    const io::JsonField cases(goldens, file);
    for (int64_t index = 0; index < cases.size(); ++index) {
      const io::JsonField golden = cases[index];
      const ChatPrompt prompt = render_chat(
          messages_from_json(golden["messages"]), tools_from_json(golden["tools"]),
          {.chat_template = std::string(file) == "tools.json" ? ChatTemplate::kTools : ChatTemplate::kOfficial,
           .add_generation_prompt = golden["add_generation_prompt"].boolean()});
      const std::vector<int32_t> ids = encode(prompt, tokenizer);
      if (golden["name"].string() == special_text)
        EXPECT_NE(ids, tokenizer.encode_with_special(to_string(prompt)));
      else
        EXPECT_EQ(ids, tokenizer.encode_with_special(to_string(prompt))) << golden["name"].string();
      EXPECT_EQ(tokenizer.decode(ids, SpecialTokens::kKeep), to_string(prompt)) << golden["name"].string();
    }
  }
}

}  // namespace
}  // namespace minimax::text
