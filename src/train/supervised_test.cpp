#include "train/supervised.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/atomic_file.h"
#include "io/file.h"
#include "model/load.h"
#include "train/test_tokenizer.h"

namespace minimax::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SupervisedTest : public testing::Test {
 protected:
  SupervisedTest() {
    std::string chats;
    for (int i = 0; i < 60; ++i) {
      const std::string a = std::to_string(i % 10), b = std::to_string(i / 10);
      chats += R"({"messages": [{"role": "user", "content": ")" + a + "+" + b +
               R"("}, {"role": "assistant", "reasoning_content": "add", "content": ")" +
               std::to_string(i % 10 + i / 10) + "\"}]}\n";
    }
    io::write_file(folder / "chats.jsonl", chats);
    io::write_file(folder / "book.txt", "the answer is the end of the sentence, and the user is the assistant. 12345");
  }

  Recipe recipe(const std::string& output, const std::string& precision = "float32") const {
    io::write_file(folder / "recipe.toml",
                   "tokenizer = \"" + small.folder.path().string() +
                       "\"\ntensorboard = true\n[model]\nshape = \"pico\"\nlayers = 2\nsoftmax_every = 2\nhidden = 32\n"
                       "heads = 2\nhead_dim = 16\nffn = 32\nexperts = 4\nprecision = \"" +
                       precision +
                       "\"\n[[data]]\npath = \"chats.jsonl\"\nweight = 3\n"
                       "[[data]]\npath = \"book.txt\"\nkind = \"text\"\n"
                       "[held_out]\nshare = 0.2\nevery = 3\n[batch]\ntokens = 300\npass_tokens = 128\ncontext = 96\n"
                       "[schedule]\nsteps = 9\nrate = 1e-2\nwarmup = 2\n[checkpoints]\nevery = 4\nkeep_last = 2\n");
    Recipe out = read_recipe(folder / "recipe.toml");
    out.output = folder / output;
    return out;
  }

  std::string weights(const std::string& output, int64_t step) const {
    const auto checkpoint = RunFolder(folder / output).checkpoint(step);
    return io::read_file(checkpoint / "model.safetensors") + io::read_file(checkpoint / "optimizer.safetensors");
  }

  test::SmallTokenizer small;
  test::Folder folder;
  ThreadPool threads{1};
  Arena arena;
  Context ctx{.arena = &arena, .threads = &threads};
};

TEST_F(SupervisedTest, LearnsAndLeavesARun) {
  int64_t steps = 0;
  std::vector<double> held_out;
  RunCallbacks callbacks;
  callbacks.on_step = [&](const RunStatus& status) {
    EXPECT_EQ(status.step, ++steps);
    if (status.held_out_loss) held_out.push_back(*status.held_out_loss);
  };
  callbacks.sample = [](const MiniMaxM1&, const text::Tokenizer&, const SampleRecipe&) { return "text"; };
  Recipe wanted = recipe("run");
  wanted.samples = {{.prompt = "1+1"}};
  SupervisedRun run(wanted, ctx, false, callbacks);
  EXPECT_EQ(run.run(), 9);
  EXPECT_LT(held_out.back(), 0.8 * held_out.front());
  const std::vector<io::json::value> metrics = read_jsonl(run.folder().metrics_file());
  ASSERT_EQ(metrics.size(), 9u);
  EXPECT_EQ(io::JsonField(metrics[8], "metrics")["step"].integer(), 9);
  EXPECT_EQ(io::JsonField(metrics[8], "metrics")["held_out/loss"].number(), held_out.back());
  EXPECT_EQ(read_jsonl(run.folder().samples_file()).size(), 3u);
  EXPECT_TRUE(std::filesystem::exists(run.folder().path() / "tensorboard"));
  // What lies there is a model like any other, with its tokenizer.
  const MiniMaxM1 loaded = load_model(run.folder().checkpoint(9));
  EXPECT_EQ(loaded.config.vocab, run.tokenizer().vocab_size());
  EXPECT_EQ(loaded.config.eos, std::vector<int64_t>{*run.tokenizer().eos_id()});
  EXPECT_EQ(text::Tokenizer::load(run.folder().checkpoint(9)).encode("the answer"),
            run.tokenizer().encode("the answer"));
}

