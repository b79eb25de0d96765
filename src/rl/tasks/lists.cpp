#include "rl/tasks/lists.h"

#include "core/error.h"
#include "rl/tasks/draw.h"

namespace minimax::rl {
namespace {

struct Category {
  std::string_view name;
  std::array<std::string_view, 6> members;
};
constexpr Category kCategories[] = {{"fruit", {"apple", "pear", "plum", "fig", "kiwi", "lemon"}},
                                    {"animals", {"cat", "dog", "cow", "hen", "fox", "goat"}},
                                    {"tools", {"saw", "axe", "drill", "file", "rake", "pliers"}},
                                    {"clothes", {"hat", "sock", "coat", "scarf", "belt", "shirt"}}};

}  // namespace

Instance make_sorting(int64_t level, Rng& rng, const TraceOptions&) {
  constexpr std::array<Range, kLevels> kCount = {{{3, 5}, {4, 6}, {5, 7}, {7, 9}, {10, 14}}};
  std::vector<int64_t> numbers;
  for (int64_t left = draw(rng, kCount, level); left > 0; --left) numbers.push_back(between(rng, 0, 99));
  std::vector<int64_t> left = numbers, sorted = numbers;
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::string> lines;
  for (const int64_t least : sorted) {
    left.erase(std::find(left.begin(), left.end(), least));
    lines.push_back(cat(least, " | ", join(left, " ")));
  }
  lines.back() = cat(sorted.back(), " |");
  return {.prompt = "sort: " + join(numbers, " "),
          .thinking = join(lines, "\n"),
          .answer = join(sorted, " "),
          .gold = {{"answer", join(sorted, " ")}}};
}

Instance make_object_counting(int64_t level, Rng& rng, const TraceOptions&) {
  constexpr std::array<Range, kLevels> kItems = {{{3, 3}, {3, 4}, {4, 5}, {5, 6}, {8, 12}}};
  constexpr int64_t kMost[kLevels] = {1, 2, 3, 4, 4};  // pieces of an item
  const int64_t items = draw(rng, kItems, level);
  const auto wanted = rng.below(std::size(kCategories));
  const int64_t sure = between(rng, 0, items - 1);  // so that the answer is not 0
  std::vector<std::string> listed, lines;
  std::vector<std::string_view> used;
  int64_t tally = 0;
  for (int64_t item = 0; item < items; ++item) {
    uint64_t category;
    std::string_view member;
    do {
      category = item == sure || rng.below(2) == 0 ? wanted : rng.below(std::size(kCategories));
      member = pick(rng, kCategories[category].members);
      // Six members may run out at level 5; then names repeat.
    } while (used.size() < 6 && std::find(used.begin(), used.end(), member) != used.end());
    used.push_back(member);
    const int64_t pieces = between(rng, 1, kMost[level - 1]);
    listed.push_back(cat(pieces, " ", member));
    const bool counts = category == wanted;
    if (counts) tally += pieces;
    lines.push_back(cat(pieces, " ", member, counts ? " yes " : " no ", tally));
  }
  return {.prompt = cat("how many ", kCategories[wanted].name, ": ", join(listed, ", ")),
          .thinking = join(lines, "\n"),
          .answer = std::to_string(tally),
          .gold = {{"answer", tally}}};
}

Instance make_letter_counting(int64_t level, Rng& rng, const TraceOptions&) {
  constexpr std::array<Range, kLevels> kLetters = {{{6, 10}, {8, 14}, {10, 16}, {14, 20}, {20, 40}}};
  const char wanted = static_cast<char>('a' + between(rng, 0, 4));
  const int64_t letters = draw(rng, kLetters, level);
  std::string word;
  std::vector<std::string> steps;
  int64_t tally = 0;
  for (int64_t place = 0; place < letters; ++place) {
    word += static_cast<char>('a' + between(rng, 0, 4));
    tally += word.back() == wanted;
    steps.push_back(cat(word.back(), tally));
  }
  return {.prompt = cat("count ", wanted, ": ", word),
          .thinking = join(steps, " "),
          .answer = std::to_string(tally),
          .gold = {{"answer", tally}}};
}

Instance make_caesar(int64_t level, Rng& rng, const TraceOptions&) {
  constexpr std::array<Range, kLevels> kLetters = {{{3, 5}, {4, 6}, {5, 7}, {7, 9}, {12, 20}}};
  const int64_t shift = between(rng, 1, 25);
  const int64_t letters = draw(rng, kLetters, level);
  std::string cipher, plain;
  std::vector<std::string> lines;
  for (int64_t place = 0; place < letters; ++place) {
    const int64_t index = between(rng, 0, 25), from = (index + shift) % 26;
    plain += static_cast<char>('a' + index);
    cipher += static_cast<char>('a' + from);
    lines.push_back(cat(cipher.back(), " ", from, "-", shift, "=", index, " ", plain.back()));
  }
  return {.prompt = cat("shift ", shift, ": ", cipher),
          .thinking = join(lines, "\n"),
          .answer = plain,
          .gold = {{"answer", plain}}};
}

}  // namespace minimax::rl
