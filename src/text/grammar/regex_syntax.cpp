#include "text/grammar/regex_syntax.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "text/unicode_tables.h"
#include "text/utf8.h"

namespace minimax::text::grammar {
namespace {

constexpr size_t kMaxPattern = 4096;
constexpr int kMaxGroups = 100;        // inside each other
constexpr size_t kMaxBranches = 1000;  // after anchors in groups were spread over alternatives
constexpr int32_t kMaxCount = 1'000'000;

struct Tree {
  enum class Kind : uint8_t { kSet, kConcat, kAlt, kRepeat, kBegin, kEnd, kAhead, kNotAhead };
  Kind kind = Kind::kConcat;
  CodePoints set = {};
  std::vector<Tree> parts = {};  // of kRepeat and lookaheads: one
  int32_t min = 0, max = 0;
};

using Kind = Tree::Kind;

CodePoints category(auto belongs) {
  CodePoints out;
  uint32_t begin = 0;
  bool inside = false;
  for (uint32_t c = 0; c <= CodePoints::kLast + 1; ++c) {
    const bool now = c <= CodePoints::kLast && belongs(char_class(c));
    if (now && !inside) begin = c;
    if (!now && inside) out.add(begin, c - 1);
    inside = now;
  }
  return out;
}

CodePoints digits() {
  return {'0', '9'};
}

CodePoints word_characters() {
  CodePoints set = digits();
  set.add('A', 'Z');
  set.add('_', '_');
  set.add('a', 'z');
  return set;
}

CodePoints spaces() {
  CodePoints set(0x09, 0x0D);
  for (const uint32_t c : {0x20u, 0xA0u, 0x1680u, 0x2028u, 0x2029u, 0x202Fu, 0x205Fu, 0x3000u, 0xFEFFu}) set.add(c, c);
  set.add(0x2000, 0x200A);
  return set;
}

CodePoints line_ends() {
  return CodePoints::any_of(U"\n\r\u2028\u2029");
}

class Parser {
 public:
  Parser(std::string_view pattern, std::string_view what) : text_(pattern), what_(what) {
    MM_CHECK(pattern.size() <= kMaxPattern, what_, ": a pattern of ", pattern.size(), " bytes, expected at most ",
             kMaxPattern);
  }

  Tree parse() {
    Tree tree = alternatives(0);
    if (at_ < text_.size()) fail("a ) that closes nothing");
    return tree;
  }

 private:
  [[noreturn]] void fail(std::string_view problem) const {
    throw Error(ErrorKind::kInvalidArgument, cat(what_, ": pattern \"", text_, "\": ", problem, " at byte ", at_));
  }
  [[noreturn]] void unsupported(std::string_view feature) const { fail(cat(feature, " (not supported)")); }

