#include "text/split/split_rules.h"

#include <algorithm>

#include "core/error.h"

namespace minimax::text {
namespace {

struct Part {
  size_t begin, end;
  bool match;
};

/// The matches and what lies between them, over the whole text. `matcher` is that of the step's regex, if it has one.
std::vector<Part> parts_of(const SplitStep& step, std::string_view text, RegexMatcher* matcher) {
  std::vector<Part> parts;
  if (const auto* known = std::get_if<SplitPattern>(&step.pattern)) {
    const char* const end = text.data() + text.size();
    for (const char* p = text.data(); p < end;) {
      const char* const next = piece_end(*known, p, end);
      parts.push_back({static_cast<size_t>(p - text.data()), static_cast<size_t>(next - text.data()), !step.invert});
      p = next;
    }
    return parts;
  }
  size_t done = 0;
  matcher->for_each_match(text, [&](size_t begin, size_t end) {
    if (begin > done) parts.push_back({done, begin, step.invert});
    parts.push_back({begin, end, !step.invert});
    done = end;
  });
  if (done < text.size()) parts.push_back({done, text.size(), step.invert});
  return parts;
}

/// Puts together what belongs together, walking in the order given; `grow` makes a part take in its neighbour.
template <typename Grow>
std::vector<Part> merged(const std::vector<Part>& parts, bool contiguous, const Grow& grow) {
  std::vector<Part> out;
  bool before = false;
  for (const Part& part : parts) {
    const bool joins = contiguous ? part.match == before : part.match && !before;
    if (joins && !out.empty())
      grow(out.back(), part);
    else
      out.push_back(part);
    before = part.match;
  }
  return out;
}

std::vector<Part> cut(const SplitStep& step, std::string_view text, RegexMatcher* matcher) {
  std::vector<Part> parts = parts_of(step, text, matcher);
  const auto to_the_right = [](Part& part, const Part& next) { part.end = next.end; };
  const auto to_the_left = [](Part& part, const Part& next) { part.begin = next.begin; };
  switch (step.behavior) {
    case SplitBehavior::kIsolated:
      return parts;
    case SplitBehavior::kRemoved:
      std::erase_if(parts, [](const Part& part) { return part.match; });
      return parts;
    case SplitBehavior::kContiguous:
      return merged(parts, true, to_the_right);
    case SplitBehavior::kMergedWithPrevious:
      return merged(parts, false, to_the_right);
    case SplitBehavior::kMergedWithNext:
      std::reverse(parts.begin(), parts.end());
      parts = merged(parts, false, to_the_left);
      std::reverse(parts.begin(), parts.end());
      return parts;
  }
  return parts;
}

/// True when the matches of this pattern are the whole text, one after another.
bool matches_everything(const SplitStep& step) {
  return std::holds_alternative<SplitPattern>(step.pattern);
}

/// True when cutting is no more than taking the matches of a published pattern.
bool is_published(const SplitStep& step) {
  return matches_everything(step) && ((step.behavior == SplitBehavior::kIsolated && !step.invert) ||
                                      (step.behavior == SplitBehavior::kRemoved && step.invert));
}

SplitBehavior read_behavior(const io::JsonField& field) {
  constexpr std::pair<std::string_view, SplitBehavior> kNames[] = {
      {"Isolated", SplitBehavior::kIsolated},
      {"Removed", SplitBehavior::kRemoved},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous}};
  for (const auto& [name, behavior] : kNames)
    if (field.string() == name) return behavior;
  field.fail("Isolated, Removed, MergedWithPrevious, MergedWithNext or Contiguous");
}

std::variant<SplitPattern, Regex> read_pattern(const io::JsonField& field) {
  if (const io::JsonField literal = field["String"]; literal.present())
    return Regex(literal.string(), Regex::Syntax::kLiteral, cat(field.document(), ": ", literal.path()));
  const io::JsonField regex = field["Regex"];
  if (!regex.present()) field.fail("an object with \"Regex\" or \"String\"");
  if (const auto known = recognise_pattern(regex.string())) return *known;
  return Regex(regex.string(), Regex::Syntax::kOniguruma, cat(field.document(), ": ", regex.path()));
}

SplitStep read_step(const io::JsonField& field) {
  const std::string_view type = field["type"].string();
  if (type == "Split")
    return {.pattern = read_pattern(field["pattern"]),
            .behavior = read_behavior(field["behavior"]),
            .invert = field["invert"].boolean_or(false)};
  if (type == "Digits")
    return {.pattern = Regex("\\p{N}", Regex::Syntax::kOniguruma, "Digits"),
            .behavior =
                field["individual_digits"].boolean_or(false) ? SplitBehavior::kIsolated : SplitBehavior::kContiguous};
  field["type"].fail("Split or Digits before a last ByteLevel");
}

void read_byte_level(const io::JsonField& field, std::vector<SplitStep>& steps) {
  if (field["add_prefix_space"].boolean_or(true)) field["add_prefix_space"].fail("false");
  if (field["use_regex"].boolean_or(true)) steps.push_back({.pattern = SplitPattern::kGpt2});
}

}  // namespace

SplitRules::SplitRules(std::vector<SplitStep> steps) : steps_(std::move(steps)) {
  if (steps_.size() == 1 && is_published(steps_[0])) {
    published_ = std::get<SplitPattern>(steps_[0].pattern);
    steps_.clear();
  }
}

SplitRules SplitRules::read(const io::JsonField& field) {
  if (!field.has_value()) field.fail("a ByteLevel pre-tokenizer");
  std::vector<SplitStep> steps;
  const std::string_view type = field["type"].string();
  if (type == "ByteLevel") {
    read_byte_level(field, steps);
  } else if (type == "Sequence") {
    const io::JsonField list = field["pretokenizers"];
    const int64_t last = list.size() - 1;
    if (last < 0 || list[last]["type"].string() != "ByteLevel") list.fail("ByteLevel as its last");
    if (last > 64) list.fail("at most 64 before its last");
    for (int64_t i = 0; i < last; ++i) steps.push_back(read_step(list[i]));
    read_byte_level(list[last], steps);
  } else {
    field["type"].fail("ByteLevel, or Sequence of Split, Digits and a last ByteLevel");
  }
  return SplitRules(std::move(steps));
}

bool SplitRules::keeps_all() const {
  return std::none_of(steps_.begin(), steps_.end(), [](const SplitStep& step) {
    return step.behavior == SplitBehavior::kRemoved && !(matches_everything(step) && step.invert);
  });
}

void SplitRules::for_each_piece(std::string_view text, const std::function<void(std::string_view)>& piece) const {
  std::vector<std::string_view> pieces = {text}, next;
  if (published_) {
    for (const Part& part : parts_of({.pattern = *published_}, text, nullptr))
      piece(text.substr(part.begin, part.end - part.begin));
    return;
  }
  for (const SplitStep& step : steps_) {
    next.clear();
    std::optional<RegexMatcher> matcher;
    if (const auto* regex = std::get_if<Regex>(&step.pattern)) matcher.emplace(*regex, text.size());
    for (const std::string_view whole : pieces)
      for (const Part& part : cut(step, whole, matcher ? &*matcher : nullptr))
        if (part.end > part.begin) next.push_back(whole.substr(part.begin, part.end - part.begin));
    pieces.swap(next);
  }
  for (const std::string_view one : pieces)
    if (!one.empty()) piece(one);
}

std::string SplitRules::description() const {
  if (published_) return cat(to_string(*published_), " pattern");
  if (steps_.empty()) return "no pattern";
  return cat(steps_.size(), steps_.size() == 1 ? " step" : " steps", " of its own");
}

}  // namespace minimax::text
