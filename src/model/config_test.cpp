#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "io/atomic_file.h"
#include "io/file.h"
#include "io/test_folder.h"

namespace minimax {
namespace {

using test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr LayerKind kLightning = LayerKind::kLightning;
constexpr LayerKind kSoftmax = LayerKind::kSoftmax;

ModelConfig parse(const std::string& text) {
  return parse_config(text, "config.json");
}
std::string parse_error(const std::string& text) {
  return error_of([&] { parse(text); });
}
// A small valid config of each family with more members appended.
std::string remote(const std::string& more = "") {
  return R"({"model_type": "minimax_m1", "num_hidden_layers": 3, "attn_type_list": [0, 0, 1])" +
         (more.empty() ? "" : ", " + more) + "}";
}
std::string native(const std::string& more = "") {
  return R"({"model_type": "minimax", "num_hidden_layers": 3)" + (more.empty() ? "" : ", " + more) + "}";
}

TEST(Config, PublishedM1) {
  const ModelConfig config = read_config(MINIMAX_TESTDATA "/m1");
  EXPECT_THAT(config.warnings, IsEmpty());
  EXPECT_EQ(config.vocab, 200064);
  EXPECT_EQ(config.hidden, 6144);
  EXPECT_EQ(config.ffn, 9216);
  EXPECT_EQ(config.layers, 80);
  EXPECT_EQ(config.heads, 64);
  EXPECT_EQ(config.kv_heads, 8);
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.attention_dim(), 8192);
  EXPECT_EQ(config.kv_dim(), 1024);
  EXPECT_EQ(config.rotary_dim, 64);
  EXPECT_EQ(config.rope_theta, 1e7);
  EXPECT_EQ(config.max_positions, 10240000);
  EXPECT_EQ(config.experts, 32);
  EXPECT_EQ(config.top_k, 2);
  EXPECT_EQ(config.shared_ffn, 0);
  EXPECT_TRUE(config.postnorm);
  EXPECT_FALSE(config.tied_embeddings);
  EXPECT_EQ(config.norm_eps, 1e-5);
  EXPECT_EQ(config.lightning_norm_eps, 1e-6);
  for (const LayerKind kind : {kLightning, kSoftmax}) {
    EXPECT_EQ(config.alpha(kind), std::pow(160.0, 0.25));
    EXPECT_EQ(config.beta(kind), 1.0);
  }
  EXPECT_EQ(config.moe_alpha, std::pow(160.0, 0.25));
  EXPECT_EQ(config.router_aux_loss_coef, 0.001);
  EXPECT_EQ(config.bos, std::nullopt);
  EXPECT_THAT(config.eos, IsEmpty());
  for (int64_t layer = 0; layer < 80; ++layer)
    EXPECT_EQ(config.layer_kind[static_cast<size_t>(layer)], layer % 8 == 7 ? kSoftmax : kLightning);
}

TEST(Config, TextOneIsTheSameModelUnderAnotherName) {
  std::string text = io::read_file(MINIMAX_TESTDATA "/m1/config.json");
  text.replace(text.find("\"minimax_m1\""), 12, "\"minimax_text_01\"");
  ModelConfig config = parse(text);
  EXPECT_EQ(config.model_type, "minimax_text_01");
  config.model_type = "minimax_m1";
  EXPECT_EQ(config, read_config(MINIMAX_TESTDATA "/m1"));
  EXPECT_EQ(parse(R"({"model_type": "MiniMaxText01", "num_hidden_layers": 1, "attn_type_list": [0]})").layers, 1);
}

TEST(Config, BothSpellingsOfEveryGoldenModelAgree) {
  for (const char* name : {"m1-tiny", "m1-tiny-f32", "m1-tiny-plain", "m1-tiny-long", "m1-tiny-grad"}) {
    const std::string folder = std::string(MINIMAX_TESTDATA "/golden/") + name;
    ModelConfig published = read_config(folder);
    ModelConfig native = parse(io::read_file(folder + "/config_native.json"));
    EXPECT_EQ(native.model_type, "minimax");
    EXPECT_THAT(published.warnings, IsEmpty());
    EXPECT_THAT(native.warnings, IsEmpty());
    EXPECT_TRUE(published.dtype.has_value());
    native.model_type = published.model_type;
    native.dtype = published.dtype;  // the native files say null
    EXPECT_EQ(native, published) << name;
  }
}

TEST(Config, DefaultsOfTheRemoteCodeClass) {
  const ModelConfig config = parse(remote());
  EXPECT_EQ(config.vocab, 32000);
  EXPECT_EQ(config.hidden, 4096);
  EXPECT_EQ(config.ffn, 14336);
  EXPECT_EQ(config.heads, 32);
  EXPECT_EQ(config.kv_heads, 8);
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.rotary_dim, 128);
  EXPECT_EQ(config.rope_theta, 1e6);
  EXPECT_EQ(config.max_positions, 131072);
  EXPECT_EQ(config.experts, 8);
  EXPECT_EQ(config.top_k, 2);
  EXPECT_FALSE(config.postnorm);
  EXPECT_EQ(config.lightning_alpha, 1.0);
  EXPECT_EQ(config.bos, std::nullopt);
  EXPECT_THAT(config.eos, IsEmpty());
  EXPECT_THAT(config.layer_kind, ElementsAre(kLightning, kLightning, kSoftmax));
}

