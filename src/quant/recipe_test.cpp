#include "quant/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace minimax::quant {
namespace {

using testing::HasSubstr;

constexpr std::string_view kExpert = "model.layers.3.block_sparse_moe.experts.11.w2.weight";
constexpr std::string_view kQkv = "model.layers.3.self_attn.qkv_proj.weight";

std::string_view chosen(std::string_view recipe, Role role, std::string_view matrix) {
  return name(Recipe::parse(recipe, "--type").choose(role, matrix));
}

std::string problem(std::string_view recipe) {
  try {
    Recipe::parse(recipe, "--type");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Recipe, ABareFormatIsForAllButTheVocabulary) {
  EXPECT_EQ(chosen("q4", Role::kExpert, kExpert), "q4");
  EXPECT_EQ(chosen("q4", Role::kAttention, kQkv), "q4");
  EXPECT_EQ(chosen("q4", Role::kShared, "model.layers.0.shared_mlp.up_proj.weight"), "q4");
  EXPECT_EQ(chosen("q4", Role::kHead, "lm_head.weight"), "q8");
  EXPECT_EQ(chosen("mxfp4", Role::kEmbedding, "model.embed_tokens.weight"), "q8");
  EXPECT_EQ(chosen("q8", Role::kHead, "lm_head.weight"), "q8");
  EXPECT_EQ(chosen("bf16", Role::kHead, "lm_head.weight"), "bf16");
  EXPECT_EQ(chosen("experts-int8", Role::kExpert, kExpert), "experts-int8");
  EXPECT_EQ(chosen("experts-int8", Role::kAttention, kQkv), "keep");
  EXPECT_EQ(chosen("experts-int8", Role::kHead, "lm_head.weight"), "keep");
}

TEST(Recipe, TheLastRuleThatFitsHolds) {
  constexpr std::string_view kRecipe = "q5, experts=q4, attention=q8,head=bf16,layers\\.3\\..*w2=q6";
  EXPECT_EQ(chosen(kRecipe, Role::kExpert, kExpert), "q6");
  EXPECT_EQ(chosen(kRecipe, Role::kExpert, "model.layers.4.block_sparse_moe.experts.11.w2.weight"), "q4");
  EXPECT_EQ(chosen(kRecipe, Role::kAttention, kQkv), "q8");
  EXPECT_EQ(chosen(kRecipe, Role::kHead, "lm_head.weight"), "bf16");
  EXPECT_EQ(chosen(kRecipe, Role::kEmbedding, "model.embed_tokens.weight"), "q8");
  EXPECT_EQ(chosen("head=q4", Role::kHead, "lm_head.weight"), "q4");  // asked for
  EXPECT_EQ(chosen("experts=q4", Role::kAttention, kQkv), "keep");
  EXPECT_EQ(Recipe::parse("q5 , head=q4 # small\n", "f").text(), "q5 , head=q4");
}

TEST(Recipe, LinesOfAFileMayHaveCommas) {
  const auto recipe =
      Recipe::parse("# our recipe\nexperts = q4\n\nlayers\\.[0-9]{1,2}\\.self_attn = q6  # all\r\n", "f");
  EXPECT_EQ(name(recipe.choose(Role::kAttention, kQkv)), "q6");
  EXPECT_EQ(recipe.text(), "experts = q4,layers\\.[0-9]{1,2}\\.self_attn = q6");
}

TEST(Recipe, SaysWhatIsWrong) {
  EXPECT_THAT(problem("q7"), HasSubstr("--type: \"q7\" in \"q7\" is no format; expected q4, q5, q6, q8, mxfp4"));
  EXPECT_THAT(problem("experts=int4"), HasSubstr("\"int4\" in \"experts=int4\" is no format"));
  EXPECT_THAT(problem("=q4"), HasSubstr("\"=q4\" names no matrices"));
  EXPECT_THAT(problem("(=q4"), HasSubstr("\"(\" is neither a role"));
  EXPECT_THAT(problem(""), HasSubstr("there is no rule"));
  EXPECT_THAT(problem(" # q4"), HasSubstr("there is no rule"));
  EXPECT_THAT(problem(std::string(600, 'a') + "=q4"), HasSubstr("a rule of 603 bytes, expected at most 500"));
  EXPECT_THROW(chosen("attention=experts-int8", Role::kAttention, kQkv), Error);
}

TEST(Recipe, RulesThatFitNothingAreKnown) {
  const auto recipe = Recipe::parse("q8,attention=q6,layers\\.99\\.=q4", "--type");
  EXPECT_THAT(recipe.idle_rules({{std::string(kExpert), Role::kExpert}, {std::string(kQkv), Role::kAttention}}),
              testing::ElementsAre("layers\\.99\\.=q4"));
}

}  // namespace
}  // namespace minimax::quant
