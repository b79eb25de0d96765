#include "server/api/constraint.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "engine/sampling/grammar_control.h"

namespace minimax::server {
namespace {

using engine::TokenControl;
using io::JsonField;
using text::Grammar;
using text::GrammarMatcher;
using Control = std::shared_ptr<const TokenControl>;

// What the compiler says about a schema, at the field that holds it.
template <typename Compile>
Control at_field(const JsonField& field, Compile&& compile) {
  try {
    return std::make_shared<engine::GrammarControl>(compile());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInvalidArgument) throw;
    throw io::FieldError(cat(field.document(), ": \"", field.path(), "\": ", error.what()), field.path());
  }
}

Control of_schema(const JsonField& field, Constraints& constraints) {
  const std::string schema = field.is_string() ? std::string(field.string()) : io::write_json(field.value());
  if (!field.is_string() && !field.is_object() && !field.is_bool()) field.fail("a JSON schema");
  return at_field(field, [&] { return constraints.compiler().json_schema(schema); });
}

Control of_regex(const JsonField& field, Constraints& constraints) {
  return at_field(field, [&] { return constraints.compiler().regex(field.string()); });
}

Control of_choice(const JsonField& field, Constraints& constraints) {
  const std::vector<std::string> choices = field.strings();
  return at_field(field, [&] { return constraints.compiler().choice(choices); });
}

Control any_object(Constraints& constraints) {
  return std::make_shared<engine::GrammarControl>(constraints.compiler().json_object());
}

std::string regex_quote(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view(R"(\^$.|?*+()[]{}-/)").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

// The grammars of a block of calls. The head and the joint are regular, and the arguments between them are each tool's
// own schema, whose references so stay its own.
struct CallGrammars {
  std::shared_ptr<const Grammar> head;   // <tool_calls>\n{"name": "NAME", "arguments":
  std::shared_ptr<const Grammar> joint;  // }\n</tool_calls>, or } and the head of another call
  std::map<std::string, std::shared_ptr<const Grammar>> arguments;  // by name as it stands in JSON, with quotes
};

class CallControl : public TokenControl {
 public:
  explicit CallControl(std::shared_ptr<const CallGrammars> grammars)
      : grammars_(std::move(grammars)), matcher_(grammars_->head) {}

  std::span<const uint64_t> allowed() override { return matcher_.allowed(); }

  void accept(int32_t id) override {
    MM_CHECK_KIND(kInternal, matcher_.accept(id), "tool call: token ", id, " is not allowed here");
    if (!in_arguments_) head_ += grammars_->head->vocabulary().text(id);
    if (!matcher_.must_end()) return;
    if (in_arguments_) {
      in_arguments_ = false;
      head_.clear();
      matcher_ = GrammarMatcher(grammars_->joint);
    } else if (head_.ends_with("</tool_calls>")) {
      finished_ = true;
    } else {
      in_arguments_ = true;
      matcher_ = GrammarMatcher(grammars_->arguments.at(name()));
    }
  }

  bool finished() const override { return finished_; }
  std::unique_ptr<TokenControl> clone() const override { return std::make_unique<CallControl>(*this); }

 private:
  static constexpr std::string_view kBefore = "{\"name\": ", kAfter = ", \"arguments\": ";

  std::string name() const {
    const size_t begin = head_.find(kBefore) + kBefore.size();
    return head_.substr(begin, head_.size() - kAfter.size() - begin);
  }

  std::shared_ptr<const CallGrammars> grammars_;
  GrammarMatcher matcher_;
  bool in_arguments_ = false, finished_ = false;
  std::string head_;  // text of the present head or joint
};

// Goes on with whichever of two the answer turns out to be.
class EitherControl : public TokenControl {
 public:
  EitherControl(std::unique_ptr<TokenControl> first, std::unique_ptr<TokenControl> second)
      : sides_{std::move(first), std::move(second)} {}

  std::span<const uint64_t> allowed() override {
    if (!sides_[0]) return sides_[1]->allowed();
    if (!sides_[1]) return sides_[0]->allowed();
    const auto first = sides_[0]->allowed(), second = sides_[1]->allowed();
    words_.assign(first.begin(), first.end());
    for (size_t word = 0; word < words_.size(); ++word) words_[word] |= second[word];
    return words_;
  }
  void accept(int32_t id) override {
    for (auto& side : sides_) {
      if (!side) continue;
      const auto words = side->allowed();
      if (words[static_cast<size_t>(id) / 64] >> (id % 64) & 1)
        side->accept(id);
      else
        side.reset();
    }
  }
  bool finished() const override {
    return std::all_of(sides_.begin(), sides_.end(), [](const auto& side) { return !side || side->finished(); });
  }
  std::unique_ptr<TokenControl> clone() const override {
    return std::make_unique<EitherControl>(sides_[0] ? sides_[0]->clone() : nullptr,
                                           sides_[1] ? sides_[1]->clone() : nullptr);
  }

 private:
  std::array<std::unique_ptr<TokenControl>, 2> sides_;  // null: it is not this one
  std::vector<uint64_t> words_;
};

std::shared_ptr<const Grammar> arguments_grammar(const text::ToolDefinition& tool, Constraints& constraints) {
  const io::json::value definition = io::parse_json(tool.json, "tool");
  const io::json::value* parameters = definition.as_object().if_contains("parameters");
  if (!parameters || !parameters->is_object() || parameters->get_object().empty())
    return constraints.compiler().json_object();
  io::json::object schema = parameters->get_object();
  if (!schema.contains("type")) schema["type"] = "object";
  if (schema["type"] != "object")
    throw io::FieldError(cat("tools: \"", tool.name, "\": the type of its parameters is ",
                             io::write_json(schema["type"]), ", expected \"object\""),
                         "tools");
  try {
    return constraints.compiler().json_schema(io::write_json(schema));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInvalidArgument) throw;
    throw io::FieldError(cat("tools: \"", tool.name, "\": parameters: ", error.what()), "tools");
  }
}

}  // namespace

