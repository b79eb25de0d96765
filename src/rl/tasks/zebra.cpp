// Zebra puzzles: houses in a row, a person, an animal and a drink in each, and clues.
#include <bit>

#include "core/error.h"
#include "rl/tasks/draw.h"
#include "rl/tasks/logic.h"

namespace minimax::rl {
namespace {

constexpr std::array<std::array<std::string_view, 4>, 3> kValues = {
    {{"Ann", "Bob", "Cid", "Dan"}, {"dog", "cat", "fox", "owl"}, {"tea", "milk", "cola", "soda"}}};

struct Cell {
  size_t feature, value;
};

std::string_view name(const Cell& cell) {
  return kValues[cell.feature][cell.value];
}

enum class Relation : uint8_t { kHouse, kNotHouse, kSame, kNotSame, kLeftOf, kNextTo };

struct Clue {
  Relation relation;
  Cell a, b;
  int64_t house;
};

std::string text_of(const Clue& clue) {
  switch (clue.relation) {
    case Relation::kHouse:
      return cat(name(clue.a), " in ", clue.house + 1);
    case Relation::kNotHouse:
      return cat(name(clue.a), " not in ", clue.house + 1);
    case Relation::kSame:
      return cat(name(clue.a), " with ", name(clue.b));
    case Relation::kNotSame:
      return cat(name(clue.a), " not with ", name(clue.b));
    case Relation::kLeftOf:
      return cat(name(clue.a), " left of ", name(clue.b));
    case Relation::kNextTo:
      return cat(name(clue.a), " next to ", name(clue.b));
  }
  return "";
}

bool allows(Relation relation, int64_t a, int64_t b) {
  switch (relation) {
    case Relation::kSame:
      return a == b;
    case Relation::kNotSame:
      return a != b;
    case Relation::kLeftOf:
      return a < b;
    default:
      return a - b == 1 || b - a == 1;
  }
}

// In which houses each value may still be, as bits.
class Options {
 public:
  Options(int64_t houses, size_t features) : houses_(houses), sets_(features, std::vector<uint32_t>()) {
    for (auto& feature : sets_) feature.assign(static_cast<size_t>(houses), (1u << houses) - 1);
  }

  uint32_t& at(const Cell& cell) { return sets_[cell.feature][cell.value]; }
  bool solved() const {
    for (const auto& feature : sets_)
      for (const uint32_t set : feature)
        if (std::popcount(set) != 1) return false;
    return true;
  }

  void apply(const Clue& clue) {
    if (clue.relation == Relation::kHouse) at(clue.a) &= 1u << clue.house;
    if (clue.relation == Relation::kNotHouse) at(clue.a) &= ~(1u << clue.house);
    if (clue.relation == Relation::kHouse || clue.relation == Relation::kNotHouse) return;
    uint32_t left = 0, right = 0;
    for (int64_t a = 0; a < houses_; ++a)
      for (int64_t b = 0; b < houses_; ++b)
        if (at(clue.a) >> a & 1 && at(clue.b) >> b & 1 && allows(clue.relation, a, b)) {
          left |= 1u << a;
          right |= 1u << b;
        }
    at(clue.a) = left;
    at(clue.b) = right;
  }

  // Each house has one value of a feature: a settled value leaves the others' houses, and a house that only one value
  // can have settles it.
  void close() {
    for (bool changed = true; changed;) {
      const auto before = sets_;
      for (auto& feature : sets_) {
        for (size_t value = 0; value < feature.size(); ++value) {
          if (std::popcount(feature[value]) != 1) continue;
          for (size_t other = 0; other < feature.size(); ++other)
            if (other != value) feature[other] &= ~feature[value];
        }
        for (int64_t house = 0; house < houses_; ++house) {
          uint32_t* only = nullptr;
          int64_t able = 0;
          for (uint32_t& set : feature)
            if (set >> house & 1) ++able, only = &set;
          if (able == 1) *only = 1u << house;
        }
      }
      changed = sets_ != before;
    }
  }

  /// What differs from `before`: "Ann 1 dog 23".
  std::string changes(const Options& before) const {
    std::vector<std::string> out;
    for (size_t feature = 0; feature < sets_.size(); ++feature)
      for (size_t value = 0; value < sets_[feature].size(); ++value) {
        const uint32_t set = sets_[feature][value];
        if (set == before.sets_[feature][value]) continue;
        std::string houses;
        for (int64_t house = 0; house < houses_; ++house)
          if (set >> house & 1) houses += static_cast<char>('1' + house);
        out.push_back(cat(kValues[feature][value], " ", houses));
      }
    return join(out, " ");
  }

