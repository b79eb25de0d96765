#include "text/jinja/interpreter.h"

#include <algorithm>
#include <ctime>
#include <memory>

#include "core/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/lexer.h"
#include "text/jinja/percent_format.h"
#include "text/jinja/python_text.h"

namespace minimax::text::jinja {

/// Names and what they mean, here and outside.
struct Scope {
  std::vector<std::pair<std::string, Value>> names = {};
  std::shared_ptr<Scope> outer = {};

  const Value* find(std::string_view name) const {
    for (const Scope* scope = this; scope; scope = scope->outer.get())
      for (const auto& [key, value] : scope->names)
        if (key == name) return &value;
    return nullptr;
  }
  void set(std::string_view name, Value value) {
    for (auto& [key, old] : names)
      if (key == name) {
        old = std::move(value);
        return;
      }
    names.emplace_back(name, std::move(value));
  }
};

struct Macro {
  const Statement* definition;
  mutable std::shared_ptr<Scope> scope;  // where it was defined; let go when the rendering ends
};

namespace {

using Origin = TracedString::Origin;
using Kind = Expression::Kind;

constexpr int32_t kMaxDepth = 600;  // calls, expressions and statements inside each other
constexpr int64_t kMaxRange = 100'000;

/// What raise_exception throws.
class Refusal : public Error {
 public:
  using Error::Error;
};

[[noreturn]] void fail(std::string_view problem) {
  throw Error(ErrorKind::kInvalidArgument, std::string(problem));
}

class Interpreter {
 public:
  Interpreter(const Variables& variables, int64_t now, const RenderLimits& limits)
      : now_(now), budget_(limits.steps, limits.bytes), scope_(std::make_shared<Scope>()) {
    globals();
    scope_ = std::make_shared<Scope>(Scope{.outer = scope_});
    for (const auto& [name, value] : variables) scope_->set(name, value);
  }
  ~Interpreter() {
    // Macros and namespaces may hold each other.
    for (const auto& macro : macros_) macro->scope.reset();
    for (const auto& space : spaces_) space->members.clear();
  }
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  TracedString render(const std::vector<Statement>& statements) {
    TracedString out;
    out_ = &out;
    try {
      run(statements);
    } catch (const Refusal&) {
      throw;
    } catch (const Error& error) {
      fail_at(line_, error.what());
    }
    return out;
  }

 private:
  enum class Flow : uint8_t { kOn, kBreak, kContinue };

  struct Deeper {
    explicit Deeper(Interpreter& self) : self_(self) {
      if (++self_.depth_ > kMaxDepth) fail(cat("calls and expressions nested deeper than ", kMaxDepth));
    }
    ~Deeper() { --self_.depth_; }
    Interpreter& self_;
  };
  // Another scope, or another place for output, until the end of a block.
  struct InScope {
    InScope(Interpreter& self, std::shared_ptr<Scope> scope) : self_(self), old_(std::move(self.scope_)) {
      self_.scope_ = std::move(scope);
    }
    ~InScope() { self_.scope_ = std::move(old_); }
    Interpreter& self_;
    std::shared_ptr<Scope> old_;
  };
  struct Captured {
    Captured(Interpreter& self, TracedString& out) : self_(self), old_(self.out_) { self_.out_ = &out; }
    ~Captured() { self_.out_ = old_; }
    Interpreter& self_;
    TracedString* old_;
  };

  std::shared_ptr<Scope> inner() { return std::make_shared<Scope>(Scope{.outer = scope_}); }

  void function(std::string name, std::function<Value(const Arguments&)> call) {
    scope_->set(name, Value(std::make_shared<const Function>(Function{name, std::move(call)})));
  }

  Value new_namespace(std::vector<std::pair<std::string, Value>> members) {
    spaces_.push_back(std::make_shared<Namespace>(Namespace{std::move(members)}));
    return Value(spaces_.back());
  }

