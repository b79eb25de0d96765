#include "text/jinja/syntax.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <initializer_list>

#include "core/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/lexer.h"

namespace minimax::text::jinja {
namespace {

using Kind = Expression::Kind;
using Tokens = Token::Kind;

constexpr size_t kMaxSource = 1 << 20;
constexpr int32_t kMaxDepth = 200;  // of expressions, of tags inside each other, of brackets

class Parser {
 public:
  explicit Parser(std::string_view source) {
    MM_CHECK(source.size() <= kMaxSource, "chat template: ", source.size(), " bytes, expected at most ", kMaxSource);
    tokens_ = tokenize(source);
  }

  std::vector<Statement> parse(std::vector<std::string>& doubts) {
    std::vector<Statement> out = statements({});
    for (const Unknown& unknown : unknown_) {
      if (!unknown.conditional) fail_at(unknown.line, cat(unknown.what, " is not known"));
      doubts.push_back(cat("line ", unknown.line, ": ", unknown.what, " is not known"));
    }
    return out;
  }

 private:
  // Tokens.
  const Token& now() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  static bool is(const Token& token, std::string_view op) {
    return token.kind == Tokens::kOperator && token.text == op;
  }
  bool is(std::string_view op) const { return is(now(), op); }
  bool is_name(std::string_view name) const { return now().kind == Tokens::kName && now().text == name; }
  bool take(std::string_view op) {
    if (!is(op)) return false;
    ++at_;
    return true;
  }
  bool take_name(std::string_view name) {
    if (!is_name(name)) return false;
    ++at_;
    return true;
  }
  [[noreturn]] void fail(std::string_view expected) const {
    const Token& token = now();
    const auto found = [&]() -> std::string {
      switch (token.kind) {
        case Tokens::kFileEnd:
          return "the end";
        case Tokens::kTagEnd:
          return "%}";
        case Tokens::kEnd:
          return "}}";
        case Tokens::kText:
          return "text";
        case Tokens::kBegin:
        case Tokens::kTagBegin:
          return "a tag";
        default:
          return token.text;
      }
    }();
    fail_at(token.line, cat("found ", found, ", expected ", expected));
  }
  void expect(std::string_view op) {
    if (!take(op)) fail(op);
  }
  std::string expect_name() {
    if (now().kind != Tokens::kName) fail("a name");
    return tokens_[at_++].text;
  }
  void end_tag() {
    if (now().kind != Tokens::kTagEnd) fail("%}");
    ++at_;
  }

  struct Deeper {
    Deeper(int32_t& depth, int32_t line) : depth_(depth) {
      if (++depth_ > kMaxDepth) fail_at(line, cat("nested deeper than ", kMaxDepth));
    }
    ~Deeper() { --depth_; }
    int32_t& depth_;
  };

  // Nodes.
  template <typename... Parts>
  ExpressionPtr make(Kind kind, int32_t line, Parts... parts) {
    auto out = std::make_unique<Expression>(Expression{.kind = kind, .line = line});
    (add(*out, std::move(parts)), ...);
    return out;
  }
  static void add(Expression& to, ExpressionPtr part) {
    if (part) grow(to, *part);
    to.parts.push_back(std::move(part));
  }
  static void grow(Expression& to, const Expression& part) {
    to.depth = std::max(to.depth, part.depth + 1);
    if (to.depth > kMaxDepth) fail_at(to.line, cat("an expression nested deeper than ", kMaxDepth));
  }
  ExpressionPtr named(Kind kind, int32_t line, std::string name, ExpressionPtr a, ExpressionPtr b = nullptr) {
    auto out = make(kind, line, std::move(a));
    if (b) add(*out, std::move(b));
    out->name = std::move(name);
    return out;
  }
  ExpressionPtr constant(int32_t line, Value value) {
    auto out = make(Kind::kConstant, line);
    out->value = std::move(value);
    return out;
  }