text::GrammarCompiler& Constraints::compiler() {
  std::call_once(once_, [this] {
    compiler_ =
        std::make_unique<text::GrammarCompiler>(std::make_shared<const text::GrammarVocabulary>(tokenizer_, rows_));
  });
  return *compiler_;
}

Control read_format(const JsonField& format, Constraints& constraints) {
  if (!format.has_value()) return nullptr;
  const std::string_view type = format["type"].string();
  if (type == "text") return nullptr;
  if (type == "json_schema") {
    const JsonField inner = format["json_schema"].has_value() ? format["json_schema"] : format;
    (void)inner["name"].string_or("");
    (void)inner["description"].string_or("");
    (void)inner["strict"].boolean_or(false);
    return inner["schema"].has_value() ? of_schema(inner["schema"], constraints) : any_object(constraints);
  }
  if (type == "json_object")
    return format["schema"].has_value() ? of_schema(format["schema"], constraints) : any_object(constraints);
  format["type"].fail("text, json_object or json_schema");
}

// Grammars in languages that are not compiled here, under the names other servers have for them.
void refuse_grammars(const JsonField& root) {
  const auto refuse = [](const JsonField& field) {
    if (field.has_value()) field.fail("nothing: grammars are given as a JSON schema, a regular expression or choices");
  };
  for (const std::string_view key : {"guided_grammar", "grammar", "ebnf", "structural_tag"}) refuse(root[key]);
  if (const JsonField outputs = root["structured_outputs"]; outputs.has_value())
    for (const std::string_view key : {"grammar", "structural_tag"}) refuse(outputs[key]);
}

Control read_constraint(const JsonField& root, Constraints& constraints) {
  refuse_grammars(root);
  Control found = read_format(root["response_format"], constraints);
  std::string where = "response_format";
  const auto take = [&](const JsonField& field, auto compile) {
    if (!field.has_value()) return;
    if (found) field.fail("nothing beside " + where);
    found = compile(field, constraints);
    where = field.path();
  };
  take(root["json_schema"], of_schema);  // llama.cpp's and SGLang's
  take(root["regex"], of_regex);
  take(root["guided_json"], of_schema);
  take(root["guided_regex"], of_regex);
  take(root["guided_choice"], of_choice);
  const JsonField outputs = root["structured_outputs"];
  if (outputs.has_value()) {
    take(outputs["json"], of_schema);
    take(outputs["regex"], of_regex);
    take(outputs["choice"], of_choice);
    if (outputs["json_object"].boolean_or(false))
      take(outputs["json_object"], [](const JsonField&, Constraints& all) { return any_object(all); });
  }
  return found;
}

Control call_constraint(std::span<const text::ToolDefinition> tools, const ToolChoice& choice,
                        Constraints& constraints) {
  auto grammars = std::make_shared<CallGrammars>();
  std::string names;
  for (const text::ToolDefinition& tool : tools) {
    const auto& allowed = choice.allowed;
    if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), tool.name) == allowed.end()) continue;
    const std::string name = io::write_json_string(tool.name);
    if (!grammars->arguments.emplace(name, arguments_grammar(tool, constraints)).second) continue;
    names += (names.empty() ? "" : "|") + regex_quote(name);
  }
  const std::string call = R"(\{"name": ()" + names + R"(), "arguments": )";
  grammars->head = constraints.compiler().regex("\\n{0,2}<tool_calls>\\n" + call);
  const std::string end = "\\}\\n<\\/tool_calls>";
  grammars->joint = constraints.compiler().regex(choice.parallel ? end + "|\\}\\n" + call : end);
  return std::make_shared<CallControl>(std::move(grammars));
}

Control whole_constraint(Control format, const Conversation& conversation, Constraints& constraints) {
  const ToolChoice& choice = conversation.tool_choice;
  if (conversation.tools.empty() || choice.mode == ToolChoice::Mode::kNone) return format;
  if (choice.mode == ToolChoice::Mode::kRequired) return call_constraint(conversation.tools, choice, constraints);
  if (!format) return nullptr;
  Control call = call_constraint(conversation.tools, choice, constraints);
  return std::make_shared<EitherControl>(call->clone(), format->clone());
}

}  // namespace minimax::server