  void globals() {
    function("raise_exception", [](const Arguments& arguments) -> Value {
      const std::string message =
          arguments.positional.empty() ? "no reason given" : to_text(arguments.positional[0]).bytes();
      throw Refusal(ErrorKind::kInvalidArgument, cat("the chat template refuses the conversation: ", message));
    });
    function("strftime_now", [this](const Arguments& arguments) {
      const TracedString* format = Given(arguments).string(0, "format");
      if (!format) fail("strftime_now without a format");
      const std::time_t seconds = now_;
      std::tm time{};
      localtime_r(&seconds, &time);
      // A format may rightly come to nothing, so one character more tells "nothing" from "no room".
      std::string text(256 + format->size() * 8, '\0');
      text.resize(std::strftime(text.data(), text.size(), (format->bytes() + " ").c_str(), &time));
      if (text.empty()) fail("strftime_now: too long a format");
      text.pop_back();
      return Value::data_text(text);
    });
    function("namespace", [this](const Arguments& arguments) {
      std::vector<std::pair<std::string, Value>> members;
      if (!arguments.positional.empty())
        if (const Dict* dict = arguments.positional[0].dict())
          for (const auto& [key, value] : dict->items) members.emplace_back(to_text(key).bytes(), value);
      for (const auto& member : arguments.named) members.push_back(member);
      return new_namespace(std::move(members));
    });
    function("dict", [](const Arguments& arguments) {
      std::vector<std::pair<Value, Value>> items;
      if (!arguments.positional.empty())
        if (const Dict* dict = arguments.positional[0].dict()) items = dict->items;
      for (const auto& [name, value] : arguments.named) items.emplace_back(Value::text(name), value);
      return make_dict(std::move(items));
    });
    function("range", [this](const Arguments& arguments) {
      const auto& given = arguments.positional;
      if (given.empty() || given.size() > 3) fail("range takes one to three arguments");
      std::vector<int64_t> bounds;
      for (const Value& one : given) {
        if (!one.integer()) fail(cat("range of a ", one.type_name()));
        bounds.push_back(*one.integer());
      }
      const int64_t step = bounds.size() == 3 ? bounds[2] : 1, begin = bounds.size() == 1 ? 0 : bounds[0];
      const int64_t end = bounds.size() == 1 ? bounds[0] : bounds[1];
      if (step == 0) fail("range with a step of 0");
      std::vector<Value> out;
      for (int64_t i = begin; step > 0 ? i < end : i > end;) {
        if (static_cast<int64_t>(out.size()) >= kMaxRange) fail(cat("a range of more than ", kMaxRange));
        out.emplace_back(i);
        if (__builtin_add_overflow(i, step, &i)) break;
      }
      budget_.step(static_cast<int64_t>(out.size()));
      return make_list(std::move(out));
    });
  }

  // Statements.
  Flow run(const std::vector<Statement>& statements) {
    const Deeper deeper(*this);
    for (const Statement& statement : statements)
      if (const Flow flow = run(statement); flow != Flow::kOn) return flow;
    return Flow::kOn;
  }

  Flow run(const Statement& s) {
    budget_.step();
    line_ = s.line;
    switch (s.kind) {
      case Statement::Kind::kText:
        write(s.text);
        return Flow::kOn;
      case Statement::Kind::kPrint:
        write(to_text(evaluate(*s.expression)));
        return Flow::kOn;
      case Statement::Kind::kFor:
        return loop(s);
      case Statement::Kind::kIf:
        return run(evaluate(*s.expression).truth() ? s.body : s.otherwise);
      case Statement::Kind::kSet:
        assign(*s.target, evaluate(*s.expression));
        return Flow::kOn;
      case Statement::Kind::kMacro:
        scope_->set(s.name, new_macro(s));
        return Flow::kOn;
      case Statement::Kind::kBreak:
        return Flow::kBreak;
      case Statement::Kind::kContinue:
        return Flow::kContinue;
      default:
        return block(s);
    }
  }