  bool more() const { return at_ < text_.size(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool take(std::string_view expected) {
    if (!text_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }
  uint32_t character() {
    const Utf8Char c = decode_utf8(text_.data() + at_, text_.data() + text_.size());
    if (c.code_point == kInvalidCodePoint) fail("bytes that are not UTF-8");
    at_ += c.length;
    return c.code_point;
  }

  Tree alternatives(int depth) {
    if (depth > kMaxGroups) fail(cat("groups nested deeper than ", kMaxGroups));
    Tree alt{.kind = Kind::kAlt};
    do {
      Tree branch{.kind = Kind::kConcat};
      while (more() && peek() != '|' && peek() != ')') term(branch, depth);
      alt.parts.push_back(std::move(branch));
    } while (take("|"));
    return alt.parts.size() == 1 ? std::move(alt.parts[0]) : alt;
  }

  void term(Tree& branch, int depth) {
    if (take("^")) {
      branch.parts.push_back({.kind = Kind::kBegin});
      return;
    }
    if (take("$")) {
      branch.parts.push_back({.kind = Kind::kEnd});
      return;
    }
    Tree atom;
    if (take("("))
      atom = group(depth);
    else if (take("["))
      atom = {.kind = Kind::kSet, .set = bracket()};
    else if (take("."))
      atom = {.kind = Kind::kSet, .set = line_ends().complement()};
    else if (peek() == '*' || peek() == '+' || peek() == '?')
      fail("a quantifier without anything before it");
    else if (take("\\"))
      atom = {.kind = Kind::kSet, .set = escape(false)};
    else
      atom = {.kind = Kind::kSet, .set = one(character())};
    quantify(atom);
    branch.parts.push_back(std::move(atom));
  }

  static CodePoints one(uint32_t c) { return {c, c}; }

  Tree group(int depth) {
    Kind kind = Kind::kConcat;
    if (take("?")) {
      if (take("=")) {
        kind = Kind::kAhead;
      } else if (take("!")) {
        kind = Kind::kNotAhead;
      } else if (peek() == '<' && (peek(1) == '=' || peek(1) == '!')) {
        unsupported("a lookbehind");
      } else if (take("<") || take("P<")) {
        while (more() && peek() != '>') ++at_;
        if (!take(">")) fail("a group name without >");
      } else if (!take(":")) {
        unsupported("an inline flag or another (? construct");
      }
    }
    Tree inner = alternatives(depth + 1);
    if (!take(")")) fail("a group without )");
    if (kind == Kind::kConcat) return inner;
    Tree ahead{.kind = kind};
    ahead.parts.push_back(std::move(inner));
    return ahead;
  }

  std::optional<int32_t> count() {
    if (peek() < '0' || peek() > '9') return std::nullopt;
    int64_t value = 0;
    while (peek() >= '0' && peek() <= '9') {
      value = value * 10 + (peek() - '0');
      if (value > kMaxCount) fail(cat("a count larger than ", kMaxCount));
      ++at_;
    }
    return static_cast<int32_t>(value);
  }

  void quantify(Tree& atom) {
    int32_t min = 0, max = RegexPool::kUnbounded;
    if (take("*")) {
    } else if (take("+")) {
      min = 1;
    } else if (take("?")) {
      max = 1;
    } else if (peek() == '{') {
      const size_t begin = at_++;
      const auto first = count();
      bool counted = first.has_value();
      if (counted) {
        min = max = *first;
        if (take(",")) max = count().value_or(RegexPool::kUnbounded);
        counted = take("}");
      }
      if (!counted) {  // then it is a character, as in ECMA without the flag u
        at_ = begin;
        return;
      }
      if (max >= 0 && max < min) fail("a count whose maximum is below its minimum");
    } else {
      return;
    }
    if (atom.kind == Kind::kAhead || atom.kind == Kind::kNotAhead) unsupported("a quantified lookahead");
    if (peek() == '+') unsupported("a possessive quantifier");
    take("?");
    if (peek() == '*' || peek() == '+' || peek() == '?') fail("two quantifiers");
    Tree repeat{.kind = Kind::kRepeat, .min = min, .max = max};
    repeat.parts.push_back(std::move(atom));
    atom = std::move(repeat);
  }

  uint32_t hex(int digits) {
    uint32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail("a hexadecimal digit is missing");
      value = value * 16 + static_cast<uint32_t>(digit);
    }
    return value;
  }

  uint32_t unicode_escape() {
    if (take("{")) {
      uint32_t value = 0;
      int count = 0;
      while (more() && peek() != '}') {
        value = value * 16 + hex(1);
        if (++count > 6) fail("a code point of more than six digits");
      }
      if (!take("}") || count == 0 || value > CodePoints::kLast) fail("a malformed \\u{...}");
      return value;
    }
    const uint32_t unit = hex(4);
    if (unit < 0xD800 || unit > 0xDBFF || !take("\\u")) return unit;
    const uint32_t low = hex(4);
    if (low < 0xDC00 || low > 0xDFFF) fail("half a surrogate pair");
    return 0x10000 + ((unit & 0x3FF) << 10 | (low & 0x3FF));
  }

  CodePoints property(bool negated) {
    if (!take("{")) fail("a \\p without {");
    const size_t end = text_.find('}', at_);
    if (end == std::string_view::npos) fail("a \\p without }");
    std::string_view name = text_.substr(at_, end - at_);
    for (const std::string_view prefix : {"General_Category=", "gc="})
      if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
    using C = CharClass;
    CodePoints set;
    if (name == "L" || name == "Letter" || name == "Alphabetic")
      set = category([](C c) { return c == C::kUpper || c == C::kLower || c == C::kLetter; });
    else if (name == "Lu" || name == "Uppercase_Letter" || name == "Uppercase")
      set = category([](C c) { return c == C::kUpper; });
    else if (name == "Ll" || name == "Lowercase_Letter" || name == "Lowercase")
      set = category([](C c) { return c == C::kLower; });
    else if (name == "M" || name == "Mark")
      set = category([](C c) { return c == C::kMark; });
    else if (name == "N" || name == "Number")
      set = category([](C c) { return c == C::kNumber; });
    else
      unsupported(cat("the property \\p{", name, "}"));
    at_ = end + 1;
    return negated ? set.complement() : set;
  }

  // After the backslash.
  CodePoints escape(bool in_bracket) {
    if (!more()) fail("a backslash at the end");
    const char c = peek();
    ++at_;
    switch (c) {
      case 'd':
        return digits();
      case 'D':
        return digits().complement();
      case 'w':
        return word_characters();
      case 'W':
        return word_characters().complement();
      case 's':
        return spaces();
      case 'S':
        return spaces().complement();
      case 'p':
      case 'P':
        return property(c == 'P');
      case 't':
        return one('\t');
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case 'x':
        return one(hex(2));
      case 'u':
        return one(unicode_escape());
      case 'c': {
        const char letter = peek();
        if ((letter < 'a' || letter > 'z') && (letter < 'A' || letter > 'Z')) fail("a \\c without a letter");
        ++at_;
        return one(static_cast<uint32_t>(letter) & 31);
      }
      case 'b':
        if (in_bracket) return one('\b');
        [[fallthrough]];
      case 'B':
        unsupported("a word boundary");
      case 'A':
      case 'Z':
      case 'z':
      case 'G':
        unsupported(cat("\\", std::string(1, c)));
      case 'k':
        unsupported("a back-reference");
      default:
        break;
    }
    if (c == '0' && (peek() < '0' || peek() > '9')) return one(0);
    if (c >= '0' && c <= '9') unsupported("a back-reference or octal escape");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) fail(cat("the unknown escape \\", std::string(1, c)));
    --at_;
    return one(character());
  }

  CodePoints bracket() {
    const bool negated = take("^");
    CodePoints set;
    while (peek() != ']' || !more()) {
      if (!more()) fail("a [ without ]");
      const CodePoints first = class_atom();
      if (peek() == '-' && at_ + 1 < text_.size() && peek(1) != ']') {
        ++at_;
        const CodePoints last = class_atom();
        const auto single = [](const CodePoints& points) {
          return points.ranges().size() == 1 && points.ranges()[0].first == points.ranges()[0].last;
        };
        if (!single(first) || !single(last)) fail("a range between classes");
        if (first.ranges()[0].first > last.ranges()[0].first) fail("a range whose end is before its beginning");
        set.add(first.ranges()[0].first, last.ranges()[0].first);
      } else {
        set.add(first);
      }
    }
    ++at_;
    return negated ? set.complement() : set;
  }

  CodePoints class_atom() {
    if (take("\\")) return peek() == '-' ? (++at_, one('-')) : escape(true);
    return one(character());
  }

  std::string_view text_;
  std::string_view what_;
  size_t at_ = 0;
};

class Lowering {
 public:
  Lowering(RegexPool& pool, Spelling spelling, std::string_view pattern, std::string_view what)
      : pool_(pool),
        spelling_(spelling),
        pattern_(pattern),
        what_(what),
        any_(pool.repeat(spelled(pool, CodePoints::all(), spelling), 0, RegexPool::kUnbounded)) {}