  // Statements up to a tag with one of these names, which is then the current token.
  std::vector<Statement> statements(std::initializer_list<std::string_view> ends) {
    const Deeper deeper(nesting_, now().line);
    std::vector<Statement> out;
    for (;;) {
      const Token& token = now();
      switch (token.kind) {
        case Tokens::kText:
          out.push_back({.kind = Statement::Kind::kText,
                         .line = token.line,
                         .text = TracedString(token.text, TracedString::Origin::kTemplate)});
          ++at_;
          break;
        case Tokens::kBegin:
          ++at_;
          out.push_back({.kind = Statement::Kind::kPrint, .line = token.line, .expression = tuple(true)});
          if (now().kind != Tokens::kEnd) fail("}}");
          ++at_;
          break;
        case Tokens::kTagBegin:
          ++at_;
          if (now().kind != Tokens::kName) fail("the name of a tag");
          if (std::ranges::find(ends, now().text) != ends.end()) return out;
          out.push_back(statement());
          break;
        default:
          if (ends.size() > 0) fail(cat("{% ", *ends.begin(), " %}"));
          return out;
      }
    }
  }

  Statement statement() {
    const int32_t line = now().line;
    const std::string tag = expect_name();
    Statement out{.kind = Statement::Kind::kBlock, .line = line};
    if (tag == "for") {
      for_loop(out);
    } else if (tag == "if") {
      condition(out);
    } else if (tag == "set") {
      assignment(out);
    } else if (tag == "macro") {
      out.kind = Statement::Kind::kMacro;
      out.name = expect_name();
      parameters(out);
      block(out, "endmacro");
    } else if (tag == "call") {
      out.kind = Statement::Kind::kCallBlock;
      if (is("(")) parameters(out);
      out.expression = expression();
      if (out.expression->kind != Kind::kCall) fail("a call");
      block(out, "endcall");
    } else if (tag == "filter") {
      out.kind = Statement::Kind::kFilter;
      out.expression = filters(nullptr, true);
      block(out, "endfilter");
    } else if (tag == "with") {
      with(out);
    } else if (tag == "generation") {
      block(out, "endgeneration");
    } else if (tag == "break" || tag == "continue") {
      if (loops_ == 0) fail_at(line, cat(tag, " outside of a loop"));
      out.kind = tag == "break" ? Statement::Kind::kBreak : Statement::Kind::kContinue;
      end_tag();
    } else {
      fail_at(line, cat("the tag \"", tag, "\" is not supported"));
    }
    return out;
  }

  // The rest of the tag, and its body.
  void block(Statement& out, std::string_view end) {
    end_tag();
    out.body = statements({end});
    ++at_;
    end_tag();
  }

  void for_loop(Statement& out) {
    out.kind = Statement::Kind::kFor;
    out.target = target(false);
    if (!take_name("in")) fail("in");
    out.expression = tuple(false);
    if (take_name("if")) out.condition = expression();
    if (is_name("recursive")) fail("%} (recursive loops are not supported)");
    end_tag();
    ++loops_;
    out.body = statements({"endfor", "else"});
    --loops_;
    if (take_name("else")) {
      end_tag();
      out.otherwise = statements({"endfor"});
    }
    ++at_;
    end_tag();
  }

  void condition(Statement& out) {
    const Deeper deeper(nesting_, out.line);  // elif is an if inside else
    const Deeper conditional(conditions_, out.line);
    out.kind = Statement::Kind::kIf;
    out.expression = tuple(true);
    end_tag();
    out.body = statements({"endif", "else", "elif"});
    const int32_t line = now().line;
    if (take_name("elif")) {
      out.otherwise.push_back({.kind = Statement::Kind::kIf, .line = line});
      condition(out.otherwise.back());
      return;
    }
    if (take_name("else")) {
      end_tag();
      out.otherwise = statements({"endif"});
    }
    ++at_;
    end_tag();
  }

