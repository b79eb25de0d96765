#include "text/grammar/json_schema.h"

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "text/grammar/code_points.h"
#include "text/grammar/grammar.h"
#include "text/grammar/json_terminals.h"
#include "text/grammar/schema_document.h"
#include "text/grammar/schema_facts.h"

namespace minimax::text::grammar {
namespace {

namespace json = io::json;

constexpr size_t kMaxRules = 20'000;
constexpr size_t kMaxParts = 500;        // schemas that must hold together
constexpr size_t kMaxProperties = 2000;  // of one object
constexpr size_t kMaxPatterns = 5;       // patternProperties of one object
constexpr size_t kMaxCounted = 100;      // properties of an object whose number is limited
constexpr size_t kMaxWork = 300'000;     // schemas read again for a combination, properties looked up in schemas
constexpr int kMaxComparisons = 20'000;  // of branches of oneOf

// A schema that must hold. A schema object is taken apart: its own keywords, and its anyOf and oneOf, which are choices
// still to be made.
struct Part {
  enum class Kind : uint8_t { kWhole, kOwn, kAnyOf, kOneOf };
  Schema schema;
  Kind kind = Kind::kWhole;
  auto operator<=>(const Part&) const = default;
};
// All of which must hold.
using Parts = std::vector<Part>;

class Compiler {
 public:
  Compiler(std::string_view text, JsonSpace space, RegexPool& pool, Rules& rules)
      : document_(text), pool_(pool), rules_(rules), place_([this](Schema schema) { return document_.place(schema); }) {
    if (space == JsonSpace::kFlexible) {
      const RegexId blank = pool.literal(" ");
      ByteSet indent = ByteSet::of(' ');
      indent.add('\t');
      before_ = pool.repeat(pool.literal("\n"), 0, 2);
      colon_space_ = pool.optional(blank);
      space_ = pool.optional(pool.alt(blank, pool.concat(pool.literal("\n"), pool.repeat(pool.bytes(indent), 0, 32))));
    }
  }

  NodeId compile() {
    const int32_t root = rule({{document_.root()}});
    while (!waiting_.empty()) {
      const auto [id, parts] = std::move(waiting_.front());
      waiting_.pop_front();
      rules_.define(id, body(parts));
    }
    const NodeId all = rules_.sequence(std::array{rules_.terminal(before_), rules_.call(root)});
    rules_.finish(pool_);
    return all;
  }

 private:
  struct Member {
    std::string_view name;
    NodeId value;
    bool required;
  };
  struct FreeMember {
    RegexId name;  // with its quotes
    NodeId value;
  };

  [[noreturn]] void fail(Schema schema, std::string_view problem) const {
    throw Error(ErrorKind::kInvalidArgument, cat(document_.place(schema), ": ", problem));
  }

  // The parts taken apart as far as no choice is needed. Nothing when a `false` is among them.
  std::optional<Parts> flattened(const Parts& parts) const {
    Parts open = parts, out;
    for (size_t i = 0; i < open.size(); ++i) {
      const Part part = open[i];
      if (std::ranges::find(out, part) != out.end()) continue;
      if (out.size() + open.size() > 4 * kMaxParts)
        fail(part.schema, cat("more than ", kMaxParts, " schemas must hold together"));
      if (part.kind != Part::Kind::kWhole) {
        out.push_back(part);
        continue;
      }
      if (part.schema->is_bool()) {
        if (!part.schema->get_bool()) return std::nullopt;
        continue;
      }
      if (!part.schema->is_object()) fail(part.schema, "expected a schema: an object or a boolean");
      const Part own{part.schema, Part::Kind::kOwn};
      if (std::ranges::find(out, own) != out.end()) continue;
      out.push_back(own);
      take_apart(part.schema, open);
    }
    return out;
  }