TEST_F(SupervisedTest, ResumedIsUninterruptedBitForBit) {
  for (const char* precision : {"float32", "bfloat16"}) {
    const std::string whole = std::string("whole_") + precision, parts = std::string("parts_") + precision;
    SupervisedRun(recipe(whole, precision), ctx, false, {}).run();
    // Dies after step 6, two steps past its checkpoint.
    RunCallbacks dies;
    dies.on_step = [](const RunStatus& status) {
      if (status.step == 6) throw Error(ErrorKind::kInternal, "killed");
    };
    EXPECT_THAT(test::error_of([&] { SupervisedRun(recipe(parts, precision), ctx, false, dies).run(); }),
                HasSubstr("killed"));
    EXPECT_THAT(RunFolder(folder / parts).checkpoints(), ElementsAre(4));
    ThreadPool other_threads(2);
    Context other{.arena = &arena, .threads = &other_threads};
    EXPECT_EQ(SupervisedRun(recipe(parts, precision), other, true, {}).run(), 9);
    EXPECT_EQ(weights(whole, 9), weights(parts, 9)) << precision;
    EXPECT_EQ(read_jsonl(RunFolder(folder / parts).metrics_file()).size(), 9u);
  }
}

TEST_F(SupervisedTest, AdaptersGoOnFromTheirBase) {
  SupervisedRun(recipe("base"), ctx, false, {}).run();
  const auto adapted = [&](const std::string& output) {
    Recipe out = recipe(output);
    out.model.checkpoint = RunFolder(folder / "base").checkpoint(9);
    out.lora = {.rank = 2, .experts = true};
    return out;
  };
  SupervisedRun(adapted("whole"), ctx, false, {}).run();
  RunCallbacks stops;
  int64_t asked = 0;
  stops.stop = [&] { return ++asked == 5; };
  SupervisedRun(adapted("parts"), ctx, false, stops).run();
  SupervisedRun(adapted("parts"), ctx, true, {}).run();
  EXPECT_EQ(weights("whole", 9), weights("parts", 9));
  const auto adapter = [&](const char* output) {
    return io::read_file(RunFolder(folder / output).checkpoint(9) / "adapter_model.safetensors");
  };
  EXPECT_EQ(adapter("whole"), adapter("parts"));
  EXPECT_LT(adapter("whole").size(), weights("base", 9).size() / 4);
}

TEST_F(SupervisedTest, StopsWhenAskedAndGoesOn) {
  RunCallbacks stops;
  int64_t asked = 0;
  stops.stop = [&] { return ++asked == 3; };
  EXPECT_EQ(SupervisedRun(recipe("run"), ctx, false, stops).run(), 3);
  EXPECT_THAT(RunFolder(folder / "run").checkpoints(), ElementsAre(3));
  EXPECT_EQ(SupervisedRun(recipe("run"), ctx, true, {}).run(), 9);
}

TEST_F(SupervisedTest, NamesWhatIsWrong) {
  SupervisedRun(recipe("run"), ctx, false, {}).run();
  EXPECT_THAT(test::error_of([&] { SupervisedRun(recipe("run"), ctx, false, {}); }), HasSubstr("resume it"));
  io::write_file(folder / "chats.jsonl", R"({"messages": [{"role": "user", "content": "a"}]})"
                                         "\n"
                                         R"({"message": 1})"
                                         "\n");
  EXPECT_THAT(test::error_of([&] { SupervisedRun(recipe("other"), ctx, false, {}); }), HasSubstr("chats.jsonl:2"));
  io::write_file(folder / "chats.jsonl", R"({"messages": [{"role": "user", "content": "a"}]})"
                                         "\n");
  EXPECT_THAT(test::error_of([&] { SupervisedRun(recipe("other"), ctx, false, {}); }),
              HasSubstr("data \"chats\" has no example"));
}

}  // namespace
}  // namespace minimax::train