TEST(Config, DefaultsOfTheNativeClassDiffer) {
  const ModelConfig config = parse(native());
  EXPECT_TRUE(config.postnorm);
  EXPECT_EQ(config.bos, 1);
  EXPECT_THAT(config.eos, ElementsAre(2));
  EXPECT_THAT(config.layer_kind, ElementsAre(kSoftmax, kLightning, kSoftmax));
  EXPECT_EQ(config.rope_theta, 1e6);
  EXPECT_EQ(parse(native(R"("bos_token_id": null, "eos_token_id": [5, 7])")).eos, std::vector<int64_t>({5, 7}));
  EXPECT_EQ(parse(native(R"("bos_token_id": null)")).bos, std::nullopt);
}

TEST(Config, NullAndAbsentKvHeadsDiffer) {
  EXPECT_EQ(parse(remote(R"("num_key_value_heads": null)")).kv_heads, 32);
  EXPECT_EQ(parse(remote()).kv_heads, 8);
}

TEST(Config, RotaryWidthFromEverySpelling) {
  EXPECT_EQ(parse(remote(R"("rotary_dim": 64)")).rotary_dim, 64);
  EXPECT_EQ(parse(native(R"("rotary_dim": 64)")).rotary_dim, 64);
  EXPECT_EQ(parse(native(R"("partial_rotary_factor": 0.25)")).rotary_dim, 32);
  EXPECT_EQ(parse(native(R"("rope_parameters": {"partial_rotary_factor": 0.5, "rope_theta": 5})")).rotary_dim, 64);
  EXPECT_EQ(parse(native(R"("rope_parameters": {"full_attention": {"partial_rotary_factor": 0.5}})")).rotary_dim, 64);
  const ModelConfig both = parse(native(R"("rotary_dim": 64, "partial_rotary_factor": 0.25)"));
  EXPECT_EQ(both.rotary_dim, 64);
  EXPECT_THAT(both.warnings, ElementsAre(HasSubstr("\"rotary_dim\" is 64, but \"partial_rotary_factor\" gives 32")));
}

TEST(Config, ThetaConflictsWarn) {
  EXPECT_EQ(parse(native(R"("rope_theta": 10000)")).rope_theta, 1e4);
  const std::string conflict =
      R"("rope_theta": 10000000, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6})";
  const ModelConfig tiny = parse(native(conflict));
  EXPECT_EQ(tiny.rope_theta, 1e6);
  EXPECT_THAT(tiny.warnings, ElementsAre(HasSubstr("\"rope_parameters.rope_theta\" is 1e+06")));
  // The published size is known to have been trained with 1e7.
  const ModelConfig full = parse(R"({"model_type": "minimax", "hidden_size": 6144, "num_hidden_layers": 80,
    "num_attention_heads": 64, "head_dim": 128, )" +
                                 conflict + "}");
  EXPECT_EQ(full.rope_theta, 1e7);
  EXPECT_THAT(full.warnings, ElementsAre(HasSubstr("used: 1e+07")));
  EXPECT_THAT(parse_error(native(R"("rope_parameters": {"rope_type": "yarn"})")),
              HasSubstr("\"rope_parameters.rope_type\" is \"yarn\" (string), expected \"default\""));
  EXPECT_THAT(parse_error(remote(R"("rope_scaling": {"type": "linear"})")), HasSubstr("rope_scaling.type"));
}

