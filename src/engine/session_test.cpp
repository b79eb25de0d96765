#include <gmock/gmock.h>

#include <fstream>
#include <utility>

#include "engine/test_engine.h"
#include "io/safetensors.h"
#include "io/test_folder.h"

namespace minimax::engine {
namespace {

using minimax::test::error_of;
using test::expect_same;
using test::expected_answer;
using test::random_ids;
using test::request_of;
using test::submit;
using test::TinyModel;
using testing::HasSubstr;

class SessionTest : public testing::Test {
 protected:
  /// The next turn: the prompt, the answer, and something new.
  static Request next_turn(const Request& request, const Collector& answer) {
    Request next = request_of(request.prompt, 25);
    next.prompt.insert(next.prompt.end(), answer.answers[0].ids.begin(), answer.answers[0].ids.end());
    next.prompt.insert(next.prompt.end(), {5, 6, 7, 8});
    return next;
  }
  Request first_turn(int64_t tokens) {
    Request request = request_of(random_ids(rng, tokens), 20);
    request.session = "talk";
    return request;
  }
  std::string written() {
    Engine engine(tiny.model, tiny.threads, {.context = 512});
    submit(engine, first_turn(100));
    engine.run();
    engine.save_session("talk", path);
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string load_error(const std::string& bytes) {
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    Engine engine(tiny.model, tiny.threads, {.context = 512});
    const std::string text = error_of([&] { engine.load_session(path); });
    EXPECT_TRUE(text == "(no error)" || engine.stats().memory_bytes == 0);
    return text;
  }
  static std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return at == std::string::npos ? text : text.replace(at, from.size(), to);
  }