  Flow block(const Statement& s) {
    if (s.kind == Statement::Kind::kBlock) {
      const InScope in_scope(*this, inner());
      return run(s.body);
    }
    if (s.kind == Statement::Kind::kWith) {
      auto scope = inner();
      for (const auto& [name, value] : s.parameters) scope->set(name, evaluate(*value));
      const InScope in_scope(*this, std::move(scope));
      return run(s.body);
    }
    if (s.kind == Statement::Kind::kCallBlock) {
      Arguments arguments = arguments_of(*s.expression);
      const Value callee = evaluate(*s.expression->parts[0]);
      arguments.named.emplace_back("caller", new_macro(s));
      write(to_text(call(callee, arguments)));
      return Flow::kOn;
    }
    TracedString text;
    {
      const Captured captured(*this, text);
      const InScope in_scope(*this, inner());
      run(s.body);
    }
    Value value(std::move(text));
    if (s.expression) value = filter(*s.expression, &value);
    if (s.kind == Statement::Kind::kSetBlock)
      assign(*s.target, std::move(value));
    else
      write(to_text(value));
    return Flow::kOn;
  }

  void write(const TracedString& text) {
    budget_.bytes(static_cast<int64_t>(text.size()));
    out_->append(text);
  }

  Flow loop(const Statement& s) {
    std::vector<Value> items = elements(evaluate(*s.expression), budget_);
    if (s.condition) {
      std::vector<Value> kept;
      for (Value& one : items) {
        const InScope in_scope(*this, inner());
        assign(*s.target, one);
        if (evaluate(*s.condition).truth()) kept.push_back(std::move(one));
      }
      items = std::move(kept);
    }
    if (items.empty()) {
      const InScope in_scope(*this, inner());
      return run(s.otherwise);
    }
    const auto about = std::make_shared<Namespace>();
    spaces_.push_back(about);
    for (size_t i = 0; i < items.size(); ++i) {
      const InScope in_scope(*this, inner());
      describe(*about, items, i);
      scope_->set("loop", Value(about));
      assign(*s.target, items[i]);
      if (run(s.body) == Flow::kBreak) break;
    }
    return Flow::kOn;
  }

  void describe(Namespace& about, const std::vector<Value>& items, size_t i) {
    const auto size = static_cast<int64_t>(items.size()), index = static_cast<int64_t>(i);
    about.members = {{"index", Value(index + 1)},
                     {"index0", Value(index)},
                     {"revindex", Value(size - index)},
                     {"revindex0", Value(size - index - 1)},
                     {"first", Value(i == 0)},
                     {"last", Value(index == size - 1)},
                     {"length", Value(size)},
                     {"depth", Value(int64_t{1})},
                     {"depth0", Value(int64_t{0})},
                     {"previtem", i > 0 ? items[i - 1] : Value::undefined("there is no previous item")},
                     {"nextitem", i + 1 < items.size() ? items[i + 1] : Value::undefined("there is no next item")}};
    about.members.emplace_back(
        "cycle",
        Value(std::make_shared<const Function>(Function{"cycle", [i](const Arguments& arguments) {
                                                          if (arguments.positional.empty()) fail("cycle of nothing");
                                                          return arguments.positional[i % arguments.positional.size()];
                                                        }})));
  }

  void assign(const Expression& target, Value value) {
    if (target.kind == Kind::kName) {
      scope_->set(target.name, std::move(value));
      return;
    }
    if (target.kind == Kind::kAttribute) {
      const Value* found = scope_->find(target.parts[0]->name);
      Namespace* space = found ? found->name_space() : nullptr;
      if (!space) fail(cat("cannot assign attribute ", target.name, " on non-namespace object"));
      for (auto& [name, member] : space->members)
        if (name == target.name) {
          member = std::move(value);
          return;
        }
      space->members.emplace_back(target.name, std::move(value));
      return;
    }
    const std::vector<Value> values = elements(value, budget_);
    if (values.size() != target.parts.size()) fail(cat(values.size(), " values for ", target.parts.size(), " names"));
    for (size_t i = 0; i < values.size(); ++i) assign(*target.parts[i], values[i]);
  }

  Value new_macro(const Statement& definition) {
    macros_.push_back(std::make_shared<Macro>(Macro{&definition, scope_}));
    return Value(std::shared_ptr<const Macro>(macros_.back()));
  }