  void take_apart(Schema schema, Parts& open) const {
    const io::JsonField field(*schema, "schema");
    const json::object& object = schema->get_object();
    if (const auto* reference = object.if_contains("$ref")) {
      if (!reference->is_string()) fail(schema, "\"$ref\" is no string");
      open.push_back({document_.resolve(schema, reference->get_string())});
    }
    for (const std::string_view name : {"allOf", "anyOf", "oneOf"}) {
      const auto* list = object.if_contains(name);
      if (!list) continue;
      if (!list->is_array() || list->get_array().empty()) fail(schema, cat("\"", name, "\" is no list of schemas"));
      if (name == "anyOf") open.push_back({schema, Part::Kind::kAnyOf});
      if (name == "oneOf") open.push_back({schema, Part::Kind::kOneOf});
      if (name == "allOf")
        for (const auto& element : list->get_array()) open.push_back({&element});
    }
  }

  void spend(size_t work) {
    work_ += work;
    MM_CHECK(work_ <= kMaxWork, "schema: too many combinations of schemas");
  }

  // The rule for values that all parts allow.
  int32_t rule(const Parts& parts) {
    Parts key = parts;
    std::ranges::sort(key);
    key.erase(std::ranges::unique(key).begin(), key.end());
    const auto found = known_.find(key);
    if (found != known_.end()) return found->second;
    MM_CHECK(known_.size() < kMaxRules, "schema: more than ", kMaxRules, " combinations of schemas");
    const int32_t id = rules_.declare();
    known_[std::move(key)] = id;
    waiting_.emplace_back(id, parts);
    return id;
  }
  NodeId value(const Parts& parts) { return rules_.call(rule(parts)); }

  static std::pair<Parts, const json::array*> first_choice(const Parts& parts) {
    Parts rest = parts;
    const auto choice = std::ranges::find_if(
        rest, [](const Part& part) { return part.kind == Part::Kind::kAnyOf || part.kind == Part::Kind::kOneOf; });
    if (choice == rest.end()) return {std::move(rest), nullptr};
    const auto* list =
        &choice->schema->get_object().at(choice->kind == Part::Kind::kAnyOf ? "anyOf" : "oneOf").get_array();
    rest.erase(choice);
    return {std::move(rest), list};
  }

  NodeId body(const Parts& whole) {
    const std::optional<Parts> parts = flattened(whole);
    if (!parts) return rules_.terminal(RegexPool::kNothing);
    spend(parts->size());
    for (const Part& part : *parts)
      if (part.kind == Part::Kind::kOneOf) check_one_of(part.schema);
    const auto [rest, choice] = first_choice(*parts);
    if (!choice) return plain(*parts);
    std::vector<NodeId> branches;
    for (const auto& branch : *choice) {
      Parts with = rest;
      with.push_back({&branch});
      branches.push_back(value(with));
    }
    return rules_.choice(branches);
  }

  SchemaFacts facts_of(const Parts& parts) const {
    SchemaFacts facts;
    for (const Part& part : parts) add_facts(facts, part.schema, pool_, place_);
    return facts;
  }

  std::string place_of(const Parts& parts) const { return parts.empty() ? "schema" : document_.place(parts[0].schema); }

  // No choices left.
  NodeId plain(const Parts& parts) {
    const SchemaFacts facts = facts_of(parts);
    const std::string place = place_of(parts);
    std::vector<NodeId> kinds{rules_.terminal(scalar_regex(facts, pool_, place))};
    if (facts.values) {
      for (const Schema value : allowed_values(facts, pool_, place))
        if ((type_of(*value) & (kArray | kObject)) != 0)
          kinds.push_back(rules_.terminal(pool_.literal(io::write_json(*value))));
      return rules_.choice(kinds);
    }
    if ((facts.types & kArray) != 0) kinds.push_back(array(facts));
    if ((facts.types & kObject) != 0) kinds.push_back(object(facts, place));
    return rules_.choice(kinds);
  }

  NodeId text(std::initializer_list<RegexId> parts) { return rules_.terminal(pool_.concat(std::span(parts))); }
  NodeId container(std::initializer_list<NodeId> parts) { return rules_.sequence(std::span(parts), true); }