TEST(Config, LayerKindsInEverySpelling) {
  const std::string types = R"("layer_types": ["linear_attention", "full_attention", "linear_attention"])";
  EXPECT_THAT(parse(native(types)).layer_kind, ElementsAre(kLightning, kSoftmax, kLightning));
  EXPECT_THAT(
      parse(R"({"num_hidden_layers": 1, "model_type": "minimax_m1", "decoder_attention_types": [1]})").layer_kind,
      ElementsAre(kSoftmax));
  EXPECT_THAT(parse_error(remote(types)), HasSubstr("\"layer_types\" and \"attn_type_list\" name different layers"));
  EXPECT_THAT(parse_error(R"({"model_type": "minimax_m1"})"),
              HasSubstr("\"attn_type_list\" is absent, expected an array of 32: 0 (lightning attention) or 1"));
  EXPECT_THAT(parse_error(R"({"model_type": "minimax_m1", "num_hidden_layers": 2, "attn_type_list": [0]})"),
              HasSubstr("\"attn_type_list\" is an array of 1, expected an array of num_hidden_layers = 2"));
  EXPECT_THAT(parse_error(R"({"model_type": "minimax_m1", "num_hidden_layers": 2, "attn_type_list": [0, 2]})"),
              HasSubstr("\"attn_type_list[1]\" is 2 (number), expected an integer from 0 to 1"));
  EXPECT_THAT(parse_error(R"({"model_type": "minimax", "num_hidden_layers": 1, "layer_types": ["sliding_attention"]})"),
              HasSubstr("\"layer_types[0]\" is \"sliding_attention\" (string)"));
}

TEST(Config, AForeignSpellingOfAFactorIsUsedWithAWarning) {
  const ModelConfig only = parse(native(R"("layernorm_mlp_alpha": 3.5)"));
  EXPECT_EQ(only.moe_alpha, 3.5);
  EXPECT_THAT(only.warnings, ElementsAre(HasSubstr("\"layernorm_mlp_alpha\" is 3.5, of another spelling")));
  const ModelConfig both = parse(native(R"("layernorm_mlp_alpha": 3.5, "mlp_alpha_factor": 2)"));
  EXPECT_EQ(both.moe_alpha, 2.0);
  EXPECT_EQ(both.warnings.size(), 1u);
}

TEST(Config, NativeModelsAreAlwaysPostnorm) {
  const ModelConfig config = parse(native(R"("postnorm": false)"));
  EXPECT_TRUE(config.postnorm);
  EXPECT_THAT(config.warnings, ElementsAre(HasSubstr("\"postnorm\" is false")));
}

TEST(Config, OtherModelsAreRefusedByName) {
  for (const char* name : {"minimax_m2", "MiniMaxM2", "minimax_m3"})
    EXPECT_THAT(parse_error(std::string(R"({"model_type": ")") + name + "\"}"),
                HasSubstr(std::string("\"model_type\" is \"") + name +
                          "\" (string), expected minimax_m1, minimax_text_01 or minimax (later MiniMax models"));
  EXPECT_THAT(parse_error(R"({"model_type": "llama"})"), HasSubstr("\"model_type\" is \"llama\" (string), expected"));
  EXPECT_THAT(parse_error(R"({"model_type": 7})"), HasSubstr("\"model_type\" is 7 (number), expected a string"));
}

TEST(Config, AnAbsentModelTypeIsGuessedFromTheMembers) {
  const ModelConfig published = parse(R"({"num_hidden_layers": 1, "attn_type_list": [0]})");
  EXPECT_FALSE(published.postnorm);
  EXPECT_THAT(published.warnings, ElementsAre(HasSubstr("\"model_type\" is absent; read as minimax_m1")));
  EXPECT_TRUE(parse(R"({"num_hidden_layers": 1, "layer_types": ["full_attention"]})").postnorm);
}

