#include "io/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>

#include "core/error.h"
#include "core/rng.h"

namespace minimax::io {
namespace {

using testing::HasSubstr;

json::value parse(std::string_view text, const JsonLimits& limits = {}) {
  return parse_json(text, "test.json", limits);
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
    return error.what();
  }
  return "(no error)";
}
std::string parse_error(std::string_view text, const JsonLimits& limits = {}) {
  return error_of([&] { parse(text, limits); });
}

TEST(JsonParse, ReadsEveryKindOfValueInOrder) {
  const json::value value =
      parse(R"( {"z": [1, -2, 2.5, true, null], "a": {"é\u00e9\ud83d\ude00": "x\n\"\\\/\u0000y"}} )");
  EXPECT_EQ(write_json(value), R"({"z":[1,-2,2.5,true,null],"a":{"éé😀":"x\n\"\\/\u0000y"}})");
  EXPECT_EQ(write_json(parse("[]")), "[]");
  EXPECT_EQ(write_json(parse("7")), "7");
}

TEST(JsonParse, IntegersKeepTheirType) {
  EXPECT_EQ(parse("-9223372036854775808").as_int64(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(parse("9223372036854775807").as_int64(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(parse("18446744073709551615").as_uint64(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(parse("18446744073709551616").as_double(), 0x1p64);
  EXPECT_EQ(parse("123456789012345678901234567890").as_double(), 123456789012345678901234567890.0);
  EXPECT_TRUE(parse("1.0").is_double());
}

// The parser under ours is one ulp off on a sixth of all 17-digit numbers.
TEST(JsonParse, DoublesAreTheNearestToTheirText) {
  Rng rng(1);
  for (int i = 0; i < 200000; ++i) {
    const auto number = std::bit_cast<double>(rng.next_u64());
    if (!std::isfinite(number)) continue;
    char text[64];
    snprintf(text, sizeof text, "[%.*g]", 15 + i % 6, number);
    ASSERT_EQ(parse(text).as_array()[0].to_number<double>(), strtod(text + 1, nullptr)) << text;
  }
  EXPECT_EQ(parse("4.9e-324").as_double(), 4.9e-324);
  EXPECT_EQ(parse("1e-999").as_double(), 0.0);
  EXPECT_EQ(parse("1.7976931348623157e308").as_double(), 1.7976931348623157e308);
  EXPECT_EQ(parse("0." + std::string(2000, '0') + "1e2001").as_double(), 1.0);
}

TEST(JsonParse, RefusesNumbersTooLargeForADouble) {
  EXPECT_THAT(parse_error("[1, 1e999]"), HasSubstr("the number 1e999 is too large for a double"));
  EXPECT_THAT(parse_error("-1e309"), HasSubstr("too large"));
  EXPECT_NE(parse_error("1e99999999999999999999"), "(no error)");
}

TEST(JsonParse, ErrorsTellTheDocumentAndThePlace) {
  EXPECT_EQ(parse_error("{\n \"a\": 1,\n \"b\": x}"), "test.json: line 3, column 7 (byte 17): not JSON here");
  EXPECT_THAT(parse_error("[1, 2"), HasSubstr("(byte 5): the text ends in the middle of a value"));
  EXPECT_THAT(parse_error(""), HasSubstr("the text ends"));
  EXPECT_THAT(parse_error("{} {}"), HasSubstr("(byte 3): text after the end of the document"));
}

TEST(JsonParse, RefusesWhatIsNotJson) {
  for (const char* text : {"NaN",
                           "Infinity",
                           "[1,]",
                           "{\"a\":1,}",
                           "'a'",
                           "01",
                           "1.",
                           ".5",
                           "+1",
                           "[1] // c",
                           "/**/1",
                           "\xef\xbb\xbf{}",
                           "\"\xff\"",
                           "\"\xc0\xaf\"",
                           "\"\xed\xa0\x80\"",
                           "\"\\ud800\"",
                           "\"a\nb\"",
                           "{\"a\" 1}",
                           "{a:1}",
                           "tru",
                           "\"\\x\"",
                           "-",
                           "[",
                           "{\"a\":"})
    EXPECT_NE(parse_error(text), "(no error)") << text;
}

TEST(JsonParse, LimitsDepthValuesAndBytes) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(write_json(parse(nested(64))), nested(64));
  EXPECT_THAT(parse_error(nested(65)), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(parse_error(std::string(1 << 20, '[')), HasSubstr("nested deeper"));
  EXPECT_THAT(parse_error("[1,2,3]", {.max_values = 3}), HasSubstr("more than 3 values"));
  EXPECT_THAT(parse_error("[1,2,3]", {.max_bytes = 6}), HasSubstr("7 bytes of JSON, expected at most 6"));
}

TEST(JsonParse, DuplicateKeysAreRefusedOrTheLastWins) {
  const char* text = R"({"a": {"k": 1, "b": 2, "k": 3}, "k": 4})";
  EXPECT_THAT(parse_error(text), HasSubstr("the key \"k\" comes twice"));
  EXPECT_EQ(write_json(parse(text, {.duplicate_keys = DuplicateKeys::kKeepLast})), R"({"a":{"k":3,"b":2},"k":4})");
  EXPECT_THAT(parse_error(R"({"ab": 1, "a\u0062": 2})"), HasSubstr("comes twice"));
}

TEST(JsonParse, LongEscapedStringsAndKeysArriveWhole) {
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "ab\\u00e9\\n";
  const json::value value = parse("{\"" + text + "\": \"" + text + "\"}");
  const auto& member = *value.as_object().begin();
  EXPECT_EQ(member.key().size(), 20000u * 5);
  EXPECT_EQ(std::string_view(member.key()), std::string_view(member.value().as_string()));
}

TEST(JsonWrite, ThreeStyles) {
  const json::value value = parse(R"({"a":[1,[],{}],"b":{"c":0.7}})");
  EXPECT_EQ(write_json(value, JsonStyle::kCompact), R"({"a":[1,[],{}],"b":{"c":0.7}})");
  EXPECT_EQ(write_json(value, JsonStyle::kPython), R"({"a": [1, [], {}], "b": {"c": 0.7}})");
  EXPECT_EQ(write_json(value, JsonStyle::kPretty),
            "{\n  \"a\": [\n    1,\n    [],\n    {}\n  ],\n  \"b\": {\n    \"c\": 0.7\n  }\n}");
}

// Expected texts are Python's repr.
TEST(JsonWrite, NumbersAsPythonPrintsThem) {
  for (const auto& [number, text] :
       std::vector<std::pair<double, std::string>>{{0.7, "0.7"},
                                                   {1.0, "1.0"},
                                                   {-0.0, "-0.0"},
                                                   {1e-5, "1e-05"},
                                                   {0.0001, "0.0001"},
                                                   {0.00012345, "0.00012345"},
                                                   {1.5e-7, "1.5e-07"},
                                                   {1e16, "1e+16"},
                                                   {1e15, "1000000000000000.0"},
                                                   {9007199254740994.0, "9007199254740994.0"},
                                                   {123456.789, "123456.789"},
                                                   {1e22, "1e+22"},
                                                   {5e-324, "5e-324"},
                                                   {1.7976931348623157e308, "1.7976931348623157e+308"},
                                                   {3.5565588200778455, "3.5565588200778455"},
                                                   {10000000.0, "10000000.0"},
                                                   {0.1 + 0.2, "0.30000000000000004"}})
    EXPECT_EQ(write_json_number(number), text);
  EXPECT_THAT(error_of([] { write_json(json::value(std::nan(""))); }), HasSubstr("JSON cannot hold the number"));
}

TEST(JsonWrite, NumbersReadBackTheSame) {
  Rng rng(2);
  for (int i = 0; i < 100000; ++i) {
    const double number =
        i % 2 ? std::bit_cast<double>(rng.next_u64()) : std::ldexp(rng.uniform(), static_cast<int>(rng.below(80)) - 20);
    if (!std::isfinite(number)) continue;
    ASSERT_EQ(parse(write_json_number(number)).as_double(), number);
  }
}

TEST(JsonWrite, StringsAsPythonPrintsThemWithoutAsciiEscapes) {
  EXPECT_EQ(write_json_string(std::string_view("é\x7f\x01\x1f\b\f\n\r\t\"\\/\0", 14)),
            "\"é\x7f\\u0001\\u001f\\b\\f\\n\\r\\t\\\"\\\\/\\u0000\"");
}

TEST(JsonField, ReadsTypedValues) {
  const json::value root =
      parse(R"({"n": 3, "f": 1e7, "t": true, "s": "x", "z": null, "l": [1, 2], "o": {"k": ["a"]}})");
  const JsonField field(root, "test.json");
  EXPECT_EQ(field["n"].integer(), 3);
  EXPECT_EQ(field["f"].integer(), 10000000);
  EXPECT_EQ(field["n"].number(), 3.0);
  EXPECT_TRUE(field["t"].boolean());
  EXPECT_EQ(field["s"].string(), "x");
  EXPECT_FALSE(field["z"].has_value());
  EXPECT_TRUE(field["z"].present());
  EXPECT_FALSE(field["absent"].present());
  EXPECT_EQ(field["z"].integer_or(7), 7);
  EXPECT_EQ(field["absent"].number_or(0.5), 0.5);
  EXPECT_EQ(field["absent"].string_or("y"), "y");
  EXPECT_EQ(field["l"].integers(), std::vector<int64_t>({1, 2}));
  EXPECT_EQ(field["o"]["k"][0].string(), "a");
}

TEST(JsonField, ErrorsNamePathValueAndExpectation) {
  const json::value root =
      parse(R"({"hidden_size": "abc", "o": {"l": [1, 2.5, 1e300]}, "neg": -3, "big": 18446744073709551615})");
  const JsonField field(root, "config.json");
  EXPECT_EQ(error_of([&] { field["hidden_size"].integer(1); }),
            "config.json: \"hidden_size\" is \"abc\" (string), expected a positive integer");
  EXPECT_EQ(error_of([&] { field["o"]["l"].integers(); }),
            "config.json: \"o.l[1]\" is 2.5 (number), expected an integer");
  EXPECT_EQ(error_of([&] { field["o"]["l"][2].integer(); }),
            "config.json: \"o.l[2]\" is 1e+300 (number), expected an integer");
  EXPECT_EQ(error_of([&] { field["neg"].integer(0, 9); }),
            "config.json: \"neg\" is -3 (number), expected an integer from 0 to 9");
  EXPECT_EQ(error_of([&] { field["neg"].number(0); }),
            "config.json: \"neg\" is -3 (number), expected a number of 0.0 or more");
  EXPECT_THAT(error_of([&] { field["big"].integer(); }), HasSubstr("is 18446744073709551615 (number)"));
  EXPECT_EQ(error_of([&] { field["x"].string(); }), "config.json: \"x\" is absent, expected a string");
  EXPECT_EQ(error_of([&] { field["x"]["y"]; }), "config.json: \"x\" is absent, expected an object");
  EXPECT_EQ(error_of([&] { field["o"].array(); }), "config.json: \"o\" is an object of 1, expected an array");
  EXPECT_EQ(error_of([&] { field["o"]["l"][3]; }),
            "config.json: \"o.l\" is an array of 3, expected an array of more than 3");
  EXPECT_EQ(error_of([&] { field.array(); }), "config.json: the document is an object of 4, expected an array");
}

}  // namespace
}  // namespace minimax::io