  TinyModel tiny;
  Rng rng{3};
  minimax::test::Folder folder;
  std::filesystem::path path = folder / "talk.session";
};

TEST_F(SessionTest, GoesOnAfterARestartWithTheSameBits) {
  for (const int64_t tokens : {3, 64, 100, 109, 200}) {  // 109 + 19 tokens that went through the model end on the grid
    SCOPED_TRACE(tokens);
    Request first = first_turn(tokens);
    Request next;
    {
      Engine engine(tiny.model, tiny.threads, {.context = 512});
      const auto got = submit(engine, first);
      engine.run();
      next = next_turn(first, *got);
      const SessionInfo info = engine.save_session("talk", path);
      EXPECT_EQ(info.name, "talk");
      EXPECT_EQ(info.tokens, tokens + 19);
      EXPECT_EQ(info.bytes, static_cast<int64_t>(std::filesystem::file_size(path)));
    }
    Engine engine(tiny.model, tiny.threads, {.context = 512});
    const SessionInfo info = engine.load_session(path);
    EXPECT_EQ(info.tokens, tokens + 19);
    EXPECT_TRUE(info.same_kernels);
    ASSERT_EQ(engine.sessions().size(), 1u);
    const auto got = submit(engine, next);
    engine.run();
    EXPECT_EQ(got->usage.cached_tokens, tokens + 19);
    expect_same(got->answers.at(0), expected_answer(tiny, next), "next turn");
    EXPECT_TRUE(engine.drop_session("talk"));
    EXPECT_FALSE(engine.drop_session("talk"));
    test::expect_all_free(engine);
  }
}

TEST_F(SessionTest, IsTheLastToLeaveMemoryAndSaysSo) {
  EngineOptions options{.context = 512, .max_running = 1};
  options.memory_bytes = 2 * StateCache::state_bytes_per_sequence(tiny.model.config) +
                         9 * kChunk * StateCache::kv_bytes_per_token(tiny.model.config);
  Engine engine(tiny.model, tiny.threads, options);
  submit(engine, first_turn(100));
  engine.run();
  for (int i = 0; i < 10; ++i) submit(engine, request_of(random_ids(rng, 100), 3));
  engine.run();
  EXPECT_GT(engine.stats().cache_evictions, 3);
  EXPECT_TRUE(engine.sessions().at(0).in_memory);
  submit(engine, request_of(random_ids(rng, 500), 10));
  engine.run();
  EXPECT_FALSE(engine.sessions().at(0).in_memory);
  EXPECT_THAT(error_of([&] { engine.save_session("talk", path); }), HasSubstr("had to leave memory"));
  EXPECT_THAT(error_of([&] { engine.save_session("other", path); }), HasSubstr("no session \"other\""));
}

TEST_F(SessionTest, RefusesWhatDoesNotFit) {
  const std::string good = written();
  EXPECT_EQ(load_error(good), "(no error)");
  EXPECT_THAT(load_error(good.substr(0, good.size() - 9)), HasSubstr("talk.session"));
  std::string damaged = good;
  damaged[damaged.size() - 5] ^= 1;
  EXPECT_THAT(load_error(damaged), HasSubstr("checksum is"));
  EXPECT_THAT(load_error(replaced(good, "minimax session", "maximin session")), HasSubstr("format is \"maximin"));
  EXPECT_THAT(load_error(replaced(good, "\"version\":\"2\"", "\"version\":\"1\"")),
              HasSubstr("version is \"1\", expected \"2\""));
  EXPECT_THAT(load_error(replaced(good, "\"chunk\":\"64\"", "\"chunk\":\"32\"")), HasSubstr("chunk is \"32\""));
  EXPECT_THAT(load_error(replaced(good, "\"talk\"", "\"tolk\"")), HasSubstr("checksum is"));
  EXPECT_THAT(load_error(replaced(good, "layer.0.state", "layer.9.state")), HasSubstr("no tensor \"layer.0.state\""));
  EXPECT_THAT(load_error("not a session"), HasSubstr("talk.session"));
  // Of a small model every value counts.
  Tensor& head = tiny.model.lm_head.data;
  for (const int64_t at : {int64_t{0}, head.elements() / 3, head.elements() - 1}) {
    const float was = std::exchange(head.data<float>()[at], 5.0f);
    EXPECT_THAT(load_error(good), HasSubstr("model is"));
    head.data<float>()[at] = was;
  }

  io::write_safetensors(path, std::vector<io::NamedTensor>{{"ids", Tensor::zeros({1}, DType::kInt32)}});
  Engine engine(tiny.model, tiny.threads, {.context = 512});
  EXPECT_THAT(error_of([&] { engine.load_session(path); }), HasSubstr("expected a session file"));
  EXPECT_THAT(error_of([&] { engine.load_session(folder / "none"); }), HasSubstr("none"));
  std::ofstream(path, std::ios::binary).write(good.data(), static_cast<std::streamsize>(good.size()));
  Engine small(tiny.model, tiny.threads, {.context = 60});
  EXPECT_THAT(error_of([&] { small.load_session(path); }), HasSubstr("a session of 119 tokens, this engine holds 60"));
}

TEST_F(SessionTest, ACancelledAnswerTakesNoFinishedOnesPlace) {
  Engine engine(tiny.model, tiny.threads, {.context = 512});
  const auto leave = [&](int64_t tokens) {
    Request request = first_turn(tokens);
    const RequestId id = engine.submit(request, std::make_shared<Collector>());
    for (int step = 0; step < 5; ++step) engine.step();
    engine.cancel(id);
    engine.run();
  };
  leave(100);
  EXPECT_EQ(engine.sessions().at(0).tokens, 100 + 4);  // better than nothing
  leave(110);
  EXPECT_EQ(engine.sessions().at(0).tokens, 110 + 4);
  submit(engine, first_turn(50));
  engine.run();
  EXPECT_EQ(engine.sessions().at(0).tokens, 50 + 19);
  leave(120);
  EXPECT_EQ(engine.sessions().at(0).tokens, 50 + 19);
  EXPECT_TRUE(engine.sessions().at(0).in_memory);
  submit(engine, first_turn(60));
  engine.run();
  EXPECT_EQ(engine.sessions().at(0).tokens, 60 + 19);
  test::expect_all_free(engine);
}

TEST_F(SessionTest, AreBoundedInNumber) {
  Engine engine(tiny.model, tiny.threads, {.context = 512, .max_sessions = 3});
  const auto talk = [&](const std::string& name) {
    Request request = first_turn(20);
    request.session = name;
    submit(engine, request);
    engine.run();
  };
  const auto names = [&] {
    std::string all;
    for (const SessionInfo& info : engine.sessions()) all += info.name;
    return all;
  };
  for (const char* name : {"a", "b", "c"}) talk(name);
  engine.save_session("a", path);
  talk("d");
  EXPECT_EQ(names(), "acd");
  talk("c");
  talk("e");
  EXPECT_EQ(names(), "cde");
  engine.load_session(path);
  EXPECT_EQ(names(), "ace");
  test::expect_all_free(engine);
}

// Memory that was another user's before must not end up in a file.
TEST_F(SessionTest, HoldsNothingOfOthers) {
  const auto bytes_of = [&](bool used_before) {
    EngineOptions options{.context = 512, .max_running = 1, .prefix_cache = true};
    Engine engine(tiny.model, tiny.threads, options);
    if (used_before) {
      submit(engine, request_of(random_ids(rng, 300), 10));
      engine.run();
      engine.clear_cache();
    }
    Request request = request_of(std::vector<int32_t>(70, 9), 5);
    request.session = "talk";
    submit(engine, request);
    engine.run();
    engine.save_session("talk", path);
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  EXPECT_EQ(bytes_of(false), bytes_of(true));
}

}  // namespace
}  // namespace minimax::engine