  RegexId whole(const Tree& tree) {
    std::vector<RegexId> out;
    for (Branch& branch : branches(tree)) {
      strip(branch);
      out.push_back(sequence(branch.parts, 0, RegexPool::kEmpty));
    }
    return pool_.alt(out);
  }

  RegexId search(const Tree& tree) {
    std::vector<RegexId> out;
    for (Branch& branch : branches(tree)) {
      strip(branch);
      const RegexId rest = sequence(branch.parts, 0, branch.end ? RegexPool::kEmpty : any_);
      out.push_back(branch.begin ? rest : pool_.concat(any_, rest));
    }
    return pool_.alt(out);
  }

 private:
  struct Branch {
    std::vector<const Tree*> parts = {};
    bool begin = false, end = false;
  };

  [[noreturn]] void unsupported(std::string_view feature) const {
    throw Error(ErrorKind::kInvalidArgument, cat(what_, ": pattern \"", pattern_, "\": ", feature, " (not supported)"));
  }

  static bool has_anchor(const Tree& tree) {
    return tree.kind == Kind::kBegin || tree.kind == Kind::kEnd || tree.kind == Kind::kAhead ||
           tree.kind == Kind::kNotAhead || std::ranges::any_of(tree.parts, has_anchor);
  }

  // The alternatives as flat sequences, as far as anchors and lookaheads in groups ask for it.
  std::vector<Branch> branches(const Tree& tree) {
    std::vector<Branch> out;
    if (tree.kind == Kind::kAlt) {
      for (const Tree& part : tree.parts)
        for (Branch& branch : branches(part)) out.push_back(std::move(branch));
      check_count(out.size());
      return out;
    }
    if (tree.kind != Kind::kConcat) return {{.parts = {&tree}}};
    out.push_back({});
    for (const Tree& part : tree.parts) {
      if ((part.kind == Kind::kAlt || part.kind == Kind::kConcat) && has_anchor(part)) {
        std::vector<Branch> product;
        const std::vector<Branch> inner = branches(part);
        check_count(out.size() * inner.size());
        for (const Branch& before : out)
          for (const Branch& after : inner) {
            product.push_back(before);
            product.back().parts.insert(product.back().parts.end(), after.parts.begin(), after.parts.end());
          }
        out = std::move(product);
      } else {
        for (Branch& branch : out) branch.parts.push_back(&part);
      }
    }
    return out;
  }