  NodeId array(const SchemaFacts& facts) {
    int32_t most = facts.max_items;
    const int32_t least = facts.min_items;
    if (most >= 0 && most < least) return rules_.terminal(RegexPool::kNothing);
    size_t prefix = 0;
    bool tuple = false, open = false;
    for (const auto& structure : facts.structures) {
      if (structure.prefix) prefix = std::max(prefix, structure.prefix->size());
      tuple |= structure.prefix != nullptr;
      open |= structure.items != nullptr;
    }
    const auto fixed = static_cast<int32_t>(prefix);
    if (tuple && !open) most = std::max(least, most < 0 ? fixed : std::min(most, fixed));

    const RegexId comma = pool_.concat(pool_.literal(","), space_), end = pool_.concat(space_, pool_.literal("]"));
    const NodeId close = rules_.terminal(end), next = rules_.terminal(comma);
    // From the last element on backwards: what follows when `i` elements are written.
    const auto further = [&](int32_t i) {
      const NodeId item = rules_.sequence(std::array{next, element(facts, prefix)});
      const int32_t left = most < 0 ? Rules::kUnbounded : most - i;
      return left == 0 ? close : container({rules_.repeat(item, std::max(least - i, 0), left), close});
    };
    int32_t i = std::max(most < 0 ? fixed : std::min(fixed, most), 1);
    NodeId rest = most == 0 ? close : further(i);
    for (; i > 1; --i) {
      const NodeId more = container({next, element(facts, static_cast<size_t>(i) - 1), rest});
      rest = i - 1 >= least ? rules_.choice(std::array{close, more}) : more;
    }
    std::vector<NodeId> out;
    if (least == 0) out.push_back(text({pool_.literal("["), end}));
    if (most != 0) out.push_back(container({text({pool_.literal("["), space_}), element(facts, 0), rest}));
    return rules_.choice(out);
  }

  NodeId element(const SchemaFacts& facts, size_t index) {
    Parts parts;
    for (const auto& structure : facts.structures) {
      if (structure.prefix && index < structure.prefix->size())
        parts.push_back({&(*structure.prefix)[index]});
      else if (structure.items)
        parts.push_back({structure.items});
    }
    return value(parts);
  }

  // What the structures say about a property of this name.
  static Parts property_parts(const SchemaFacts& facts, std::string_view name, RegexPool& pool) {
    Parts parts;
    const std::string quoted = io::write_json_string(name);
    for (const auto& structure : facts.structures) {
      bool spoken_of = false;
      if (const auto* found = structure.properties ? structure.properties->if_contains(name) : nullptr) {
        parts.push_back({found});
        spoken_of = true;
      }
      for (const auto& [pattern, schema] : structure.patterns)
        if (pool.matches(pattern, quoted)) {
          parts.push_back({schema});
          spoken_of = true;
        }
      if (!spoken_of && structure.additional) parts.push_back({structure.additional});
    }
    return parts;
  }

  RegexId names_regex(const SchemaFacts& facts) {
    std::vector<RegexId> all;
    for (const Schema schema : facts.names) {
      const auto parts = flattened({{schema}});
      if (!parts) return RegexPool::kNothing;
      if (first_choice(*parts).second) fail(schema, "anyOf and oneOf in \"propertyNames\" are not supported");
      const SchemaFacts names = facts_of(*parts);
      all.push_back(names.values                   ? scalar_regex(names, pool_, place_of(*parts))
                    : (names.types & kString) != 0 ? pool_.both(string_regex(names, pool_), plain_json_string(pool_))
                                                   : RegexPool::kNothing);
    }
    return pool_.both(all);
  }

  std::vector<Member> members(const SchemaFacts& facts, RegexId names) {
    std::vector<std::string_view> in_order;
    std::map<std::string_view, bool> seen;
    const auto add = [&](std::string_view name) {
      if (seen.try_emplace(name, true).second) in_order.push_back(name);
    };
    for (const auto& structure : facts.structures)
      if (structure.properties)
        for (const auto& [name, schema] : *structure.properties) add(name);
    for (const std::string_view name : facts.required) add(name);
    MM_CHECK(in_order.size() <= kMaxProperties, "schema: an object with ", in_order.size(),
             " properties, expected at most ", kMaxProperties);
    std::vector<Member> out;
    for (const std::string_view name : in_order) {
      spend(facts.structures.size());
      const bool named_well = pool_.matches(names, io::write_json_string(name));
      out.push_back({name,
                     named_well ? value(property_parts(facts, name, pool_)) : rules_.terminal(RegexPool::kNothing),
                     facts.is_required(name)});
    }
    return out;
  }

