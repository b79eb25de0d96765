// The interpreter against goldens that Jinja2 made (tools/make_template_goldens.py), its limits and its errors, and
// what becomes of special tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "io/file.h"
#include "io/json.h"
#include "text/chat_json.h"
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/prompt_template.h"
#include "text/tokenizer.h"

namespace minimax::text {
namespace {

using jinja::Template;
using jinja::TracedString;
using jinja::Value;
using ::testing::HasSubstr;

const std::filesystem::path kFolder = std::filesystem::path(MINIMAX_TESTDATA) / "templates";

std::string error_of(auto work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string rendered(std::string_view source, std::string_view variables = "{}") {
  const auto json = io::parse_json(variables, "variables");
  jinja::Variables values{{"bos_token", Value::text("<s>")}, {"eos_token", Value::text("</s>")}};
  for (const auto& [name, value] : json.get_object()) values.emplace_back(std::string(name), jinja::from_json(value));
  return Template(source).render(values, 1764000000, {.steps = 200'000, .bytes = 16 << 20}).bytes();
}

const Tokenizer& tokenizer() {
  static const Tokenizer shared = Tokenizer::load(std::filesystem::path(MINIMAX_TESTDATA) / "tokenizer");
  return shared;
}

TEST(Jinja, AgreesWithJinja2) {
  ::setenv("TZ", "UTC", 1);  // of strftime_now
  const auto goldens = io::read_json_file(kFolder / "goldens.json");
  int64_t cases = 0;
  const std::string snippet_variables = io::write_json(goldens.at("snippet_variables"));
  for (const auto& value : goldens.at("cases").get_array()) {
    const io::JsonField golden(value, "goldens.json");
    std::string source(golden["template"].string_or(""));
    if (golden["file"].present()) source = io::read_file(kFolder / std::string(golden["file"].string()));
    const std::string variables =
        golden["variables"].present() ? io::write_json(golden["variables"].value()) : snippet_variables;
    const std::string got = [&] {
      try {
        return rendered(source, variables);
      } catch (const Error& error) {
        return cat("error: ", error.what());
      }
    }();
    if (golden["error"].boolean_or(false))
      EXPECT_THAT(got, ::testing::StartsWith("error: ")) << golden["name"].string() << "\n" << source;
    else
      EXPECT_EQ(got, golden["text"].string()) << golden["name"].string() << "\n" << source << "\n" << variables;
    ++cases;
  }
  EXPECT_GT(cases, 150);
}

TEST(Jinja, ErrorsNameTheLine) {
  EXPECT_EQ(error_of([] { rendered("a\n{% if x %}"); }), "chat template, line 2: found the end, expected {% endif %}");
  EXPECT_EQ(error_of([] { rendered("a\n\n{{ x.y }}"); }),
            "chat template, line 3: 'x' is undefined (its \"y\" was asked for)");
  EXPECT_EQ(error_of([] { rendered("{% include 'x' %}"); }),
            "chat template, line 1: the tag \"include\" is not supported");
  EXPECT_EQ(error_of([] { rendered("{{ 1 + 'a' }}"); }), "chat template, line 1: a int + a str");
  EXPECT_EQ(error_of([] { rendered("\n{{ x|nothing }}"); }), "chat template, line 2: the filter nothing is not known");
  EXPECT_EQ(error_of([] { rendered("{{ raise_exception('no ' ~ 'way') }}"); }),
            "the chat template refuses the conversation: no way");
  EXPECT_EQ(error_of([] { rendered("{{ 'abc }}"); }), "chat template, line 1: a string without an end");
  EXPECT_EQ(error_of([] { rendered("{{ [1,2].append(3) }}"); }),
            "chat template, line 1: a template may not call append of a list");
}

TEST(Jinja, UnknownNamesAreToldWhenTheTemplateIsRead) {
  EXPECT_EQ(error_of([] { Template("a\n{{ b | nosuch }}"); }), "chat template, line 2: the filter nosuch is not known");
  EXPECT_EQ(error_of([] { Template("{% macro f() %}{{ b is odd_one }}{% endmacro %}"); }),
            "chat template, line 1: the test odd_one is not known");
  const Template doubtful("{% if b %}\n{{ b | nosuch }}{% endif %}{{ 1 if c is d else 2 }}");
  EXPECT_THAT(doubtful.doubts(),
              ::testing::ElementsAre("line 2: the filter nosuch is not known", "line 2: the test d is not known"));
  EXPECT_EQ(rendered("{{ ('{\"a\": [1, \"x\"]}' | from_json).a[1] }}"), "x");  // not Jinja's, but used
  EXPECT_EQ(error_of([] { rendered("{{ '{' | from_json }}"); }).substr(0, 21), "chat template, line 1");
  for (const char* name : {"d", "count", "e", "tojson", "format"}) EXPECT_TRUE(jinja::knows_filter(name)) << name;
}

TEST(Jinja, Limits) {
  EXPECT_THAT(
      error_of([] { rendered("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"); }),
      HasSubstr("too many steps"));
  EXPECT_THAT(
      error_of([] {
        rendered(
            "{% set n = namespace(s='0123456789') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}");
      }),
      HasSubstr("too much text"));
  EXPECT_THAT(error_of([] { rendered("{{ 'x' * 999999999999 }}"); }), HasSubstr("repeated too often"));
  EXPECT_THAT(error_of([] { rendered("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"); }),
              HasSubstr("nested deeper"));
  EXPECT_THAT(error_of([] { rendered("{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}"); }),
              HasSubstr("nested deeper"));
  EXPECT_THAT(error_of([] {
                rendered("{{ 1" + [] {
                  std::string sum;
                  for (int i = 0; i < 5000; ++i) sum += "+1";
                  return sum;
                }() + " }}");
              }),
              HasSubstr("nested deeper"));
  EXPECT_THAT(error_of([] {
                rendered("{% set n = namespace(x=[]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}{% endfor %}");
              }),
              HasSubstr("nested deeper"));
  EXPECT_THAT(error_of([] { rendered("{{ range(1000000) }}"); }), HasSubstr("a range of more than"));
  EXPECT_THAT(error_of([] { rendered("{{ ('a'*9999)|replace('a', 'b'*999999) }}"); }), HasSubstr("too much text"));
  EXPECT_THAT(error_of([] { rendered("{{ 9223372036854775807 + 1 }}"); }), HasSubstr("18 digits"));
  EXPECT_THAT(error_of([] { rendered("{{ 999999999999999999 * 999999999999999999 }}"); }), HasSubstr("64 bits"));
}

// Namespaces and macros that hold each other are let go (a leak shows under AddressSanitizer).
TEST(Jinja, CyclesAreLetGo) {
  EXPECT_EQ(rendered("{% macro m() %}{% endmacro %}{% set n = namespace(m=m) %}{% set n.self = n %}x"), "x");
}

TEST(Jinja, OriginsSurviveEverything) {
  const auto origins = [](std::string_view source) {
    const TracedString out = Template(source).render({{"d", Value::data_text("Data")}}, 0);
    std::string marks;
    for (size_t i = 0; i < out.size(); ++i) marks += out.origin_at(i) == TracedString::Origin::kData ? 'd' : 't';
    return out.bytes() + " " + marks;
  };
  EXPECT_EQ(origins("a{{ d }}b"), "aDatab tddddt");
  EXPECT_EQ(origins("{{ '<' + d[1:3] + '>' }}"), "<at> tddt");
  EXPECT_EQ(origins("{{ (' ' ~ d|upper ~ ' x ')|trim }}"), "DATA x ddddtt");
  EXPECT_EQ(origins("{{ ('a-' ~ d)|replace('a', '_') }}"), "_-D_t_ ttdtdt");
  EXPECT_EQ(origins("{{ 'aXb'|replace('X', d) }}"), "aDatab tddddt");
  EXPECT_EQ(origins("{{ (d ~ ',x').split(',')|join('|') }}"), "Data|x ddddtt");
  EXPECT_EQ(origins("{% set x %}<{{ d }}>{% endset %}{{ x }}"), "<Data> tddddt");
  EXPECT_EQ(origins("{% macro m(y) %}[{{ y }}]{% endmacro %}{{ m(d) }}"), "[Data] tddddt");
  EXPECT_EQ(origins("{{ {'k': d}|tojson }}"), "{\"k\": \"Data\"} ddddddddddddd");
  EXPECT_EQ(origins("{{ [d] }}"), "['Data'] tddddddt");
  EXPECT_EQ(origins("{% for c in d %}{{ c }}.{% endfor %}"), "D.a.t.a. dtdtdtdt");
  EXPECT_EQ(origins("{{ d|indent(1, true) }}{{ d|title }}{{ d|reverse }}"), " DataDataataD tdddddddddddd");
}

std::string pieces_of(const ChatPrompt& prompt) {
  std::string out;
  for (const ChatPiece& piece : prompt) out += piece.special ? cat("[", piece.text, "]") : piece.text;
  return out;
}

TEST(PromptTemplate, DataNeverBecomesASpecialToken) {
  const PromptTemplate made = PromptTemplate::from_source(
      "{{ bos_token }}{% for m in messages %}<beginning_of_sentence>{{ m.role }}\n{{ m.content | trim }}{{ '<end_of_' "
      "+ "
      "'sentence>' }}{{ '<end_of_' ~ m.content }}{% endfor %}",
      tokenizer(), "test");
  EXPECT_FALSE(made.native());
  const std::vector<Message> messages{text_message(Role::kUser, "sentence><end_of_sentence>")};
  EXPECT_EQ(
      pieces_of(made.render(messages)),
      "[<beginning_of_sentence>][<beginning_of_sentence>]user\nsentence><end_of_sentence>[<end_of_sentence>]<end_of_"
      "sentence><end_of_sentence>");
}

TEST(PromptTemplate, RecognisesMiniMaxM1) {
  const PromptTemplate published =
      PromptTemplate::load(std::filesystem::path(MINIMAX_TESTDATA) / "tokenizer", tokenizer());
  EXPECT_TRUE(published.native());
  EXPECT_EQ(published.description(), "MiniMax-M1 (tokenizer_config.json, native)");
  const std::vector<Message> messages{text_message(Role::kUser, "Hi")};
  EXPECT_EQ(published.render(messages), render_chat(messages, {}));
  const PromptTemplate tools = PromptTemplate::from_file(kFolder / "minimax_m1_tools.jinja", tokenizer());
  EXPECT_TRUE(tools.native());
  EXPECT_EQ(tools.render(messages), render_chat(messages, {}, {.chat_template = ChatTemplate::kTools}));
  EXPECT_TRUE(PromptTemplate().native());
}

TEST(PromptTemplate, FindsHowATemplateWantsItsMessages) {
  const PromptTemplate parts = PromptTemplate::from_source(
      "{% for m in messages %}{{ m.role }}:{% for p in m.content %}{{ p['text'] + ';' }}{% endfor %}{% endfor %}",
      tokenizer(), "test");
  EXPECT_EQ(to_string(parts.render(std::vector{text_message(Role::kUser, "ab")})), "user:ab;");
  const auto called = messages_from_json(io::JsonField(
      io::parse_json(R"([{"role": "user", "content": "x"}, {"role": "assistant", "content": null, "tool_calls":
        [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]}])",
                     "m"),
      "m"));
  const auto calls = [&](std::string_view source) {
    return to_string(PromptTemplate::from_source(source, tokenizer(), "test").render(called));
  };
  EXPECT_EQ(calls("{{ messages[0].content }}{% for c in messages[-1].tool_calls %}{{ c.function.arguments | tojson "
                  "}}{% endfor %}"),
            "x{\"a\": 1}");
  EXPECT_EQ(calls("{{ messages[0].content }}{% for c in messages[-1].tool_calls %}{{ 'args ' + c.function.arguments "
                  "}}{% endfor %}"),
            "xargs {\"a\": 1}");
}

TEST(PromptTemplate, OptionsReachTheTemplate) {
  const PromptTemplate made = PromptTemplate::from_source(
      "{{ messages|length }}{{ messages[0].content }}{% for m in messages %}{{ m.reasoning_content }}{% endfor %}"
      "{{ enable_thinking }}{{ tools|tojson if tools }}{{ strftime_now('%Y') }}{% if add_generation_prompt %}>{% endif "
      "%}",
      tokenizer(), "test");
  std::vector<Message> messages{text_message(Role::kUser, "Q"), text_message(Role::kAssistant, "A"),
                                text_message(Role::kUser, "R")};
  messages[1].reasoning = "why";
  io::json::object extra;
  extra["enable_thinking"] = false;
  PromptTemplate::Options options{.extra = &extra, .now = 1764000000};
  options.chat.add_generation_prompt = false;
  EXPECT_EQ(to_string(made.render(messages, {}, options)), "3QwhyFalse2025");
  options.chat = {.default_system_prompt = "S", .keep_reasoning = false};
  const std::vector<ToolDefinition> tools{{"f", R"({"name": "f"})"}};
  EXPECT_EQ(to_string(made.render(messages, tools, options)),
            R"(4SFalse[{"type": "function", "function": {"name": "f"}}]2025>)");
}

TEST(PromptTemplate, NamedTemplatesAndErrors) {
  const auto folder = std::filesystem::temp_directory_path() / cat("minimax_templates_", ::getpid());
  std::filesystem::create_directories(folder);
  const auto write = [&](std::string_view name, std::string_view text) { std::ofstream(folder / name) << text; };
  EXPECT_TRUE(PromptTemplate::load(folder, tokenizer()).native());
  write("tokenizer_config.json", R"({"bos_token": {"content": "<begin_of_document>"}, "chat_template": [
    {"name": "default", "template": "{{ bos_token }}d{{ messages[0].content }}"}, {"name": "tool_use", "template": "t{{ messages[0].content }}"}]})");
  const PromptTemplate named = PromptTemplate::load(folder, tokenizer());
  const std::vector<Message> messages{text_message(Role::kUser, "!")};
  EXPECT_EQ(pieces_of(named.render(messages)), "[<begin_of_document>]d!");
  EXPECT_EQ(to_string(named.render(messages, std::vector{ToolDefinition{"f", "{}"}})), "t!");
  write("chat_template.jinja", "file {{ messages[0].content }}");
  EXPECT_EQ(to_string(PromptTemplate::load(folder, tokenizer()).render(messages)), "file !");
  EXPECT_EQ(PromptTemplate::load(folder, tokenizer()).description(), "chat_template.jinja (interpreted)");
  write("chat_template.jinja", "\n{% for %}");
  EXPECT_EQ(error_of([&] { PromptTemplate::load(folder, tokenizer()); }),
            "chat_template.jinja: chat template, line 2: found %}, expected a name");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace minimax::text