  // Expressions.
  Value evaluate(const Expression& e) {
    const Deeper deeper(*this);
    budget_.step();
    line_ = e.line;
    switch (e.kind) {
      case Kind::kConstant:
        return e.value;
      case Kind::kName: {
        const Value* found = scope_->find(e.name);
        return found ? *found : Value::undefined(e.name);
      }
      case Kind::kList:
      case Kind::kTuple: {
        std::vector<Value> items;
        for (const ExpressionPtr& part : e.parts) items.push_back(evaluate(*part));
        return make_list(std::move(items), e.kind == Kind::kList ? List::Kind::kList : List::Kind::kTuple);
      }
      case Kind::kDict:
        return dict(e);
      case Kind::kAttribute: {
        const Value of = evaluate(*e.parts[0]);
        line_ = e.line;
        return attribute(of, e.name);
      }
      case Kind::kItem: {
        const Value of = evaluate(*e.parts[0]), key = evaluate(*e.parts[1]);
        line_ = e.line;
        return item(of, key);
      }
      case Kind::kSlice:
        return slice(e);
      case Kind::kCall: {
        const Value callee = evaluate(*e.parts[0]);
        const Arguments arguments = arguments_of(e);
        line_ = e.line;
        return call(callee, arguments);
      }
      case Kind::kFilter:
        return filter(e, nullptr);
      case Kind::kTest: {
        const Value value = evaluate(*e.parts[0]);
        const Arguments arguments = arguments_of(e);
        line_ = e.line;
        return Value(apply_test(e.name, value, arguments, budget_));
      }
      case Kind::kUnary:
        return unary(e);
      case Kind::kBinary:
        return binary(e);
      case Kind::kCompare:
        return comparison(e);
      case Kind::kIf:
        if (evaluate(*e.parts[1]).truth()) return evaluate(*e.parts[0]);
        return e.parts[2]
                   ? evaluate(*e.parts[2])
                   : Value::undefined("the inline if-expression evaluated to false and no else section was defined");
    }
    return {};
  }

  Arguments arguments_of(const Expression& e) {
    Arguments out;
    for (size_t i = 1; i < e.parts.size(); ++i) out.positional.push_back(evaluate(*e.parts[i]));
    for (const auto& [name, value] : e.named) out.named.emplace_back(name, evaluate(*value));
    return out;
  }

  Value filter(const Expression& e, const Value* block_text) {
    const Value value = !e.parts[0]                                       ? *block_text
                        : block_text && e.parts[0]->kind == Kind::kFilter ? filter(*e.parts[0], block_text)
                                                                          : evaluate(*e.parts[0]);
    const Arguments arguments = arguments_of(e);
    line_ = e.line;
    return apply_filter(e.name, value, arguments, budget_);
  }

  Value dict(const Expression& e) {
    std::vector<std::pair<Value, Value>> items;
    for (size_t i = 0; i + 1 < e.parts.size(); i += 2) {
      Value key = evaluate(*e.parts[i]), value = evaluate(*e.parts[i + 1]);
      if (!key.string() && !key.number() && !key.is_none()) fail(cat("a ", key.type_name(), " as a key"));
      const auto old = std::ranges::find_if(items, [&](const auto& one) { return equal(one.first, key); });
      if (old != items.end())
        old->second = std::move(value);
      else
        items.emplace_back(std::move(key), std::move(value));
    }
    return make_dict(std::move(items));
  }