  void assignment(Statement& out) {
    out.kind = Statement::Kind::kSet;
    out.target = target(true);
    if (take("=")) {
      out.expression = tuple(true);
      end_tag();
      return;
    }
    out.kind = Statement::Kind::kSetBlock;
    if (is("|")) out.expression = filters(nullptr, false);
    block(out, "endset");
  }

  void with(Statement& out) {
    out.kind = Statement::Kind::kWith;
    while (now().kind != Tokens::kTagEnd) {
      if (!out.parameters.empty()) expect(",");
      std::string name = expect_name();
      expect("=");
      out.parameters.emplace_back(std::move(name), expression());
    }
    block(out, "endwith");
  }

  void parameters(Statement& out) {
    expect("(");
    while (!is(")")) {
      if (!out.parameters.empty()) expect(",");
      std::string name = expect_name();
      ExpressionPtr fallback;
      if (take("="))
        fallback = expression();
      else if (!out.parameters.empty() && out.parameters.back().second)
        fail("a default, since the parameter before has one");
      out.parameters.emplace_back(std::move(name), std::move(fallback));
    }
    expect(")");
  }

  ExpressionPtr target(bool may_be_attribute) {
    const int32_t line = now().line;
    const auto one = [&] {
      auto name = make(Kind::kName, now().line);
      const bool bracket = take("(");
      if (bracket) {
        name = target(false);
        expect(")");
      } else {
        name->name = expect_name();
      }
      return name;
    };
    ExpressionPtr first = one();
    if (may_be_attribute && first->kind == Kind::kName && take(".")) {
      std::string attribute = expect_name();
      return named(Kind::kAttribute, line, std::move(attribute), std::move(first));
    }
    if (!is(",")) return first;
    auto out = make(Kind::kTuple, line, std::move(first));
    while (take(",")) {
      if (is_name("in") || is("=") || is(")")) break;
      add(*out, one());
    }
    return out;
  }

  // Expressions, from the loosest to the tightest.
  ExpressionPtr tuple(bool with_if) {
    const int32_t line = now().line;
    ExpressionPtr first = with_if ? expression() : disjunction();
    if (!is(",")) return first;
    auto out = make(Kind::kTuple, line, std::move(first));
    while (take(",")) {
      if (now().kind == Tokens::kTagEnd || now().kind == Tokens::kEnd || is(")")) break;
      add(*out, with_if ? expression() : disjunction());
    }
    return out;
  }

  ExpressionPtr expression() {
    const Deeper deeper(nesting_, now().line);
    const size_t known = unknown_.size();
    ExpressionPtr out = disjunction();
    while (is_name("if")) {
      const int32_t line = now().line;
      ++at_;
      ExpressionPtr test = disjunction(), otherwise;
      if (take_name("else")) otherwise = expression();
      for (size_t i = known; i < unknown_.size(); ++i) unknown_[i].conditional = true;
      out = make(Kind::kIf, line, std::move(out), std::move(test), std::move(otherwise));
    }
    return out;
  }

  ExpressionPtr disjunction() {
    ExpressionPtr out = conjunction();
    while (is_name("or")) {
      const int32_t line = tokens_[at_++].line;
      out = named(Kind::kBinary, line, "or", std::move(out), conjunction());
    }
    return out;
  }

  ExpressionPtr conjunction() {
    ExpressionPtr out = negation();
    while (is_name("and")) {
      const int32_t line = tokens_[at_++].line;
      out = named(Kind::kBinary, line, "and", std::move(out), negation());
    }
    return out;
  }

  ExpressionPtr negation() {
    if (!is_name("not")) return comparison();
    const Deeper deeper(nesting_, now().line);
    const int32_t line = tokens_[at_++].line;
    return named(Kind::kUnary, line, "not", negation());
  }

