#include "train/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/atomic_file.h"
#include "io/test_folder.h"

namespace minimax::train {
namespace {

using testing::HasSubstr;

class RecipeTest : public testing::Test {
 protected:
  RecipeTest() { io::write_file(folder / "chats.jsonl", "{}\n"); }

  Recipe read(const std::string& text) {
    io::write_file(folder / "recipe.toml", text);
    return read_recipe(folder / "recipe.toml");
  }
  std::string error(const std::string& text) {
    return test::error_of([&] { read(text); });
  }

  const std::string least =
      "tokenizer = \"tok\"\n"
      "[[data]]\npath = \"chats.jsonl\"\n"
      "[schedule]\nsteps = 50\n";

  test::Folder folder;
};

TEST_F(RecipeTest, LeastIsEnough) {
  const Recipe recipe = read(least);
  EXPECT_EQ(recipe.model.shape.hidden, 128);
  EXPECT_EQ(recipe.model.shape.layers, 8);
  EXPECT_EQ(recipe.tokenizer, folder / "tok");
  EXPECT_EQ(recipe.data.at(0).path, folder / "chats.jsonl");
  EXPECT_EQ(recipe.data[0].name, "chats");
  EXPECT_EQ(recipe.schedule.warmup_steps, 5);
  EXPECT_EQ(recipe.trainer.optimizer.eps, 1e-15);
  EXPECT_EQ(recipe.lora.rank, 0);
}

TEST_F(RecipeTest, EverythingCanBeSaid) {
  const Recipe recipe = read(
      "seed = 7\ntokenizer = \"tok\"\noutput = \"/tmp/run\"\ntensorboard = true\n"
      "[model]\nshape = \"pico\"\nlayers = 6\nsoftmax_every = 3\nhidden = 32\nheads = 4\nkv_heads = 2\nhead_dim = 8\n"
      "experts = 6\ntop_k = 3\nffn = 40\nvocab = 300\nprecision = \"bfloat16\"\ntied_embeddings = true\n"
      "[[data]]\nname = \"a\"\npath = \"chats.jsonl\"\nweight = 2\n"
      "[[data]]\nname = \"b\"\npath = \"chats.jsonl\"\nkind = \"text\"\n"
      "[held_out]\nshare = 0.1\nevery = 10\ntokens = 1000\n"
      "[batch]\ntokens = 100\npass_tokens = 50\ncontext = 40\n"
      "[schedule]\nsteps = 50\nrate = 3e-4\nwarmup = 7\ndecay = \"wsd\"\ndecay_steps = 9\nfinal_share = 0\n"
      "[optimizer]\nbeta1 = 0.8\nbeta2 = 0.9\neps = 1e-8\nweight_decay = 0.1\nmax_norm = 0.5\nskip_factor = 10\n"
      "balance = 0\nbalance_over = \"pass\"\ncheckpoint_layers = true\n"
      "[checkpoints]\nevery = 20\nkeep_last = 3\n"
      "[[sample]]\nprompt = \"1+1=\"\ntemperature = 0.5\nmax_tokens = 9\n"
      "[lora]\nrank = 4\nalpha = 8\nexperts = true\n");
  EXPECT_EQ(recipe.seed, 7u);
  EXPECT_EQ(recipe.output, "/tmp/run");
  const ModelConfig& shape = recipe.model.shape;
  EXPECT_EQ(shape.layer_kind[2], LayerKind::kSoftmax);
  EXPECT_EQ(shape.layer_kind[3], LayerKind::kLightning);
  EXPECT_EQ(shape.rotary_dim, 4);
  EXPECT_NEAR(shape.moe_alpha, 1.8612097, 1e-6);  // 12^(1/4)
  EXPECT_TRUE(shape.tied_embeddings);
  EXPECT_EQ(recipe.model.precision, DType::kBFloat16);
  EXPECT_EQ(recipe.data[1].kind, DataKind::kText);
  EXPECT_EQ(recipe.schedule.decay, Decay::kWsd);
  EXPECT_EQ(recipe.schedule.decay_steps, 9);
  EXPECT_EQ(recipe.trainer.optimizer.max_norm, 0.5);
  EXPECT_TRUE(recipe.trainer.pass.checkpoint_layers);
  EXPECT_FALSE(recipe.trainer.balance_over_step);
  EXPECT_EQ(recipe.keep_last, 3);
  EXPECT_EQ(recipe.samples.at(0).max_tokens, 9);
  EXPECT_TRUE(recipe.lora.experts);
}

TEST_F(RecipeTest, ErrorsNameFileLineAndKey) {
  EXPECT_THAT(error("sed = 1\n" + least), HasSubstr("recipe.toml:1: \"sed\" is unknown; did you mean \"seed\"?"));
  EXPECT_THAT(error(least + "stepz = 3\n"),
              HasSubstr("recipe.toml:6: \"schedule.stepz\" is unknown; did you mean \"steps\"?"));
  EXPECT_THAT(error(least + "rate = \"fast\"\n"),
              HasSubstr("\"schedule.rate\" is 'fast', expected a number from 0 to 10"));
  EXPECT_THAT(error(least + "decay = \"liner\"\n"), HasSubstr("expected one of constant, cosine, wsd"));
  EXPECT_THAT(error(least + "[model]\nheads = 3\nkv_heads = 2\n"),
              HasSubstr("heads are 3, expected a multiple of kv_heads"));
  EXPECT_THAT(error(least + "[model]\nlayers = 0\n"),
              HasSubstr("\"model.layers\" is 0, expected a whole number from 1"));
  EXPECT_THAT(error("tokenizer = \"t\"\n[schedule]\nsteps = 1\n"), HasSubstr("has no [[data]]"));
  EXPECT_THAT(error("tokenizer = \"t\"\n[[data]]\npath = \"none.jsonl\"\n"), HasSubstr("none.jsonl: no such file"));
  EXPECT_THAT(error("[schedule\n"), HasSubstr("recipe.toml:1:"));
  EXPECT_THAT(error("[[data]]\npath = \"chats.jsonl\"\n[schedule]\nsteps = 1\n"), HasSubstr("has no tokenizer"));
}

}  // namespace
}  // namespace minimax::train
