// One grammar followed by several threads at once.
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "text/grammar/grammar.h"

namespace minimax::text {
namespace {

// An answer of random tokens, decided by the seed.
std::string answer(const std::shared_ptr<const Grammar>& grammar, uint32_t seed) {
  std::mt19937 random(seed);
  GrammarMatcher matcher(grammar);
  std::string text;
  while (!matcher.must_end() && text.size() < 2000) {
    const auto mask = matcher.allowed();
    std::vector<int32_t> ids;
    for (int32_t id = 0; id < 256; ++id)
      if ((mask[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0) ids.push_back(id);
    const int32_t id = ids[random() % ids.size()];
    EXPECT_TRUE(matcher.accept(id));
    text += static_cast<char>(id);
  }
  return text;
}

TEST(GrammarThreads, SameAnswersTogetherAsAlone) {
  std::vector<std::string> texts;
  for (int byte = 0; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
  texts.emplace_back();
  const auto vocabulary = std::make_shared<const GrammarVocabulary>(std::move(texts), std::vector<int32_t>{256});
  const std::string schema =
      R"({"type": "array", "items": {"enum": ["a", "bc", 12, null]}, "minItems": 3, "maxItems": 40})";
  GrammarCompiler shared(vocabulary), apart(vocabulary);
  std::array<std::string, 4> got;
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < got.size(); ++i)
    threads.emplace_back([&, i] { got[i] = answer(shared.json_schema(schema), i); });
  for (std::thread& thread : threads) thread.join();
  for (uint32_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], answer(apart.json_schema(schema), i));
}

}  // namespace
}  // namespace minimax::text