TEST(Config, ExpertsAndTheirAlias) {
  EXPECT_EQ(parse(remote(R"("num_experts": 4)")).experts, 4);
  EXPECT_EQ(parse(remote(R"("num_local_experts": [16, 16, 16])")).experts, 16);
  EXPECT_THAT(parse_error(remote(R"("num_local_experts": [16, 8, 16])")), HasSubstr("the same in all layers"));
  EXPECT_THAT(parse_error(remote(R"("num_local_experts": 4, "num_experts": 8)")),
              HasSubstr("\"num_experts\" is 8 (number), expected 4, as \"num_local_experts\" says"));
  EXPECT_THAT(parse_error(remote(R"("num_experts": 4, "num_experts_per_tok": 5)")),
              HasSubstr("5 experts for each token (num_experts_per_tok), expected at most num_local_experts = 4"));
}

TEST(Config, SharedExpertOnlyWithASigmoid) {
  EXPECT_EQ(parse(remote(R"("shared_intermediate_size": 64, "shared_moe_mode": "sigmoid")")).shared_ffn, 64);
  EXPECT_EQ(parse(remote(R"("shared_intermediate_size": 0, "shared_moe_mode": "softmax")")).shared_ffn, 0);
  EXPECT_THAT(parse_error(remote(R"("shared_intermediate_size": 64, "shared_moe_mode": "softmax")")),
              HasSubstr("\"shared_moe_mode\" is \"softmax\" (string), expected \"sigmoid\""));
}

TEST(Config, UnsupportedMembersAreRefused) {
  EXPECT_THAT(parse_error(remote(R"("sliding_window": 4096)")),
              HasSubstr("\"sliding_window\" is 4096 (number), expected null"));
  EXPECT_THAT(parse_error(remote(R"("hidden_act": "gelu")")),
              HasSubstr("\"hidden_act\" is \"gelu\" (string), expected \"silu\""));
  EXPECT_THAT(parse(remote(R"("quantization_config": {"quant_method": "x"})")).warnings,
              ElementsAre(HasSubstr("quantization_config")));
}

TEST(Config, OurOwnQuantizationIsReadInItsVersion) {
  EXPECT_TRUE(parse(remote(R"("quantization_config": {"quant_method": "minimax", "version": 1})")).warnings.empty());
  EXPECT_THAT(parse_error(remote(R"("quantization_config": {"quant_method": "minimax", "version": 2})")),
              HasSubstr("\"quantization_config.version\" is 2 (number), expected an integer"));
  EXPECT_THAT(parse_error(remote(R"("quantization_config": {"quant_method": "minimax"})")), HasSubstr("is absent"));
}

TEST(Config, HostileValuesAreRefusedByName) {
  EXPECT_EQ(parse_error(remote(R"("hidden_size": "abc")")),
            "config.json: \"hidden_size\" is \"abc\" (string), expected an integer from 1 to 16777216");
  for (const char* key :
       {"vocab_size", "hidden_size", "intermediate_size", "num_attention_heads", "head_dim", "num_key_value_heads",
        "num_local_experts", "num_experts_per_tok", "rotary_dim", "max_position_embeddings"})
    for (const char* value : {"0", "-1", "1e30", "9223372036854775807", "2.5", "\"8\"", "true", "[]", "{}"})
      EXPECT_THAT(parse_error(remote("\"" + std::string(key) + "\": " + value)),
                  HasSubstr("config.json: \"" + std::string(key) + "\" is "))
          << value;
  for (const char* key : {"rope_theta", "rms_norm_eps", "layernorm_mlp_alpha", "initializer_range"})
    for (const char* value : {"-1e30", "1e300", "\"1\"", "false"})
      EXPECT_THAT(parse_error(remote("\"" + std::string(key) + "\": " + value)), HasSubstr(key)) << value;
  EXPECT_THAT(parse_error(remote(R"("rms_norm_eps": NaN)")), HasSubstr("not JSON here"));
  EXPECT_THAT(parse_error(remote(R"("rms_norm_eps": 1e999)")), HasSubstr("too large"));
  EXPECT_THAT(parse_error(remote(R"("postnorm": 1)")), HasSubstr("\"postnorm\" is 1 (number), expected true or false"));
  EXPECT_THAT(parse_error(R"({"model_type": "minimax", "num_hidden_layers": 1000000000})"), HasSubstr("to 4096"));
  EXPECT_THAT(parse_error("[]"), HasSubstr("expected an object"));
  EXPECT_THAT(parse_error(std::string(100000, '[')), HasSubstr("nested deeper"));
  EXPECT_THAT(parse_error(R"({"hidden_size": 1, "hidden_size": 2})"), HasSubstr("comes twice"));
}