 private:
  int64_t houses_;
  std::vector<std::vector<uint32_t>> sets_;  // [feature][value]
};

// Goes through the clues until nothing changes; one line for each clue that told something.
bool solve(const std::vector<Clue>& clues, int64_t houses, size_t features, std::vector<std::string>& lines) {
  Options options(houses, features);
  for (bool changed = true; changed && !options.solved();) {
    changed = false;
    for (size_t clue = 0; clue < clues.size() && !options.solved(); ++clue) {
      const Options before = options;
      options.apply(clues[clue]);
      options.close();
      const std::string news = options.changes(before);
      if (news.empty()) continue;
      changed = true;
      lines.push_back(cat(clue + 1, ": ", news));
    }
  }
  return options.solved();
}

// house[feature][value] of the solution.
using Solution = std::vector<std::vector<int64_t>>;

// Every clue that is true of the solution.
std::vector<Clue> true_clues(const Solution& house, int64_t houses, bool direct) {
  std::vector<Cell> cells;
  for (size_t feature = 0; feature < house.size(); ++feature)
    for (size_t value = 0; value < house[feature].size(); ++value) cells.push_back({feature, value});
  std::vector<Clue> clues;
  const auto place = [&](const Cell& cell) { return house[cell.feature][cell.value]; };
  for (const Cell& a : cells) {
    for (int64_t at = 0; at < houses; ++at)
      if (place(a) == at ? direct : true)
        clues.push_back({place(a) == at ? Relation::kHouse : Relation::kNotHouse, a, a, at});
    for (const Cell& b : cells) {
      if (a.feature == b.feature && a.value == b.value) continue;
      if (a.feature < b.feature)
        clues.push_back({place(a) == place(b) ? Relation::kSame : Relation::kNotSame, a, b, 0});
      for (const Relation relation : {Relation::kLeftOf, Relation::kNextTo})
        if (allows(relation, place(a), place(b))) clues.push_back({relation, a, b, 0});
    }
  }
  return clues;
}

}  // namespace

Instance make_zebra(int64_t level, Rng& rng, const TraceOptions&) {
  const int64_t houses = level == kLevels ? 4 : 3;
  const size_t features = level == 1 ? 2 : 3;
  const bool direct = level <= 2;  // "Ann in 2" is a clue
  for (;;) {
    Solution house(features);
    for (auto& feature : house) {
      for (int64_t at = 0; at < houses; ++at) feature.push_back(at);
      shuffle(rng, feature);
    }
    std::vector<Clue> all = true_clues(house, houses, direct), clues;
    shuffle(rng, all);
    std::vector<std::string> lines;
    for (const Clue& clue : all) {
      lines.clear();
      clues.push_back(clue);
      if (clues.size() > 2 && solve(clues, houses, features, lines)) break;
    }
    // Clues that are not needed go, the earliest first; level 3 keeps one spare.
    for (size_t at = 0; at < clues.size() && level >= 2;) {
      std::vector<Clue> fewer = clues;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(at));
      std::vector<std::string> unused;
      if (solve(fewer, houses, features, unused))
        clues = std::move(fewer);
      else
        ++at;
    }
    lines.clear();
    if (!solve(clues, houses, features, lines) || clues.size() > 16) continue;
    std::vector<std::string> told, rows;
    for (size_t clue = 0; clue < clues.size(); ++clue) told.push_back(cat(clue + 1, " ", text_of(clues[clue])));
    for (int64_t at = 0; at < houses; ++at) {
      std::string row = std::to_string(at + 1);
      for (size_t feature = 0; feature < features; ++feature)
        for (size_t value = 0; value < house[feature].size(); ++value)
          if (house[feature][value] == at) row += cat(" ", kValues[feature][value]);
      rows.push_back(row);
    }
    return {.prompt = cat(houses, " houses. ", join(told, ". ")),
            .thinking = join(lines, "\n"),
            .answer = join(rows, "/"),
            .gold = {{"answer", join(rows, "/")}}};
  }
}

Verdict check_zebra(const io::json::object& gold, std::string_view answer) {
  const auto want = split(gold.at("answer").as_string(), '/');
  const auto got = split(answer, '/');
  if (got.size() != want.size()) return {false, "wrong_shape"};
  for (size_t row = 0; row < want.size(); ++row)
    if (split_words(got[row]) != split_words(want[row])) return {false, "wrong_value"};
  return {true, "correct"};
}

}  // namespace minimax::rl
