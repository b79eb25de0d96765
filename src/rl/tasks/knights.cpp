// Knights tell the truth and knaves lie; who is what?
#include "core/error.h"
#include "rl/tasks/draw.h"
#include "rl/tasks/logic.h"

namespace minimax::rl {
namespace {

enum class Claim : uint8_t { kKnight, kKnave, kSame, kDiffer, kSomeKnave };

struct Statement {
  Claim claim;
  int64_t about, other;
};

// Bit p of `knights`: person p is a knight.
bool holds(const Statement& statement, uint32_t knights) {
  const bool about = knights >> statement.about & 1, other = knights >> statement.other & 1;
  switch (statement.claim) {
    case Claim::kKnight:
      return about;
    case Claim::kKnave:
      return !about;
    case Claim::kSame:
      return about == other;
    case Claim::kDiffer:
      return about != other;
    case Claim::kSomeKnave:
      return !about || !other;
  }
  return false;
}

char person(int64_t index) {
  return static_cast<char>('A' + index);
}

std::string text_of(const Statement& statement) {
  const char about = person(statement.about), other = person(statement.other);
  switch (statement.claim) {
    case Claim::kKnight:
      return cat(about, " is a knight");
    case Claim::kKnave:
      return cat(about, " is a knave");
    case Claim::kSame:
      return cat(about, " and ", other, " are the same");
    case Claim::kDiffer:
      return cat(about, " and ", other, " differ");
    case Claim::kSomeKnave:
      return cat(about, " or ", other, " is a knave");
  }
  return "";
}

std::string letters(uint32_t knights, int64_t people) {
  std::string out;
  for (int64_t who = 0; who < people; ++who) out += knights >> who & 1 ? 'K' : 'N';
  return out;
}

// The first speaker whose words do not fit what he is; -1: all fit.
int64_t contradicted(const std::vector<Statement>& says, uint32_t knights) {
  for (size_t who = 0; who < says.size(); ++who)
    if (holds(says[who], knights) != static_cast<bool>(knights >> who & 1)) return static_cast<int64_t>(who);
  return -1;
}

}  // namespace

Instance make_knights(int64_t level, Rng& rng, const TraceOptions&) {
  constexpr std::array<Range, kLevels> kPeople = {{{2, 2}, {2, 3}, {3, 3}, {3, 4}, {5, 6}}};
  for (;;) {
    const int64_t people = draw(rng, kPeople, level);
    std::vector<Statement> says;
    for (int64_t who = 0; who < people; ++who) {
      const auto claim = static_cast<Claim>(rng.below(5));
      const int64_t about = between(rng, 0, people - 1);
      int64_t other = between(rng, 0, people - 2);
      if (other >= about) ++other;
      says.push_back({claim, about, other});
    }
    std::vector<uint32_t> fits;
    std::vector<std::string> lines;
    // Knights first, the last person's part changing fastest.
    for (uint32_t code = 0; code < 1u << people; ++code) {
      uint32_t knights = 0;
      for (int64_t who = 0; who < people; ++who)
        if (!(code >> (people - 1 - who) & 1)) knights |= 1u << who;
      const int64_t liar = contradicted(says, knights);
      // The search goes on to the end when nothing fits yet, and stops there when something does.
      if (fits.empty())
        lines.push_back(cat(letters(knights, people), " ", liar < 0 ? "ok" : std::string(1, person(liar))));
      if (liar < 0) fits.push_back(knights);
    }
    if (fits.size() != 1) continue;
    std::vector<std::string> spoken, answer;
    for (int64_t who = 0; who < people; ++who) {
      spoken.push_back(cat(person(who), ": ", text_of(says[static_cast<size_t>(who)])));
      answer.push_back(fits[0] >> who & 1 ? "K" : "N");
    }
    return {.prompt = join(spoken, "\n"),
            .thinking = join(lines, "\n"),
            .answer = join(answer, " "),
            .gold = {{"answer", join(answer, " ")}}};
  }
}

}  // namespace minimax::rl
