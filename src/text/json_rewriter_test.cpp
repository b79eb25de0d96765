// What the incremental JSON rewriter writes, against what Python 3.11's json.dumps(json.loads(x)) printed.
#include "text/json_rewriter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace minimax::text {
namespace {

using testing::HasSubstr;

TEST(JsonRewriter, WritesLikePython) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", R"({})"},
      {R"([ ])", R"([])"},
      {R"({"a":1,"b":[1,2,{"c":null}],"d":true,"e":false})",
       R"({"a": 1, "b": [1, 2, {"c": null}], "d": true, "e": false})"},
      {" {\n  \"city\" : \"上海\" ,\r\n\t\"days\":3\n}\n", R"({"city": "上海", "days": 3})"},
      {R"("\u4e0a\u6d77 \ud83d\ude80 \/ \u002f \u0022 \u005c \u000a \u0001 \u007f é")",
       "\"上海 🚀 / / \\\" \\\\ \\n \\u0001 \x7f é\""},
      {R"("\b\f\n\r\t\"\\")", R"("\b\f\n\r\t\"\\")"},
      {R"(["\ud83d", "\ude80", "\ud83dx", "\ud83d\n", "\ud83d\ud83d\ude80"])",
       R"(["\ud83d", "\ude80", "\ud83dx", "\ud83d\n", "\ud83d🚀"])"},
      {R"([0, -0, -0.0, 1.0, 1.50, 1E5, 1e16, 1e-4, 0.00001, 123456789012345678901234567890, 0.1, 2.5e-10, 1e22])",
       R"([0, 0, -0.0, 1.0, 1.5, 100000.0, 1e+16, 0.0001, 1e-05, 123456789012345678901234567890, 0.1, 2.5e-10, 1e+22])"},
      {R"({"a":1,"a":2})", R"({"a": 1, "a": 2})"},  // Python would keep one; a stream cannot know
      {"17", "17"},
      {" true ", "true"},
      {"[1e999]", "[1e999]"},  // Python prints Infinity, which is no JSON
  };
  for (const auto& [json, expected] : cases) EXPECT_EQ(python_json(json, "test"), expected) << json;
}

TEST(JsonRewriter, RefusesWhatIsNoJson) {
  for (const char* json :
       {"",           " ",           "{",           "}",     "[1,]",  "[,1]",   "{\"a\"}", "{\"a\":}",
        "{\"a\":1,}", "{a:1}",       "{'a':1}",     "[1 2]", "[1}",   "{]",     "\"a",     "\"a\nb\"",
        "\"\\x\"",    "\"\\u12g4\"", "tru",         "trux",  "nulll", "01",     "1.",      ".5",
        "-",          "+1",          "1e",          "1e+",   "1-2",   "[1.e5]", "NaN",     "[Infinity]",
        "{} {}",      "1 2",         "\"a\" \"b\"", "//",    "[1]]",  "1,",     "1x",      "\"\\"}) {
    EXPECT_THROW(python_json(json, "test"), Error) << json;
  }
}

TEST(JsonRewriter, NestsAsDeepAsAllowed) {
  auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(python_json(nested(JsonRewriter::kMaxDepth), "test"), nested(JsonRewriter::kMaxDepth));
  EXPECT_THROW(python_json(nested(JsonRewriter::kMaxDepth + 1), "test"), Error);
}

TEST(JsonRewriter, ErrorsNameTheTextAndThePlace) {
  auto message = [](std::string_view json) -> std::string {
    try {
      python_json(json, "arguments of \"f\"");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message("{\"a\": x}"), HasSubstr("arguments of \"f\": not JSON"));
  EXPECT_THAT(message("{\"a\": x}"), HasSubstr("at byte 6"));
  EXPECT_THAT(message("{\"a\":"), HasSubstr("ends too early, after 5 bytes"));
}

TEST(JsonRewriter, TellsWhereTheValueEnds) {
  JsonRewriter rewriter;
  std::string out;
  EXPECT_EQ(rewriter.feed('{', out), JsonRewriter::Status::kMore);
  EXPECT_EQ(rewriter.feed('}', out), JsonRewriter::Status::kDone);
  JsonRewriter number;
  out.clear();
  EXPECT_EQ(number.feed('1', out), JsonRewriter::Status::kMore);
  EXPECT_EQ(number.feed('}', out), JsonRewriter::Status::kDoneBefore);
  EXPECT_EQ(out, "1");
}

}  // namespace
}  // namespace minimax::text