  ExpressionPtr comparison() {
    constexpr std::array<std::string_view, 6> kOperators{"==", "!=", "<", "<=", ">", ">="};
    ExpressionPtr out = sum();
    std::vector<std::string> names;
    std::vector<ExpressionPtr> parts;
    const int32_t line = now().line;
    for (;;) {
      if (now().kind == Tokens::kOperator && std::ranges::find(kOperators, now().text) != kOperators.end()) {
        names.push_back(tokens_[at_++].text);
      } else if (take_name("in")) {
        names.emplace_back("in");
      } else if (is_name("not") && next().kind == Tokens::kName && next().text == "in") {
        at_ += 2;
        names.emplace_back("not in");
      } else {
        break;
      }
      parts.push_back(sum());
    }
    if (names.empty()) return out;
    auto compare = make(Kind::kCompare, line, std::move(out));
    for (ExpressionPtr& part : parts) add(*compare, std::move(part));
    compare->names = std::move(names);
    return compare;
  }

  // Left to right: parts by `inner`, between them one of the operators.
  ExpressionPtr chain(std::initializer_list<std::string_view> operators, ExpressionPtr (Parser::*inner)()) {
    ExpressionPtr out = (this->*inner)();
    while (now().kind == Tokens::kOperator && std::ranges::find(operators, now().text) != operators.end()) {
      const Token token = tokens_[at_++];
      out = named(Kind::kBinary, token.line, token.text, std::move(out), (this->*inner)());
    }
    return out;
  }
  ExpressionPtr sum() { return chain({"+", "-"}, &Parser::joining); }
  ExpressionPtr joining() { return chain({"~"}, &Parser::product); }
  ExpressionPtr product() { return chain({"*", "/", "//", "%"}, &Parser::power); }
  ExpressionPtr power() { return chain({"**"}, &Parser::filtered); }

  ExpressionPtr filtered() { return filters(signed_value(), false); }

  ExpressionPtr signed_value() {
    if (!is("-") && !is("+")) return postfix(primary());
    const Deeper deeper(nesting_, now().line);
    const Token token = tokens_[at_++];
    return postfix(named(Kind::kUnary, token.line, token.text, signed_value()));
  }

  ExpressionPtr primary() {
    const Token& token = now();
    switch (token.kind) {
      case Tokens::kName:
        ++at_;
        if (token.text == "true" || token.text == "True") return constant(token.line, Value(true));
        if (token.text == "false" || token.text == "False") return constant(token.line, Value(false));
        if (token.text == "none" || token.text == "None") return constant(token.line, Value::None{});
        return named(Kind::kName, token.line, token.text, nullptr);
      case Tokens::kString: {
        std::string text;
        while (now().kind == Tokens::kString) text += tokens_[at_++].text;  // side by side: one string
        return constant(token.line, Value::text(text));
      }
      case Tokens::kInteger: {
        int64_t number = 0;
        const char* const end = token.text.data() + token.text.size();
        if (std::from_chars(token.text.data(), end, number).ptr != end || token.text.size() > 18)
          fail_at(token.line, cat("the number ", token.text, ", expected at most 18 digits"));
        ++at_;
        return constant(token.line, Value(number));
      }
      case Tokens::kFloat:
        ++at_;
        return constant(token.line, Value(std::strtod(token.text.c_str(), nullptr)));
      default:
        return bracketed();
    }
  }

  ExpressionPtr bracketed() {
    const Deeper deeper(nesting_, now().line);
    const int32_t line = now().line;
    if (take("(")) {
      ExpressionPtr out = is(")") ? make(Kind::kTuple, line) : tuple(true);
      expect(")");
      return out;
    }
    if (take("[")) {
      auto out = make(Kind::kList, line);
      items(*out, "]", [&] { add(*out, expression()); });
      return out;
    }
    if (take("{")) {
      auto out = make(Kind::kDict, line);
      items(*out, "}", [&] {
        add(*out, expression());
        expect(":");
        add(*out, expression());
      });
      return out;
    }
    fail("a value");
  }

  void items(Expression& out, std::string_view end, auto one) {
    while (!is(end)) {
      if (!out.parts.empty()) expect(",");
      if (is(end)) break;
      one();
    }
    expect(end);
  }