  // Python's slices: bounds beyond the ends are the ends.
  Value slice(const Expression& e) {
    const Value of = evaluate(*e.parts[0]);
    std::optional<int64_t> bounds[3];
    for (size_t i = 0; i < 3; ++i) {
      if (!e.parts[i + 1]) continue;
      const Value bound = evaluate(*e.parts[i + 1]);
      if (bound.is_none()) continue;
      bounds[i] = bound.integer();
      if (!bounds[i]) fail(cat("a slice by a ", bound.type_name()));
    }
    line_ = e.line;
    const TracedString* text = of.string();
    const List* list = of.list();
    if (of.is_undefined()) fail("a slice of what is undefined");
    if (!text && (!list || list->kind == List::Kind::kView || list->kind == List::Kind::kGenerator))
      fail(cat("a slice of a ", of.type_name()));
    std::vector<size_t> offsets;
    if (text) offsets = character_offsets(text->bytes());
    const auto size = static_cast<int64_t>(text ? offsets.size() - 1 : list->items.size());
    const int64_t step = std::clamp<int64_t>(bounds[2].value_or(1), -size - 1, size + 1);
    if (bounds[2] && *bounds[2] == 0) fail("a slice with a step of 0");
    const auto place = [&](std::optional<int64_t> bound, int64_t fallback) {
      if (!bound) return fallback;
      const int64_t from_end = *bound < 0 ? *bound + size : *bound;
      return step > 0 ? std::clamp<int64_t>(from_end, 0, size) : std::clamp<int64_t>(from_end, -1, size - 1);
    };
    const int64_t begin = place(bounds[0], step > 0 ? 0 : size - 1), end = place(bounds[1], step > 0 ? size : -1);
    budget_.bytes(text ? static_cast<int64_t>(text->size()) : size);
    if (text && step == 1)
      return Value(begin < end ? text->cut(offsets[static_cast<size_t>(begin)],
                                           offsets[static_cast<size_t>(end)] - offsets[static_cast<size_t>(begin)])
                               : TracedString());
    TracedString out;
    std::vector<Value> items;
    for (int64_t i = begin; step > 0 ? i < end : i > end; i += step) {
      const auto at = static_cast<size_t>(i);
      if (text)
        out.append(*text, offsets[at], offsets[at + 1] - offsets[at]);
      else
        items.push_back(list->items[at]);
    }
    return text ? Value(std::move(out)) : make_list(std::move(items), list->kind);
  }

  Value call(const Value& callee, const Arguments& arguments) {
    const Deeper deeper(*this);
    budget_.step();
    if (const auto* function = callee.get<std::shared_ptr<const Function>>()) return (*function)->call(arguments);
    if (const auto* method = callee.get<std::shared_ptr<const BoundMethod>>())
      return call_method((*method)->self, (*method)->name, arguments, budget_);
    if (const auto* macro = callee.get<std::shared_ptr<const Macro>>()) return call_macro(**macro, arguments);
    if (const auto* undefined = callee.get<Value::Undefined>()) fail(cat("'", undefined->name, "' is undefined"));
    fail(cat("a ", callee.type_name(), " cannot be called"));
  }

  Value call_macro(const Macro& macro, const Arguments& arguments) {
    const Statement& definition = *macro.definition;
    const auto& parameters = definition.parameters;
    if (arguments.positional.size() > parameters.size())
      fail(cat("macro ", definition.name, " takes not more than ", parameters.size(), " arguments"));
    TracedString text;
    const InScope in_scope(*this, std::make_shared<Scope>(Scope{.outer = macro.scope}));
    for (const auto& [name, value] : arguments.named) {
      const bool known = name == "caller" || std::ranges::any_of(parameters, [&name = name](const auto& parameter) {
                           return parameter.first == name;
                         });
      if (!known) fail(cat("macro ", definition.name, " takes no argument ", name));
      scope_->set(name, value);
    }
    for (size_t i = 0; i < parameters.size(); ++i) {
      const auto& [name, fallback] = parameters[i];
      if (i < arguments.positional.size())
        scope_->set(name, arguments.positional[i]);
      else if (std::ranges::none_of(arguments.named, [&name = name](const auto& one) { return one.first == name; }))
        scope_->set(name, fallback ? evaluate(*fallback) : Value::undefined(name));
    }
    const Captured captured(*this, text);
    run(definition.body);
    return Value(std::move(text));
  }

  Value unary(const Expression& e) {
    const Value value = evaluate(*e.parts[0]);
    line_ = e.line;
    if (e.name == "not") return Value(!value.truth());
    if (!value.number()) fail(cat("the sign of a ", value.type_name()));
    if (e.name == "+") return value.integer() ? Value(*value.integer()) : value;
    return arithmetic("-", Value(int64_t{0}), value);
  }

