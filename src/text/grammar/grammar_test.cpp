// Grammars as users meet them: what JSON schemas, patterns and choices allow, and what is refused.
#include "text/grammar/grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "core/error.h"
#include "io/json.h"
#include "text/grammar/random_schema.h"
#include "text/grammar/regex_syntax.h"
#include "text/grammar/schema_validator.h"
#include "text/tokenizer.h"

namespace minimax::text {
namespace {

using ::testing::HasSubstr;

// All bytes, and tokens that cross every boundary of JSON: quotes with what follows, brackets, halves of characters.
std::shared_ptr<const GrammarVocabulary> vocabulary() {
  static const auto shared = [] {
    std::vector<std::string> texts;
    for (int byte = 0; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
    for (const char* token : {"{\"",          "\":",      "\": ",
                              "\",",          "\", \"",   "\"}",
                              "\"]",          "},",       "}}",
                              "]}",           "]]",       "}]",
                              "[{",           "[[",       "[]",
                              "{}",           "[\"",      ", ",
                              ",\"",          ",\n",      "\n  ",
                              "  ",           "    ",     " \"",
                              ":\"",          ": \"",     ": {",
                              "\": [",        "true",     "false",
                              "null",         "tru",      "nul",
                              "12",           "123",      "0.",
                              ".5",           "1e",       "e-",
                              "-1",           "00",       "10",
                              "999",          "the",      "ab",
                              "abc",          "name",     "\"name\":",
                              "\"name\": \"", "name\": ", "id",
                              "x\"",          "a\",\"b",  "\"a\":",
                              "\"b\": 1",     "\"b",      "b\"",
                              "\\\"",         "\\n",      "\\u",
                              "\\u00",        "d83d",     "\\ud83d\\ude00",
                              "de00\"",       "\xC3\xA9", "\xE4\xBD",
                              "\xBD\xA0",     "\xF0\x9F", "\x9F\x98\x80",
                              "\xC3",         "\xA9\"",   "\xE4\xBD\xA0\xE5",
                              "2024-",        "-02-",     "29",
                              "T10:",         ":00Z",     "_s",
                              "null,",        "1,",       "1}",
                              "1]",           ",1",       "<think>"})
      texts.emplace_back(token);
    texts.emplace_back();  // a special token without text
    const auto end = static_cast<int32_t>(texts.size());
    texts.emplace_back("<end>");
    texts.back().clear();
    return std::make_shared<const GrammarVocabulary>(std::move(texts), std::vector<int32_t>{end});
  }();
  return shared;
}

GrammarCompiler& compiler() {
  static GrammarCompiler shared(vocabulary());
  return shared;
}

int32_t end_id() {
  return vocabulary()->end_ids()[0];
}

int32_t token(std::string_view text) {
  for (int32_t id = 0; id < vocabulary()->rows(); ++id)
    if (vocabulary()->text(id) == text) return id;
  throw std::out_of_range("no such token");
}

bool is_allowed(std::span<const uint64_t> mask, int32_t id) {
  return (mask[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0;
}

bool accepts(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
  GrammarMatcher matcher(grammar);
  return matcher.accept_bytes(text) && matcher.can_end();
}

std::string error_of(auto work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string schema_error(std::string_view schema) {
  return error_of([&] { compiler().json_schema(schema); });
}

// The mask against what accept() says of every token, the slow way.
void check_mask(GrammarMatcher& matcher) {
  const std::span<const uint64_t> mask = matcher.allowed();
  const std::vector<uint64_t> copy(mask.begin(), mask.end());
  bool any = false;
  for (int32_t id = 0; id < vocabulary()->rows(); ++id) {
    GrammarMatcher probe = matcher;
    const bool accepted = probe.accept(id);
    ASSERT_EQ(is_allowed(copy, id), accepted) << "token " << id << " \"" << vocabulary()->text(id) << '"';
    any |= accepted;
  }
  ASSERT_TRUE(any);
}

// Random allowed tokens to the end; every mask on the way is checked when `masks`.
std::string random_text(const std::shared_ptr<const Grammar>& grammar, std::mt19937& random, bool masks) {
  GrammarMatcher matcher(grammar);
  std::string text;
  for (int step = 0; !matcher.ended(); ++step) {
    if (masks) check_mask(matcher);
    if (::testing::Test::HasFatalFailure()) return text;
    const auto mask = matcher.allowed();
    std::vector<int32_t> ids;
    for (int32_t id = 0; id < vocabulary()->rows(); ++id)
      if (is_allowed(mask, id)) ids.push_back(id);
    if (ids.empty()) {
      ADD_FAILURE() << "nothing may follow " << text;
      return text;
    }
    int32_t id = ids[random() % ids.size()];
    // After a while mostly what leads to an end.
    constexpr std::string_view kLast[] = {"\"", "\"", "]", "}", "x", "1", "_s", "z", "b", ".", "0", "-"};
    const int32_t wanted = token(kLast[random() % std::size(kLast)]);
    if (step > 60 && is_allowed(mask, wanted)) id = wanted;
    if (matcher.can_end() && random() % 3 == 0) id = end_id();
    if (step > 3000) return "";  // no end in sight: some pattern still waits for its one character
    EXPECT_TRUE(matcher.accept(id));
    text += vocabulary()->text(id);
  }
  return text;
}

void expect_valid(std::string_view schema_text, std::string_view text) {
  if (text.empty()) return;
  const auto schema = io::parse_json(schema_text, "schema");
  io::json::value value;
  try {
    value = io::parse_json(text, "text", {.duplicate_keys = io::DuplicateKeys::kKeepLast});
  } catch (const Error& error) {
    FAIL() << error.what() << "\n" << text << "\nof " << schema_text;
  }
  EXPECT_TRUE(test::SchemaValidator(schema).valid(value)) << text << "\nis not valid by " << schema_text;
}

struct Case {
  std::string_view schema;
  std::vector<std::string_view> good, bad;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {R"({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
           "required": ["name"], "additionalProperties": false})",
       {R"({"name":"x"})", R"({"name": "x", "age": 3})", "{\n  \"name\": \"x\",\n  \"age\": -30\n}",
        R"({"name":"\u00e9\ud83d\ude00\""})"},
       {R"({})", R"({"age":3})", R"({"age":3,"name":"x"})", R"({"name":"x","age":3.5})", R"({"name":"x","age":03})",
        R"({"name":"x","other":1})", R"({"name":"\ud83d"})", R"({"name":"x",})", "{\"name\":\"\n\"}",
        R"({"name":"\x"})", "{\"name\":\"\xC3\"}", "{\"name\":\"\xED\xA0\x80\"}"}},
      {R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}, "c": {"type": "integer"}}})",
       {"{}", R"({"a":1})", R"({"b":1})", R"({"c":1})", R"({"a":1,"c":1})", R"({"a":1,"b":2,"c":3})"},
       {R"({"b":1,"a":1})", R"({,"a":1})", R"({"a":1 "b":1})", R"({"a":1,})", R"({"d":1})"}},
      {R"({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3})",
       {"[1,2]", "[1.5, -2e5, 0]"},
       {"[]", "[1]", "[1,2,3,4]", "[1,]", "[01,2]", "[1.,2]", "[+1,2]"}},
      {R"({"prefixItems": [{"type": "string"}, {"type": "integer"}], "type": "array"})",
       {"[]", R"(["a"])", R"(["a",1])"},
       {"[1]", R"(["a","b"])", R"(["a",1,2])"}},
      {R"({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}, "minItems": 2, "type": "array"})",
       {R"(["a",1])", R"(["a",1,2,3])"},
       {R"(["a"])", R"(["a","b"])"}},
      {R"({"enum": ["red", "green", 3, null, true, {"a": [1, 2]}]})",
       {R"("red")", "3", "null", "true", R"({"a":[1,2]})"},
       {R"("blue")", "4", "false", R"({"a":[1]})"}},
      {R"({"const": "a \"quoted\" \u00e9"})", {"\"a \\\"quoted\\\" \xC3\xA9\""}, {"\"a\""}},
      {R"({"type": ["string", "null"], "maxLength": 3})",
       {"null", R"("abc")", "\"\xE4\xBD\xA0\xE5\xA5\xBD!\"", R"("\ud83d\ude00ab")"},
       {R"("abcd")", "\"\xE4\xBD\xA0\xE5\xA5\xBD!!\"", R"("\ud83d\ude00abc")", "1"}},
      {R"({"type": "string", "minLength": 2, "pattern": "^[a-c]+$"})",
       {R"("ab")", R"("abcabc")"},
       {R"("a")", R"("abd")", R"("")"}},
      {R"({"type": "string", "pattern": "b"})", {R"("b")", R"("abc")", R"("\nb")"}, {R"("ac")", R"("")"}},
      {R"({"type": "string", "pattern": "^(foo|bar)-\\d{2,3}$|x$"})",
       {R"("foo-12")", R"("bar-123")", R"("fox")"},
       {R"("foo-1")", R"("foo-1234")", R"("xa")"}},
      {R"({"type": "string", "pattern": "^(?=.*\\d)(?=.*[a-z])(?!.*bad).{4,6}$"})",
       {R"("abc1")", R"("1a...")"},
       {R"("abcd")", R"("1234")", R"("bad1")", R"("ab1")", R"("abcd123")"}},
      {R"({"type": "integer", "minimum": -5, "maximum": 17})",
       {"-5", "0", "9", "10", "17"},
       {"-6", "18", "-0", "1.0", "100", "1e1"}},
      {R"({"type": "integer", "exclusiveMinimum": 99, "exclusiveMaximum": 1001})",
       {"100", "555", "1000"},
       {"99", "1001", "0"}},
      {R"({"type": "integer", "minimum": 123})", {"123", "124", "200", "999999"}, {"122", "99", "-124"}},
      {R"({"type": "integer", "multipleOf": 7, "minimum": 0})", {"0", "7", "21", "700"}, {"1", "22"}},
      {R"({"type": "number", "minimum": 0.25, "exclusiveMaximum": 2.5})",
       {"0.25", "0.3", "1", "2.49", "1.999999", "0.250"},
       {"0.24", "2.5", "2.50", "0", "3", "-1", "2.51"}},
      {R"({"type": "number", "minimum": -1, "maximum": 1})",
       {"-1", "0", "1", "0.5", "-0.999", "1.000"},
       {"-1.1", "1.001", "2"}},
      {R"({"type": "number", "exclusiveMinimum": 0})", {"1", "0.001", "123456"}, {"0", "0.0", "-1"}},
      {R"({"type": "number", "multipleOf": 0.05, "minimum": 0})", {"0", "0.05", "1.1", "2.35"}, {"0.01", "1.13"}},
      {R"({"anyOf": [{"type": "string"}, {"type": "integer"}]})", {R"("a")", "12"}, {"1.5", "null", "true"}},
      {R"({"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string"}},
           "anyOf": [{"properties": {"kind": {"const": "a"}, "x": {"type": "integer"}}, "required": ["x"]},
                     {"properties": {"kind": {"const": "b"}}}]})",
       {R"({"kind":"a","x":1})", R"({"kind":"b"})"},
       {R"({"kind":"a"})", R"({"kind":"c"})", R"({"kind":"b","x":1})"}},
      {R"({"oneOf": [{"type": "object", "properties": {"t": {"const": "cat"}, "n": {"type": "integer"}}, "required": ["t", "n"]},
                     {"type": "object", "properties": {"t": {"const": "dog"}}, "required": ["t"]}, {"type": "null"}]})",
       {R"({"t":"cat","n":1})", R"({"t":"dog"})", "null"},
       {R"({"t":"cat"})", R"({"t":"cow"})"}},
      {R"({"allOf": [{"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]},
                     {"properties": {"a": {"maximum": 5}, "b": {"type": "string"}}, "required": ["b"]}]})",
       {R"({"a":3,"b":""})", R"({"a":5,"b":"x"})"},
       {R"({"a":2,"b":""})", R"({"a":6,"b":""})", R"({"a":3})"}},
      {R"({"$defs": {"node": {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
           "required": ["v", "next"], "additionalProperties": false}}, "$ref": "#/$defs/node"})",
       {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":2,"next":{"v":3,"next":null}}})"},
       {R"({"v":1})", R"({"v":1,"next":{}})"}},
      {R"({"type": "array", "items": {"$ref": "#"}})", {"[]", "[[],[[]]]"}, {"[1]", "{}"}},
      {R"({"type": "object"})", {"{}", R"({"a":[1,{"b":null}],"a":"x"})"}, {"[]", "1", R"({"a"})"}},
      {"true", {"{}", "[1]", "\"\"", "1e5", "null"}, {"nul", "", "[", "{\"a\":}"}},
      {R"({"type": "object", "properties": {"id": {"type": "integer"}}, "additionalProperties": {"type": "string"}})",
       {R"({"id":1})", R"({"id":1,"x":"y"})", R"({"x":"y","z":""})", "{}"},
       {R"({"id":"1"})", R"({"x":1})", R"({"x":"y","id":1})", R"({"\u0069d":"a"})"}},
      {R"({"type": "object", "patternProperties": {"^x_": {"type": "integer"}, "_s$": {"type": "string"}}, "additionalProperties": false})",
       {"{}", R"({"x_1":3})", R"({"a_s":"","x_":0})"},
       {R"({"x_1":""})", R"({"y":1})", R"({"x_s":1})", R"({"x_s":""})"}},
      {R"({"type": "object", "propertyNames": {"pattern": "^[a-z]{1,3}$"}, "additionalProperties": {"type": "boolean"}})",
       {"{}", R"({"abc":true})"},
       {R"({"abcd":true})", R"({"":true})", R"({"a":1})"}},
      {R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}, "c": {"type": "integer"}}, "minProperties": 2})",
       {R"({"a":1,"b":2})", R"({"b":1,"c":2})", R"({"a":1,"b":2,"c":3})"},
       {"{}", R"({"a":1})", R"({"c":1})"}},
      {R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "maxProperties": 1})",
       {"{}", R"({"a":1})", R"({"b":1})"},
       {R"({"a":1,"b":2})"}},
      {R"({"type": "string", "format": "date"})",
       {R"("2024-02-29")", R"("2023-12-31")"},
       {R"("2023-02-29")", R"("2023-13-01")", R"("2023-1-1")"}},
      {R"({"type": "string", "format": "date-time"})",
       {R"("2024-02-29T10:00:00Z")", R"("2023-12-31T23:59:59.5+01:00")"},
       {R"("2023-12-31")", R"("2023-12-31T24:00:00Z")"}},
      {R"({"type": "string", "format": "uuid"})",
       {R"("123e4567-e89b-12d3-a456-426614174000")"},
       {R"("123e4567e89b12d3a456426614174000")"}},
      {R"({"type": "string", "format": "email"})",
       {R"("a.b+c@example.co.uk")"},
       {R"("a@b")", R"("@b.c")", R"("a b@c.de")"}},
      {R"({"type": "string", "format": "ipv4"})", {R"("255.0.10.1")"}, {R"("256.0.0.1")", R"("1.2.3")"}},
      {R"({"type": "string", "format": "ipv6"})",
       {R"("::1")", R"("2001:db8::ff00:42:8329")", R"("1:2:3:4:5:6:7:8")", R"("::ffff:1.2.3.4")"},
       {R"("1::2::3")", R"("1:2:3")"}},
      {R"({"type": "string", "format": "uri"})",
       {R"("https://example.com/a?b=c#d")", R"("mailto:a@b.c")"},
       {R"("example.com")", R"("http://a b")"}},
      {R"({"type": "string", "format": "duration"})",
       {R"("P1Y2M3DT4H5M6S")", R"("PT5M")", R"("P3W")"},
       {R"("P")", R"("PT")", R"("1D")"}},
      {R"({"type": "string", "format": "time"})", {R"("10:00:00Z")"}, {R"("10:00")", R"("25:00:00Z")"}},
      {R"({"type": "string", "format": "hostname"})", {R"("a-b.example.com")"}, {R"("-a.com")", R"("a..b")"}},
      {R"({"type": "integer", "nullable": true})", {"1", "null"}, {"1.5"}},
      {R"({"type": "array", "uniqueItems": true, "maxItems": 1, "items": {"enum": [1]}})", {"[]", "[1]"}, {"[1,1]"}},
      {R"({"$defs": {"a/b": {"$anchor": "here", "type": "null"}}, "type": "array", "prefixItems": [{"$ref": "#/$defs/a~1b"}, {"$ref": "#/prefixItems/0"}]})",
       {"[null,null]"},
       {"[1]"}},
      {R"({"type": "number"})",
       {"0", "-0", "1.5e-7", "123456789012345678"},
       {"1234567890123456789", "1e400", ".5", "-"}},
  };
  return all;
}

TEST(JsonSchema, AcceptsAndRejects) {
  for (const Case& c : cases()) {
    const auto grammar = compiler().json_schema(c.schema);
    for (const std::string_view text : c.good) EXPECT_TRUE(accepts(grammar, text)) << text << "\nby " << c.schema;
    for (const std::string_view text : c.bad) EXPECT_FALSE(accepts(grammar, text)) << text << "\nby " << c.schema;
  }
}

// Good texts are valid and bad ones that parse are not, or are left out on purpose: the table itself is checked.
TEST(JsonSchema, CasesAgreeWithTheValidator) {
  for (const Case& c : cases())
    for (const std::string_view text : c.good) expect_valid(c.schema, text);
}

TEST(JsonSchema, RandomTokensMakeValidTexts) {
  std::mt19937 random(7);
  for (const Case& c : cases()) {
    const auto grammar = compiler().json_schema(c.schema);
    for (int i = 0; i < 4; ++i) {
      expect_valid(c.schema, random_text(grammar, random, i == 0));
      if (HasFailure()) return;
    }
  }
}

TEST(JsonSchema, RandomSchemasAndRandomTokens) {
  int compiled = 0, texts = 0;
  constexpr int kSchemas = 150;
  for (int seed = 0; seed < kSchemas; ++seed) {
    const std::string schema = test::RandomSchema(static_cast<uint32_t>(seed)).schema();
    std::shared_ptr<const Grammar> grammar;
    try {
      grammar = compiler().json_schema(schema, seed % 2 == 0 ? JsonSpace::kFlexible : JsonSpace::kCompact);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::AnyOf(HasSubstr("no text satisfies"), HasSubstr("\"oneOf\""),
                                                 HasSubstr("\"minProperties\""), HasSubstr("\"multipleOf\"")))
          << schema;
      continue;
    }
    ++compiled;
    std::mt19937 random(static_cast<uint32_t>(seed));
    for (int i = 0; i < 4; ++i) {
      const std::string text = random_text(grammar, random, i == 0 && seed % 8 == 0);
      texts += text.empty() ? 0 : 1;
      expect_valid(schema, text);
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(compiled, kSchemas * 3 / 5);
  EXPECT_GT(texts, compiled * 4 * 19 / 20);
}

TEST(JsonSchema, RefusesByName) {
  EXPECT_EQ(schema_error(R"({"type": "object", "properties": {"a": {"not": {"type": "null"}}}})"),
            "schema at #/properties/a: the keyword \"not\" is not supported");
  EXPECT_THAT(schema_error(R"({"if": {}})"), HasSubstr("\"if\" is not supported"));
  EXPECT_THAT(schema_error(R"({"type": "array", "uniqueItems": true})"), HasSubstr("\"uniqueItems\" is not supported"));
  EXPECT_THAT(schema_error(R"({"type": "text"})"),
              HasSubstr("expected null, boolean, integer, number, string, array or object"));
  EXPECT_THAT(schema_error(R"({"$ref": "other.json"})"), HasSubstr("other documents are not fetched"));
  EXPECT_THAT(schema_error(R"({"$ref": "#/nowhere"})"), HasSubstr("there is no such place"));
  EXPECT_THAT(schema_error(R"({"type": "string", "pattern": "(a)\\1"})"),
              HasSubstr("a back-reference or octal escape (not supported)"));
  EXPECT_THAT(schema_error(R"({"type": "string", "pattern": "(a"})"), HasSubstr("a group without )"));
  EXPECT_THAT(schema_error(R"({"oneOf": [{"type": "integer"}, {"type": "number"}]})"),
              HasSubstr("\"oneOf\" is supported only where no value can satisfy two of its schemas; 0 and 1"));
  EXPECT_THAT(schema_error(R"({"type": "string", "minLength": -1})"), HasSubstr("\"minLength\" is -1"));
  EXPECT_THAT(schema_error("[1]"), HasSubstr("expected an object or a boolean"));
  EXPECT_THAT(schema_error("{"), HasSubstr("schema"));
}

TEST(JsonSchema, RefusesWhatNothingSatisfies) {
  EXPECT_EQ(schema_error("false"), "no text satisfies the grammar");
  EXPECT_EQ(schema_error(R"({"type": "string", "minLength": 3, "maxLength": 2})"), "no text satisfies the grammar");
  EXPECT_EQ(schema_error(R"({"type": "string", "pattern": "^a{5}$", "maxLength": 4})"),
            "no text satisfies the grammar");
  EXPECT_EQ(schema_error(R"({"type": "integer", "minimum": 5, "maximum": 4})"), "no text satisfies the grammar");
  EXPECT_EQ(schema_error(R"({"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]})"),
            "no text satisfies the grammar");
  EXPECT_EQ(schema_error(R"({"$ref": "#"})"), "no error");  // says nothing: any value
}

TEST(JsonSchema, PropertyThatNothingSatisfiesIsLeftOut) {
  const auto grammar =
      compiler().json_schema(R"({"type": "object", "properties": {"a": false, "b": {"type": "null"}}})");
  EXPECT_TRUE(accepts(grammar, R"({"b":null})"));
  EXPECT_FALSE(GrammarMatcher(grammar).accept_bytes(R"({"a)"));
}

TEST(JsonSchema, Anchors) {
  const auto grammar = compiler().json_schema(
      R"({"$id": "https://example.com/s", "$defs": {"a": {"$anchor": "here", "type": "null"}}, "$ref": "https://example.com/s#here"})");
  EXPECT_TRUE(accepts(grammar, "null"));
  EXPECT_FALSE(accepts(grammar, "1"));
}

TEST(JsonSchema, CompactAllowsNoSpace) {
  const auto grammar = compiler().json_schema(R"({"type": "object"})", JsonSpace::kCompact);
  EXPECT_TRUE(accepts(grammar, R"({"a":[1,2]})"));
  EXPECT_FALSE(accepts(grammar, R"({"a": 1})"));
  EXPECT_FALSE(accepts(grammar, R"({ })"));
}

TEST(JsonSchema, NestingEndsWhereParsersEnd) {
  const auto grammar = compiler().json_schema("true");
  std::string deep(64, '[');
  EXPECT_TRUE(accepts(grammar, deep + std::string(64, ']')));
  EXPECT_FALSE(GrammarMatcher(grammar).accept_bytes(deep + "["));
  EXPECT_NO_THROW(io::parse_json(deep + std::string(64, ']'), "text"));
}

TEST(GrammarMatcher, EndIdsExactlyWhenComplete) {
  GrammarMatcher matcher(compiler().json_schema(R"({"type": "integer", "minimum": 10})"));
  EXPECT_FALSE(is_allowed(matcher.allowed(), end_id()));
  EXPECT_FALSE(matcher.accept(end_id()));
  EXPECT_TRUE(matcher.accept('1'));
  EXPECT_FALSE(matcher.can_end());
  EXPECT_TRUE(matcher.accept('0'));
  EXPECT_TRUE(matcher.can_end());
  EXPECT_TRUE(is_allowed(matcher.allowed(), end_id()));
  GrammarMatcher longer = matcher;
  EXPECT_TRUE(matcher.accept(end_id()));
  EXPECT_TRUE(matcher.ended());
  EXPECT_FALSE(matcher.accept('0'));
  EXPECT_TRUE(longer.accept('0'));
}

TEST(GrammarMatcher, ForcedBytes) {
  GrammarMatcher matcher(compiler().json_schema(
      R"({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]})", JsonSpace::kCompact));
  EXPECT_EQ(matcher.forced_bytes(), R"({"name":")");
  EXPECT_EQ(matcher.forced_bytes(3), R"({"n)");
  EXPECT_TRUE(matcher.accept_bytes(R"({"name":"x")"));
  EXPECT_EQ(matcher.forced_bytes(), "}");
  EXPECT_TRUE(matcher.accept_bytes("}"));
  EXPECT_EQ(matcher.forced_bytes(), "");
}

TEST(Regex, WholeTexts) {
  const auto accepted = [](std::string_view pattern, std::string_view text) {
    return accepts(compiler().regex(pattern), text);
  };
  EXPECT_TRUE(accepted("a+b?", "aab"));
  EXPECT_FALSE(accepted("a+b?", "aabb"));
  EXPECT_TRUE(accepted("^a$", "a"));
  EXPECT_TRUE(accepted("(?:x|yz){2,3}", "xyzx"));
  EXPECT_FALSE(accepted("(?:x|yz){2,3}", "x"));
  EXPECT_TRUE(accepted("[^\\d\\s]+", "\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x98\x80"));
  EXPECT_FALSE(accepted("[^\\d\\s]+", "a b"));
  EXPECT_TRUE(accepted("\\p{Lu}\\p{Ll}*", "\xC3\x89tude"));
  EXPECT_FALSE(accepted("\\p{Lu}\\p{Ll}*", "\xC3\xA9tude"));
  EXPECT_TRUE(accepted(".", "\xF0\x9F\x98\x80"));
  EXPECT_FALSE(accepted(".", "\n"));
  EXPECT_FALSE(accepted(".", "\xF0\x9F\x98"));
  EXPECT_TRUE(accepted("\\u{1F600}|\\x41|\\u0042", "B"));
  EXPECT_TRUE(accepted("a{,2}", "a{,2}"));
  EXPECT_TRUE(accepted("x*?y", "xxy"));
  EXPECT_TRUE(accepted("[a\\-z]+", "-az"));
  std::mt19937 random(3);
  const std::string text = random_text(compiler().regex("(true|false|[0-9]{2,4}){3}"), random, true);
  EXPECT_TRUE(test::found_in("^(true|false|[0-9]{2,4}){3}$", text)) << text;
}

TEST(Regex, Refusals) {
  const auto refused = [](std::string_view pattern) { return error_of([&] { compiler().regex(pattern); }); };
  EXPECT_THAT(refused("a**"), HasSubstr("two quantifiers"));
  EXPECT_THAT(refused("\\bword"), HasSubstr("a word boundary (not supported)"));
  EXPECT_THAT(refused("(?<=a)b"), HasSubstr("a lookbehind (not supported)"));
  EXPECT_THAT(refused("a(^b)+c"), HasSubstr("not at an end of an alternative"));
  EXPECT_THAT(refused("[z-a]"), HasSubstr("a range whose end is before its beginning"));
  EXPECT_THAT(refused("a{3,2}"), HasSubstr("maximum is below its minimum"));
  EXPECT_THAT(refused(std::string(5000, 'a')), HasSubstr("expected at most 4096"));
  EXPECT_THAT(refused(std::string(200, '(') + std::string(200, ')')), HasSubstr("nested deeper than 100"));
  EXPECT_EQ(refused("a[]"), "no text satisfies the grammar");
}

TEST(Choice, OneOfTheTexts) {
  const std::vector<std::string> texts{"yes", "no", "yes, but", "\xE4\xBD\xA0"};
  const auto grammar = compiler().choice(texts);
  for (const std::string& text : texts) EXPECT_TRUE(accepts(grammar, text));
  EXPECT_FALSE(accepts(grammar, "y"));
  EXPECT_FALSE(accepts(grammar, "yesno"));
  GrammarMatcher matcher(grammar);
  check_mask(matcher);
  EXPECT_THAT(error_of([] { compiler().choice({}); }), HasSubstr("expected at least one"));
}

TEST(Limits, ExponentialPattern) {
  // The automaton of this pattern has 2^20 states.
  EXPECT_EQ(error_of([] {
              grammar::RegexPool pool(20'000);
              grammar::RegexId state = grammar::parse_regex(pool, "(a|b)*a(a|b){20}c", grammar::Anchoring::kWhole,
                                                            grammar::Spelling::kPlain, "regex");
              std::mt19937 random(1);
              for (int i = 0; i < 1'000'000; ++i) state = pool.step(state, random() % 2 ? 'a' : 'b');
            }),
            "the automaton of this grammar is too large: more than 20000 states");
}

TEST(Limits, DeepNesting) {
  std::string deep;
  for (int i = 0; i < 70; ++i) deep += R"({"type":"array","minItems":1,"items":)";
  EXPECT_EQ(schema_error(deep + "true" + std::string(70, '}')),
            "every text needs more than 63 arrays and objects inside each other");
}

TEST(Limits, Combinations) {
  // Three choices of forty in every object: 64,000 combinations, made only as they are met, and too many.
  std::string choices = "{\"anyOf\":[";
  for (int i = 0; i < 40; ++i) choices += cat(i ? "," : "", R"({"required":["p)", i, "\"]}");
  choices += "]}";
  EXPECT_THAT(schema_error(cat("{\"allOf\":[", choices, ",", choices, ",", choices, "],\"type\":\"object\"}")),
              HasSubstr("combinations"));
}

TEST(Limits, ChainOfReferences) {
  std::string chain = "{\"$defs\":{";
  for (int i = 0; i < 3000; ++i) chain += cat("\"d", i, "\":{\"$ref\":\"#/$defs/d", i + 1, "\"},");
  EXPECT_THAT(schema_error(chain + "\"d3000\":{}},\"$ref\":\"#/$defs/d0\"}"), HasSubstr("must hold together"));
}

TEST(Limits, HugeCounts) {
  // Huge counts cost nothing until they are walked.
  EXPECT_EQ(
      schema_error(
          R"({"type":"array","minItems":1000000,"items":{"type":"string","minLength":999999,"maxLength":1000000}})"),
      "no error");
  EXPECT_EQ(error_of([] { compiler().regex("((x{1000}){1000}){1000}"); }), "no error");
}

// With MiniMax-M1's tokens, whose tree has places where a terminal ends and thousands of tokens go on.
TEST(GrammarMatcher, MasksOfTheRealVocabulary) {
  const Tokenizer tokenizer = Tokenizer::load(std::filesystem::path(MINIMAX_TESTDATA) / "tokenizer");
  GrammarCompiler real(std::make_shared<const GrammarVocabulary>(tokenizer, 200064));
  const auto grammar = real.json_schema(
      R"({"type": "object", "properties": {"name": {"type": "string", "maxLength": 6}, "tags": {"type": "array", "items": {"type": "string"}},
          "n": {"type": "number"}}, "required": ["name", "tags"]})");
  for (const std::string_view before : {"{", "{\"name\":", "{\"name\": \"ab", R"({"name": "ab", "tags": ["x",)",
                                        R"({"name": "ab", "tags": ["x)", R"({"name": "ab", "tags": [], "n": 1)"}) {
    GrammarMatcher matcher(grammar);
    ASSERT_TRUE(matcher.accept_bytes(before)) << before;
    const auto mask = matcher.allowed();
    int64_t different = 0, allowed = 0;
    for (int32_t id = 0; id < 200064; ++id) {
      GrammarMatcher probe = matcher;
      const bool accepted = probe.accept(id);
      allowed += accepted ? 1 : 0;
      if (is_allowed(mask, id) != accepted && ++different < 5)
        ADD_FAILURE() << before << ": token " << id << " \"" << tokenizer.token_bytes(id) << "\" " << accepted;
    }
    EXPECT_EQ(different, 0);
    EXPECT_GT(allowed, 2);
  }
}

TEST(GrammarCompiler, KeepsTheMostRecentlyUsed) {
  GrammarCompiler cache(vocabulary(), 2);
  const auto a = cache.regex("a"), b = cache.regex("b");
  EXPECT_EQ(cache.regex("a"), a);
  const auto c = cache.regex("c");
  EXPECT_EQ(cache.regex("a"), a);
  EXPECT_NE(cache.regex("b"), b);
  EXPECT_NE(cache.json_object(JsonSpace::kCompact), cache.json_object(JsonSpace::kFlexible));
}

}  // namespace
}  // namespace minimax::text