  ExpressionPtr postfix(ExpressionPtr out) {
    for (;;) {
      const int32_t line = now().line;
      if (take(".")) {
        if (now().kind == Tokens::kInteger)
          out = make(Kind::kItem, line, std::move(out), primary());
        else
          out = named(Kind::kAttribute, line, expect_name(), std::move(out));
      } else if (take("[")) {
        out = subscript(std::move(out), line);
      } else if (is("(")) {
        out = call(std::move(out));
      } else {
        return out;
      }
    }
  }

  ExpressionPtr subscript(ExpressionPtr of, int32_t line) {
    ExpressionPtr bounds[3];
    size_t count = 0;
    bool slice = false;
    for (;; ++count) {
      if (count < 3 && !is(":") && !is("]")) bounds[count] = expression();
      if (is("]") || count >= 2 || !take(":")) break;
      slice = true;
    }
    expect("]");
    if (!slice && !bounds[0]) fail("an index");
    if (!slice) return make(Kind::kItem, line, std::move(of), std::move(bounds[0]));
    return make(Kind::kSlice, line, std::move(of), std::move(bounds[0]), std::move(bounds[1]), std::move(bounds[2]));
  }

  void arguments(Expression& out) {
    expect("(");
    bool first = true;
    while (!is(")")) {
      if (!first) expect(",");
      first = false;
      if (is(")")) break;
      if (is("*") || is("**")) fail("an argument (lists of arguments are not supported)");
      if (now().kind == Tokens::kName && is(next(), "=")) {
        std::string name = expect_name();
        ++at_;
        ExpressionPtr value = expression();
        grow(out, *value);
        out.named.emplace_back(std::move(name), std::move(value));
      } else if (!out.named.empty()) {
        fail("a named argument, since those before are");
      } else {
        add(out, expression());
      }
    }
    expect(")");
  }

  ExpressionPtr call(ExpressionPtr of) {
    auto out = make(Kind::kCall, now().line, std::move(of));
    arguments(*out);
    return out;
  }

  // Filters, tests and calls behind a value. `begin`: the first filter comes without a bar.
  ExpressionPtr filters(ExpressionPtr out, bool begin) {
    for (;; begin = false) {
      const int32_t line = now().line;
      if (begin || take("|")) {
        auto filter = named(Kind::kFilter, line, dotted_name(), std::move(out));
        if (!knows_filter(filter->name)) unknown_.push_back({line, cat("the filter ", filter->name), conditions_ > 0});
        if (is("(")) arguments(*filter);
        out = std::move(filter);
      } else if (out && take_name("is")) {
        out = test(std::move(out), line);
      } else if (out && is("(")) {
        out = call(std::move(out));
      } else {
        return out;
      }
    }
  }

  std::string dotted_name() {
    std::string name = expect_name();
    while (take(".")) name += "." + expect_name();
    return name;
  }

  ExpressionPtr test(ExpressionPtr of, int32_t line) {
    const bool negated = take_name("not");
    auto out = named(Kind::kTest, line, dotted_name(), std::move(of));
    if (!knows_test(out->name)) unknown_.push_back({line, cat("the test ", out->name), conditions_ > 0});
    const bool value = now().kind == Tokens::kName || now().kind == Tokens::kString || now().kind == Tokens::kInteger ||
                       now().kind == Tokens::kFloat || is("[") || is("{");
    if (is("("))
      arguments(*out);
    else if (value && !is_name("else") && !is_name("or") && !is_name("and") && !is_name("is") && !is_name("if"))
      add(*out, postfix(primary()));
    if (negated) out = named(Kind::kUnary, line, "not", std::move(out));
    return out;
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int32_t nesting_ = 0;
  int32_t conditions_ = 0;
  struct Unknown {
    int32_t line;
    std::string what;
    bool conditional;
  };
  std::vector<Unknown> unknown_;
  int32_t loops_ = 0;
};

}  // namespace

std::vector<Statement> parse_template(std::string_view source, std::vector<std::string>& doubts) {
  return Parser(source).parse(doubts);
}

}  // namespace minimax::text::jinja