  // Members that are not named: one kind for each set of patterns that a name may match.
  std::vector<FreeMember> free_members(const SchemaFacts& facts, RegexId names, const std::vector<Member>& known,
                                       std::string_view place) {
    struct Pattern {
      RegexId name;
      size_t structure;
      Schema schema;
    };
    std::vector<Pattern> patterns;
    bool closed = false, spoken_of = false;
    for (size_t i = 0; i < facts.structures.size(); ++i) {
      const auto& structure = facts.structures[i];
      for (const auto& [name, schema] : structure.patterns) patterns.push_back({name, i, schema});
      closed |= structure.properties != nullptr || !structure.patterns.empty();
      spoken_of |= structure.additional != nullptr;
    }
    MM_CHECK(patterns.size() <= kMaxPatterns, place, ": ", patterns.size(),
             " patterns in \"patternProperties\", expected at most ", kMaxPatterns);
    std::vector<std::string> quoted;
    for (const Member& member : known) quoted.push_back(io::write_json_string(member.name));
    const RegexId fixed = pool_.any_of(std::vector<std::string_view>(quoted.begin(), quoted.end()));
    std::vector<FreeMember> out;
    for (size_t set = 0; set < size_t{1} << patterns.size(); ++set) {
      if (set == 0 && closed && !spoken_of) continue;
      std::vector<RegexId> name{names};
      if (!known.empty()) name.push_back(pool_.complement(fixed));
      for (size_t i = 0; i < patterns.size(); ++i)
        name.push_back((set >> i & 1) != 0 ? patterns[i].name : pool_.complement(patterns[i].name));
      RegexId regex = pool_.both(name);
      // Every spelling will do where names are not told apart.
      regex = regex == RegexPool::kAnything ? json_string(pool_) : pool_.both(regex, plain_json_string(pool_));
      if (!pool_.live(regex)) continue;
      Parts parts;
      for (size_t i = 0; i < facts.structures.size(); ++i) {
        bool matched = false;
        for (size_t j = 0; j < patterns.size(); ++j)
          if (patterns[j].structure == i && (set >> j & 1) != 0) {
            parts.push_back({patterns[j].schema});
            matched = true;
          }
        if (!matched && facts.structures[i].additional) parts.push_back({facts.structures[i].additional});
      }
      if (!flattened(parts)) continue;
      out.push_back({regex, value(parts)});
    }
    return out;
  }

  NodeId object(const SchemaFacts& facts, std::string_view place) {
    const RegexId names = names_regex(facts);
    const std::vector<Member> known = members(facts, names);
    const std::vector<FreeMember> free = free_members(facts, names, known, place);
    return ObjectWriter(*this, facts, known, free, place).write();
  }

  // The text of an object. Members that are named come in order, each with a comma before it unless it is the first.
  class ObjectWriter {
   public:
    ObjectWriter(Compiler& compiler, const SchemaFacts& facts, const std::vector<Member>& known,
                 const std::vector<FreeMember>& free, std::string_view place)
        : c_(compiler),
          known_(known),
          free_(free),
          least_(facts.min_properties),
          most_(facts.max_properties),
          needed_(static_cast<int32_t>(std::ranges::count_if(known, &Member::required))) {
      const auto count = static_cast<int32_t>(known.size());
      if (least_ <= needed_) least_ = 0;
      if (most_ >= 0 && free.empty() && most_ >= count) most_ = Rules::kUnbounded;
      counted_ = least_ > 0 || most_ >= 0;
      MM_CHECK(!counted_ || known.size() <= kMaxCounted, place, ": \"minProperties\" or \"maxProperties\" with ",
               known.size(), " properties, expected at most ", kMaxCounted);
      // A name that is not in the schema may be written twice, and would count as one.
      MM_CHECK(free.empty() || least_ <= needed_ + 1, place, ": \"minProperties\" above the number of required ",
               "properties plus one is not supported beside \"additionalProperties\"");
      close_ = c_.text({c_.space_, c_.pool_.literal("}")});
    }

