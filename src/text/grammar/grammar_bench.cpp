// Costs of constrained answers with the vocabulary of MiniMax-M1: compiling, and masks that are asked for the first
// time and again, over schemas as users write them.
//
// usage: text_grammar_bench [TOKENIZER_FOLDER]     default: testdata/tokenizer of the source tree
//
// Each answer is written for its schema, cut into tokens by the tokenizer, and followed token by token.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "text/grammar/grammar.h"
#include "text/tokenizer.h"

namespace {

using namespace minimax::text;

/// Processor time of this thread in microseconds: what others do on the machine counts for little.
double now() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e6 * static_cast<double>(t.tv_sec) + 1e-3 * static_cast<double>(t.tv_nsec);
}

struct Case {
  const char* name;
  std::string_view schema;
  std::string_view answer;
};

constexpr Case kCases[] = {
    {"person",
     R"({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "email": {"type": "string", "format": "email"}}, "required": ["name", "age", "email"], "additionalProperties": false})",
     R"({"name": "Grace Hopper", "age": 85, "email": "grace.hopper@example.com"})"},
    {"calendar event",
     R"({"type": "object", "properties": {"name": {"type": "string"}, "date": {"type": "string", "format": "date-time"}, "participants": {"type": "array", "items": {"type": "string"}}}, "required": ["name", "date", "participants"], "additionalProperties": false})",
     R"({"name": "Science fair: \"robots\" & more", "date": "2026-03-14T15:09:26Z", "participants": ["Alice", "Bob", "Zoë 张伟"]})"},
    {"maths steps",
     R"({"type": "object", "properties": {"steps": {"type": "array", "items": {"type": "object", "properties": {"explanation": {"type": "string"}, "output": {"type": "string"}}, "required": ["explanation", "output"], "additionalProperties": false}}, "final_answer": {"type": "string"}}, "required": ["steps", "final_answer"], "additionalProperties": false})",
     "{\n  \"steps\": [\n    {\n      \"explanation\": \"Start with the equation 8x + 7 = -23 and subtract 7 from both "
     "sides.\",\n      \"output\": \"8x = -30\"\n    },\n    {\n      \"explanation\": \"Divide by 8; the fraction can "
     "be reduced.\",\n      \"output\": \"x = -3.75\"\n    }\n  ],\n  \"final_answer\": \"x = -3.75\"\n}"},
    {"recursive page",
     R"({"type": "object", "properties": {"type": {"type": "string", "enum": ["div", "button", "header", "section", "field", "form"]}, "label": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}, "attributes": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "value": {"type": "string"}}, "required": ["name", "value"], "additionalProperties": false}}}, "required": ["type", "label", "children", "attributes"], "additionalProperties": false})",
     R"({"type": "form", "label": "Sign up", "children": [{"type": "field", "label": "Mail", "children": [], "attributes": [{"name": "placeholder", "value": "you@example.com"}]}, {"type": "button", "label": "Go", "children": [], "attributes": []}], "attributes": [{"name": "method", "value": "post"}]})"},
    {"union of tools",
     R"({"anyOf": [{"type": "object", "properties": {"name": {"const": "get_weather"}, "arguments": {"type": "object", "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}}, "required": ["city"], "additionalProperties": false}}, "required": ["name", "arguments"]}, {"type": "object", "properties": {"name": {"const": "search"}, "arguments": {"type": "object", "properties": {"query": {"type": "string"}, "limit": {"type": "integer", "minimum": 1, "maximum": 50}}, "required": ["query"], "additionalProperties": false}}, "required": ["name", "arguments"]}]})",
     R"({"name": "search", "arguments": {"query": "lightning attention in linear time", "limit": 25}})"},
    {"limits", R"({"type": "object", "properties": {"title": {"type": "string", "minLength": 5, "maxLength": 60}, "score": {"type": "number", "minimum": 0, "maximum": 1}, "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"}, "tags": {"type": "array", "items": {"type": "string", "maxLength": 20}, "minItems": 1, "maxItems": 5}}, "required": ["title", "score", "code", "tags"], "additionalProperties": false})", R"({"title": "On the measurement of short texts", "score": 0.875, "code": "QX-2048", "tags": ["measurement", "texts", "bounded strings"]})"},
    {"any object", R"({"type": "object"})",
     R"({"name": "nano", "layers": [{"kind": "lightning", "heads": 64}, {"kind": "softmax", "heads": 64}], "nested": {"a": {"b": [1, 2.5, -3e4, true, null]}}, "text": "Grüße, \"世界\"\n"})"},
};

struct Times {
  std::vector<double> first, again, accept;  // microseconds, one a token
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

double worst(const std::vector<double>& values) {
  return *std::max_element(values.begin(), values.end());
}

void follow(const std::shared_ptr<const Grammar>& grammar, const std::vector<int32_t>& ids, std::vector<double>& masks,
            std::vector<double>& accepts) {
  GrammarMatcher matcher(grammar);
  for (size_t i = 0; i <= ids.size(); ++i) {
    double start = now();
    matcher.allowed();
    masks.push_back(now() - start);
    if (i == ids.size()) break;
    start = now();
    if (!matcher.accept(ids[i])) {
      std::printf("  token %zu is not allowed\n", i);
      return;
    }
    accepts.push_back(now() - start);
  }
  if (!matcher.can_end()) std::printf("  the answer is not complete\n");
}

}  // namespace

int main(int argc, char** argv) {
  const Tokenizer tokenizer = Tokenizer::load(argc > 1 ? argv[1] : MINIMAX_TESTDATA "/tokenizer");
  double start = now();
  const auto vocabulary = std::make_shared<const GrammarVocabulary>(tokenizer, 200064);
  std::printf("vocabulary of %lld ids prepared in %.0f ms\n", static_cast<long long>(vocabulary->rows()),
              1e-3 * (now() - start));
  std::printf("microseconds; median (worst) over the tokens of an answer\n");
  std::printf("%-16s %6s %9s %22s %22s %18s\n", "schema", "tokens", "compile", "first mask", "mask again", "accept");
  Times all;
  for (const Case& c : kCases) {
    GrammarCompiler compiler(vocabulary);
    start = now();
    const auto grammar = compiler.json_schema(c.schema);
    const double compile = now() - start;
    const std::vector<int32_t> ids = tokenizer.encode(c.answer);
    Times times;
    follow(grammar, ids, times.first, times.accept);
    times.accept.clear();
    for (int i = 0; i < 5; ++i) follow(grammar, ids, times.again, times.accept);
    std::printf("%-16s %6zu %9.0f %11.1f (%8.1f) %11.2f (%8.2f) %9.2f (%6.2f)\n", c.name, ids.size(), compile,
                median(times.first), worst(times.first), median(times.again), worst(times.again), median(times.accept),
                worst(times.accept));
    for (auto part : {&Times::first, &Times::again, &Times::accept})
      (all.*part).insert((all.*part).end(), (times.*part).begin(), (times.*part).end());
  }
  std::printf("%-16s %6s %9s %11.1f (%8.1f) %11.2f (%8.2f) %9.2f (%6.2f)\n", "all", "", "", median(all.first),
              worst(all.first), median(all.again), worst(all.again), median(all.accept), worst(all.accept));
}
