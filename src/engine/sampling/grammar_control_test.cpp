// Structured output through the whole engine: answers of a model with random weights, under random schemas.
#include "engine/sampling/grammar_control.h"

#include <gtest/gtest.h>

#include "engine/test_engine.h"
#include "io/json.h"
#include "text/grammar/random_schema.h"
#include "text/grammar/schema_validator.h"

namespace minimax::engine {
namespace {

using minimax::test::RandomSchema;
using minimax::test::SchemaValidator;

// Bytes, tokens across the joints of JSON, an end, and rows of the model that have no token.
constexpr int64_t kRows = 300;

std::shared_ptr<const text::GrammarVocabulary> vocabulary() {
  std::vector<std::string> texts;
  for (int byte = 0; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
  for (const char* token :
       {"{\"", "\":", "\": \"", "\",", "\"}", "},", "]}", "null", "true", ", \"", "name", "1}", "\xC3\xA9\""})
    texts.emplace_back(token);
  texts.resize(kRows);
  return std::make_shared<const text::GrammarVocabulary>(std::move(texts), std::vector<int32_t>{kRows - 1});
}

TEST(GrammarControl, AnswersOfARandomModelParseAndValidate) {
  ModelConfig config = test::tiny_config();
  config.vocab = kRows;
  ThreadPool threads(1);
  const MiniMaxM1 model = random_model(config, DType::kFloat32, 5, threads);
  Engine engine(model, threads, {.context = 2048, .max_running = 8});
  text::GrammarCompiler compiler(vocabulary());
  struct Asked {
    std::string schema;
    std::shared_ptr<Collector> listener;
  };
  std::vector<Asked> all;
  for (uint32_t seed = 0; seed < 40; ++seed) {
    const std::string schema = RandomSchema(seed).schema();
    Request request = test::request_of({1, 2, static_cast<int32_t>(seed)}, 600);
    try {
      request.constraint = std::make_shared<GrammarControl>(compiler.json_schema(schema));
    } catch (const Error&) {
      continue;  // nothing satisfies it, or it is refused
    }
    request.stop_ids = {kRows - 1};
    request.sampling.seed = seed;
    // Random weights rarely end a string, so what ends things is made likelier.
    for (const char c : std::string_view("\"]}")) request.sampling.logit_bias.push_back({c, 4.0f});
    all.push_back({schema, test::submit(engine, std::move(request))});
  }
  engine.run();
  const auto texts = vocabulary();
  int complete = 0;
  for (const Asked& asked : all) {
    const Collector::Answer& answer = asked.listener->answers.at(0);
    EXPECT_NE(answer.end.reason, FinishReason::kError) << answer.end.error << "\n" << asked.schema;
    if (answer.end.reason != FinishReason::kStopToken) continue;
    ++complete;
    std::string text;
    for (const int32_t id : answer.ids) text += texts->text(id);
    const auto schema = io::parse_json(asked.schema, "schema");
    const auto value = io::parse_json(text, "answer", {.duplicate_keys = io::DuplicateKeys::kKeepLast});
    EXPECT_TRUE(SchemaValidator(schema).valid(value)) << text << "\n" << asked.schema;
  }
  EXPECT_GT(complete, static_cast<int>(all.size()) * 3 / 4);
}

TEST(GrammarControl, ChoiceEndsWithoutAnEndToken) {
  ModelConfig config = test::tiny_config();
  config.vocab = kRows;
  ThreadPool threads(1);
  const MiniMaxM1 model = random_model(config, DType::kFloat32, 5, threads);
  Engine engine(model, threads, {.context = 256});
  text::GrammarCompiler compiler(vocabulary());
  Request request = test::request_of({1, 2, 3}, 100);
  const std::vector<std::string> choices{"yes", "no"};
  request.constraint = std::make_shared<GrammarControl>(compiler.choice(choices));
  request.stop_ids = {kRows - 1};
  request.n = 4;
  const auto listener = test::submit(engine, std::move(request));
  engine.run();
  ASSERT_EQ(listener->answers.size(), 4U);
  for (const auto& answer : listener->answers) {
    EXPECT_EQ(answer.end.reason, FinishReason::kStopToken);
    std::string text;
    for (const int32_t id : answer.ids) text += static_cast<char>(id);
    EXPECT_TRUE(text == "yes" || text == "no") << text;
  }
}

}  // namespace
}  // namespace minimax::engine