    NodeId write() {
      // Backwards: what follows when the first `i` members are decided and the object has `written`, from 1.
      const size_t columns = counted_ ? known_.size() + 2 : 2;
      std::vector<NodeId> after(columns), next(columns);
      for (size_t written = 1; written < columns; ++written) next[written] = end(static_cast<int32_t>(written));
      NodeId first = nothing_yet();
      for (size_t i = known_.size(); i-- > 0;) {
        const Member& member = known_[i];
        const auto text = [&](RegexId before, NodeId then) {
          const RegexId name = c_.pool_.literal(io::write_json_string(member.name));
          return c_.container({name_text(before, name), member.value, then});
        };
        first = either(text(opening(), next[1]), first, member.required);
        for (size_t written = 1; written < columns; ++written) {
          const size_t more = counted_ ? std::min(written + 1, columns - 1) : written;
          const bool full = counted_ && most_ >= 0 && static_cast<int32_t>(written) >= most_;
          const NodeId with = full ? nothing() : text(comma(), next[more]);
          after[written] = either(with, next[written], member.required);
        }
        std::swap(after, next);
      }
      return first;
    }

   private:
    RegexId opening() { return c_.pool_.concat(c_.pool_.literal("{"), c_.space_); }
    RegexId comma() { return c_.pool_.concat(c_.pool_.literal(","), c_.space_); }
    NodeId nothing() { return c_.rules_.terminal(RegexPool::kNothing); }
    NodeId name_text(RegexId before, RegexId name) {
      return c_.text({before, name, c_.pool_.literal(":"), c_.colon_space_});
    }
    NodeId either(NodeId with, NodeId without, bool required) {
      return required ? with : c_.rules_.choice(std::array{with, without});
    }
    NodeId free_member(RegexId before) {
      std::vector<NodeId> kinds;
      for (const FreeMember& member : free_)
        kinds.push_back(c_.rules_.sequence(std::array{name_text(before, member.name), member.value}));
      return c_.rules_.choice(kinds);
    }
    // After all members that are named, with `written` members so far.
    NodeId end(int32_t written) {
      if (!counted_) written = 0;
      const int32_t least = std::max(least_ - written, 0);
      const int32_t most = most_ < 0 ? Rules::kUnbounded : most_ - written;
      if (most_ >= 0 && (most < 0 || most < least)) return nothing();
      if (free_.empty()) return least > 0 ? nothing() : close_;
      if (most == 0) return close_;
      return c_.container({c_.rules_.repeat(free_member(comma()), least, most), close_});
    }
    // The object when none of the named members is written.
    NodeId nothing_yet() {
      std::vector<NodeId> out;
      if (least_ == 0) out.push_back(c_.text({c_.pool_.literal("{"), c_.space_, c_.pool_.literal("}")}));
      if (!free_.empty() && most_ != 0) out.push_back(c_.container({free_member(opening()), end(1)}));
      return c_.rules_.choice(out);
    }

    Compiler& c_;
    const std::vector<Member>& known_;
    const std::vector<FreeMember>& free_;
    int32_t least_, most_, needed_;
    bool counted_ = false;
    NodeId close_ = 0;
  };

  // oneOf is anyOf when no value satisfies two of its schemas; only that is supported.
  void check_one_of(Schema schema) {
    if (std::ranges::find(checked_, schema) != checked_.end()) return;
    checked_.push_back(schema);
    const json::array& branches = schema->get_object().at("oneOf").get_array();
    for (size_t i = 0; i < branches.size(); ++i)
      for (size_t j = i + 1; j < branches.size(); ++j)
        if (!apart({{&branches[i]}}, {{&branches[j]}}, 0))
          fail(schema, cat("\"oneOf\" is supported only where no value can satisfy two of its schemas; ", i, " and ", j,
                           " may both hold (if that is meant, write \"anyOf\")"));
  }