  void check_count(size_t count) const {
    if (count > kMaxBranches) unsupported(cat("anchors in more than ", kMaxBranches, " alternatives"));
  }

  static void strip(Branch& branch) {
    auto& parts = branch.parts;
    while (!parts.empty() && parts.front()->kind == Kind::kBegin) {
      branch.begin = true;
      parts.erase(parts.begin());
    }
    while (!parts.empty() && parts.back()->kind == Kind::kEnd) {
      branch.end = true;
      parts.pop_back();
    }
  }

  RegexId sequence(const std::vector<const Tree*>& parts, size_t from, RegexId tail) {
    std::vector<RegexId> out;
    for (size_t i = from; i < parts.size(); ++i) {
      const Tree& part = *parts[i];
      if (part.kind == Kind::kAhead || part.kind == Kind::kNotAhead) {
        const RegexId rest = sequence(parts, i + 1, tail);
        const RegexId ahead = begins_with(part.parts[0]);
        out.push_back(pool_.both(rest, part.kind == Kind::kAhead ? ahead : pool_.complement(ahead)));
        return pool_.concat(out);
      }
      out.push_back(lower(part));
    }
    out.push_back(tail);
    return pool_.concat(out);
  }

  // Texts that begin with a match of a lookahead.
  RegexId begins_with(const Tree& tree) {
    std::vector<RegexId> out;
    for (Branch& branch : branches(tree)) {
      strip(branch);
      if (branch.begin) unsupported("^ in a lookahead");
      out.push_back(sequence(branch.parts, 0, branch.end ? RegexPool::kEmpty : any_));
    }
    return pool_.alt(out);
  }

  RegexId lower(const Tree& tree) {
    switch (tree.kind) {
      case Kind::kSet:
        return spelled(pool_, tree.set, spelling_);
      case Kind::kConcat:
      case Kind::kAlt: {
        std::vector<RegexId> parts;
        for (const Tree& part : tree.parts) parts.push_back(lower(part));
        return tree.kind == Kind::kAlt ? pool_.alt(parts) : pool_.concat(parts);
      }
      case Kind::kRepeat:
        return pool_.repeat(lower(tree.parts[0]), tree.min, tree.max);
      case Kind::kBegin:
      case Kind::kEnd:
        unsupported("^ or $ that is not at an end of an alternative");
      case Kind::kAhead:
      case Kind::kNotAhead:
        unsupported("a lookahead inside a repetition");
    }
    return RegexPool::kNothing;
  }

  RegexPool& pool_;
  Spelling spelling_;
  std::string_view pattern_;
  std::string_view what_;
  RegexId any_;
};

}  // namespace

RegexId parse_regex(RegexPool& pool, std::string_view pattern, Anchoring anchoring, Spelling spelling,
                    std::string_view what) {
  const Tree tree = Parser(pattern, what).parse();
  Lowering lowering(pool, spelling, pattern, what);
  return anchoring == Anchoring::kWhole ? lowering.whole(tree) : lowering.search(tree);
}

}  // namespace minimax::text::grammar