TEST(Config, SizesMustFitTogether) {
  EXPECT_THAT(parse_error(remote(R"("num_key_value_heads": 5)")),
              HasSubstr("32 attention heads (num_attention_heads), expected a multiple of the 5"));
  EXPECT_THAT(parse_error(remote(R"("rotary_dim": 130)")), HasSubstr("rotary_dim is 130, expected an even number"));
  EXPECT_THAT(parse_error(remote(R"("rotary_dim": 63)")), HasSubstr("rotary_dim is 63"));
  EXPECT_THAT(parse_error(remote(R"("hidden_size": 100)")),
              HasSubstr("\"head_dim\" is absent, expected a size, since hidden_size 100 is no multiple"));
  EXPECT_THAT(parse_error(remote(R"("hidden_size": 16777216, "intermediate_size": 16777216, "num_experts": 1024)")),
              HasSubstr("expected less than 2^60"));
  EXPECT_THAT(parse_error(R"({"model_type": "minimax", "num_hidden_layers": 4096, "num_experts": 65536})"),
              HasSubstr("4096 layers of 65536 experts, expected at most 262144 experts in all"));
}

TEST(Config, IdsOutsideTheVocabularyAreIgnored) {
  const ModelConfig config = parse(remote(R"("vocab_size": 100, "bos_token_id": 100, "eos_token_id": [7, 200020])"));
  EXPECT_EQ(config.bos, std::nullopt);
  EXPECT_THAT(config.eos, ElementsAre(7));
  EXPECT_EQ(config.warnings.size(), 2u);
}

TEST(Config, DecayFactorOfBothRules) {
  ModelConfig config = read_config(MINIMAX_TESTDATA "/m1");
  EXPECT_DOUBLE_EQ(config.decay_factor(0), 1.00001);
  EXPECT_DOUBLE_EQ(config.decay_factor(78), 1.0 - 78.0 / 79.0 + 1e-5);
  EXPECT_DOUBLE_EQ(config.decay_factor(79), 1e-5);
  config.decay_rule = DecayRule::kTransformers;
  EXPECT_DOUBLE_EQ(config.decay_factor(79), 1.0 - 79.0 / (79.0 + 1e-5) + 1e-5);
  config.layers = 1;
  EXPECT_EQ(config.decay_factor(0), 1.00001);
}

TEST(Config, WhatIsWrittenReadsBackTheSame) {
  ModelConfig config = read_config(MINIMAX_TESTDATA "/m1");
  EXPECT_EQ(parse(write_config(config)), config);
  config = parse(native(R"("bos_token_id": 3, "eos_token_id": [4, 5], "dtype": "float16", "tie_word_embeddings": true,
    "rms_norm_eps": 1e-6, "num_experts": 3, "rope_theta": 12345.5)"));
  config.model_type = "minimax_m1";
  config.decay_rule = DecayRule::kTransformers;
  config.lightning_norm_eps = 1e-5;
  config.shared_ffn = 12;
  EXPECT_EQ(parse(write_config(config)), config);
}

TEST(Config, AMissingFileIsNamed) {
  test::Folder folder;
  EXPECT_THAT(error_of([&] { read_config(folder.path()); }), HasSubstr("config.json: cannot open: No such file"));
}

}  // namespace
}  // namespace minimax