  // True when surely no value satisfies both.
  bool apart(const Parts& a, const Parts& b, int depth) {
    if (depth > 4) return false;
    MM_CHECK(++comparisons_ <= kMaxComparisons, "schema: \"oneOf\" with too many combinations to tell apart");
    const auto flat_a = flattened(a), flat_b = flattened(b);
    if (!flat_a || !flat_b) return true;
    for (const bool swapped : {false, true}) {
      const auto [rest, choice] = first_choice(swapped ? *flat_b : *flat_a);
      if (!choice) continue;
      return std::ranges::all_of(*choice, [&, &rest = rest](const json::value& branch) {
        Parts with = rest;
        with.push_back({&branch});
        return apart(with, swapped ? a : b, depth + 1);
      });
    }
    const SchemaFacts facts_a = facts_of(*flat_a), facts_b = facts_of(*flat_b);
    if (facts_a.values || facts_b.values) return values_apart(facts_a, facts_b, *flat_a, *flat_b);
    const uint8_t common = facts_a.types & facts_b.types;
    if ((common & (kNull | kBoolean | kArray)) != 0) return false;
    if ((common & kString) != 0) {
      const RegexId plain = plain_json_string(pool_);
      if (pool_.live(pool_.both(std::array{plain, string_regex(facts_a, pool_), string_regex(facts_b, pool_)})))
        return false;
    }
    if ((common & (kInteger | kFraction)) != 0 && !numbers_apart(facts_a.numbers, facts_b.numbers)) return false;
    return (common & kObject) == 0 || objects_apart(facts_a, facts_b, depth) || objects_apart(facts_b, facts_a, depth);
  }

  bool values_apart(const SchemaFacts& a, const SchemaFacts& b, const Parts& parts_a, const Parts& parts_b) {
    SchemaFacts both = a;
    if (!both.values) both.values = b.values;
    if (a.values && b.values)
      std::erase_if(*both.values, [&](Schema value) {
        return std::ranges::none_of(*b.values, [value](Schema other) { return *other == *value; });
      });
    // What is left must contradict the other keywords of one side.
    for (const auto& [facts, parts] : {std::pair(&a, &parts_a), std::pair(&b, &parts_b)}) {
      SchemaFacts with = *facts;
      with.values = both.values;
      const bool structured =
          std::ranges::any_of(*both.values, [](Schema value) { return (type_of(*value) & (kArray | kObject)) != 0; });
      if (structured && ((facts->types & (kArray | kObject)) != 0)) continue;
      if (allowed_values(with, pool_, place_of(*parts)).empty()) return true;
    }
    return both.values->empty();
  }

  static bool numbers_apart(const NumberLimits& a, const NumberLimits& b) {
    const auto below = [](const NumberLimits& low, const NumberLimits& high) {
      return low.most && high.least &&
             (low.most->value < high.least->value ||
              (low.most->value == high.least->value && (low.most->exclusive || high.least->exclusive)));
    };
    return below(a, b) || below(b, a);
  }

  // By a property that `a` requires and that `b` forbids or gives other values.
  bool objects_apart(const SchemaFacts& a, const SchemaFacts& b, int depth) {
    return std::ranges::any_of(a.required, [&](std::string_view name) {
      return apart(property_parts(a, name, pool_), property_parts(b, name, pool_), depth + 1);
    });
  }

  SchemaDocument document_;
  RegexPool& pool_;
  Rules& rules_;
  PlaceOf place_;
  RegexId before_ = RegexPool::kEmpty;       // the whole
  RegexId space_ = RegexPool::kEmpty;        // after commas and inside brackets
  RegexId colon_space_ = RegexPool::kEmpty;  // after colons
  std::map<Parts, int32_t> known_;
  std::deque<std::pair<int32_t, Parts>> waiting_;
  std::vector<Schema> checked_;
  size_t work_ = 0;
  int comparisons_ = 0;
};

}  // namespace

NodeId compile_json_schema(std::string_view schema, JsonSpace space, RegexPool& pool, Rules& rules) {
  return Compiler(schema, space, pool, rules).compile();
}

}  // namespace minimax::text::grammar