  Value binary(const Expression& e) {
    const Value a = evaluate(*e.parts[0]);
    if (e.name == "and") return a.truth() ? evaluate(*e.parts[1]) : a;
    if (e.name == "or") return a.truth() ? a : evaluate(*e.parts[1]);
    const Value b = evaluate(*e.parts[1]);
    line_ = e.line;
    if (e.name == "~") return joined(to_text(a), to_text(b));
    if (a.number() && b.number()) return arithmetic(e.name, a, b);
    for (const Value* operand : {&a, &b})
      if (const auto* undefined = operand->get<Value::Undefined>()) fail(cat("'", undefined->name, "' is undefined"));
    if (e.name == "+" && a.string() && b.string()) return joined(*a.string(), *b.string());
    const auto is_list = [](const Value& value) { return value.list() && value.list()->kind <= List::Kind::kTuple; };
    if (e.name == "+" && is_list(a) && is_list(b) && a.list()->kind == b.list()->kind) {
      std::vector<Value> items = a.list()->items;
      items.insert(items.end(), b.list()->items.begin(), b.list()->items.end());
      budget_.step(static_cast<int64_t>(items.size()));
      return make_list(std::move(items), a.list()->kind);
    }
    if (e.name == "*" && (a.integer() || b.integer()))
      return repeated(a.integer() ? b : a, a.integer() ? *a.integer() : *b.integer());
    if (e.name == "%" && a.string()) {
      if (const List* tuple = b.list(); tuple && tuple->kind == List::Kind::kTuple)
        return percent_format(*a.string(), tuple->items, nullptr, budget_);
      return percent_format(*a.string(), {&b, 1}, b.dict(), budget_);
    }
    fail(cat("a ", a.type_name(), " ", e.name, " a ", b.type_name()));
  }

  Value joined(const TracedString& a, const TracedString& b) {
    budget_.bytes(static_cast<int64_t>(a.size() + b.size()));
    TracedString out = a;
    out.append(b);
    return Value(std::move(out));
  }

  Value repeated(const Value& what, int64_t count) {
    count = std::max<int64_t>(count, 0);
    if (const TracedString* text = what.string()) {
      if (count > (int64_t{1} << 26) / static_cast<int64_t>(text->size() + 1)) fail("a string repeated too often");
      budget_.bytes(static_cast<int64_t>(text->size()) * count);
      TracedString out;
      for (int64_t i = 0; i < count; ++i) out.append(*text);
      return Value(std::move(out));
    }
    const List* list = what.list();
    if (!list || list->kind > List::Kind::kTuple) fail(cat("a ", what.type_name(), " repeated"));
    if (count > kMaxRange / static_cast<int64_t>(list->items.size() + 1)) fail("a list repeated too often");
    budget_.step(count * static_cast<int64_t>(list->items.size()));
    std::vector<Value> out;
    for (int64_t i = 0; i < count; ++i) out.insert(out.end(), list->items.begin(), list->items.end());
    return make_list(std::move(out), list->kind);
  }

  Value comparison(const Expression& e) {
    Value left = evaluate(*e.parts[0]);
    for (size_t i = 0; i < e.names.size(); ++i) {
      Value right = evaluate(*e.parts[i + 1]);
      line_ = e.line;
      if (!holds(e.names[i], left, right)) return Value(false);
      left = std::move(right);
    }
    return Value(true);
  }

  static bool holds(std::string_view name, const Value& a, const Value& b) {
    if (name == "==") return equal(a, b);
    if (name == "!=") return !equal(a, b);
    if (name == "in") return contains(b, a);
    if (name == "not in") return !contains(b, a);
    for (const Value* operand : {&a, &b})
      if (const auto* undefined = operand->get<Value::Undefined>()) fail(cat("'", undefined->name, "' is undefined"));
    const int order = compare(a, b);
    return name == "<" ? order < 0 : name == "<=" ? order <= 0 : name == ">" ? order > 0 : order >= 0;
  }

  int64_t now_;
  Budget budget_;
  std::shared_ptr<Scope> scope_;
  TracedString* out_ = nullptr;
  int32_t line_ = 1;
  int32_t depth_ = 0;
  std::vector<std::shared_ptr<Macro>> macros_;
  std::vector<std::shared_ptr<Namespace>> spaces_;
};

}  // namespace

TracedString Template::render(const Variables& variables, int64_t now, const RenderLimits& limits) const {
  return Interpreter(variables, now, limits).render(statements_);
}

}  // namespace minimax::text::jinja
