#include "train/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "io/test_folder.h"

namespace minimax::train {
namespace {

using testing::HasSubstr;

/// Examples of `length` tokens; the first token tells which one.
Dataset dataset(const std::string& name, double weight, int64_t size, int64_t length) {
  Dataset out(name, weight);
  for (int64_t i = 0; i < size; ++i) {
    Example example{std::vector<int32_t>(static_cast<size_t>(length), 7),
                    std::vector<bool>(static_cast<size_t>(length))};
    example.tokens[0] = static_cast<int32_t>(i);
    example.targets[static_cast<size_t>(length) - 1] = true;
    out.add(example);
  }
  return out;
}

Mixture two() {
  std::vector<Dataset> sets;
  sets.push_back(dataset("short", 1, 50, 3));
  sets.push_back(dataset("long", 3, 20, 30));
  return {std::move(sets), 11};
}

TEST(Mixture, SharesAreOfTokensOverEveryStretch) {
  Mixture mixture = two();
  int64_t tokens[2] = {0, 0};
  for (int draw = 0; draw < 2000; ++draw) {
    const auto length = static_cast<int64_t>(mixture.next().tokens.size());
    tokens[length == 30] += length;
    const double all = static_cast<double>(tokens[0] + tokens[1]);
    EXPECT_NEAR(static_cast<double>(tokens[1]), 0.75 * all, 31);
  }
}

TEST(Mixture, EveryEpochHasAllExamplesInAnOrderOfItsOwn) {
  std::vector<Dataset> sets;
  sets.push_back(dataset("one", 1, 40, 3));
  Mixture mixture(std::move(sets), 3);
  std::vector<std::vector<int32_t>> epochs(3);
  for (auto& epoch : epochs)
    for (int i = 0; i < 40; ++i) epoch.push_back(mixture.next().tokens[0]);
  for (const auto& epoch : epochs) EXPECT_EQ(std::set<int32_t>(epoch.begin(), epoch.end()).size(), 40u);
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[1], epochs[2]);
  EXPECT_EQ(mixture.epochs(0), 3);
}

TEST(Mixture, GoesOnFromItsState) {
  Mixture through = two(), first = two(), second = two();
  for (int i = 0; i < 137; ++i) {
    through.next();
    first.next();
  }
  const io::json::value state = first.state();
  second.restore(io::JsonField(state, "state"));
  for (int i = 0; i < 200; ++i) {
    const Example expected = through.next(), got = second.next();
    ASSERT_EQ(expected.tokens, got.tokens) << i;
    ASSERT_EQ(expected.targets, got.targets) << i;
  }
}

TEST(Mixture, NamesWhatIsWrong) {
  EXPECT_THAT(test::error_of([] { Mixture({}, 1); }), HasSubstr("no data"));
  std::vector<Dataset> empty;
  empty.emplace_back("nothing", 1);
  EXPECT_THAT(test::error_of([&] { Mixture(empty, 1); }), HasSubstr("data \"nothing\" has no example"));
  const io::json::value state = two().state();
  std::vector<Dataset> other;
  other.push_back(dataset("short", 1, 50, 3));
  other.push_back(dataset("long", 3, 21, 30));
  Mixture changed(std::move(other), 11);
  EXPECT_THAT(test::error_of([&] { changed.restore(io::JsonField(state, "state")); }),
              HasSubstr("\"long\" had 20 examples of 600 tokens, now \"long\" has 21 of 630"));
}

}  // namespace
}  // namespace minimax::train
