// Random JSON schemas for tests: every keyword that grammars know, in small pieces, mostly satisfiable.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "core/error.h"

namespace minimax::test {

class RandomSchema {
 public:
  explicit RandomSchema(uint32_t seed) : random_(seed) {}

  std::string schema() {
    const std::string definitions =
        cat("\"$defs\":{\"tree\":", object(2), ",\"leaf\":", chance(50) ? array(3) : string(), "}");
    std::string root = value(0);
    if (root == "true") return "{" + definitions + "}";
    return root.insert(1, definitions + (root == "{}" ? "" : ","));
  }

 private:
  int below(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }
  bool chance(int percent) { return below(100) < percent; }
  std::string pick(const std::vector<std::string>& from) {
    return from[static_cast<size_t>(below(static_cast<int>(from.size())))];
  }

  std::string value(int depth) {
    const int kind = below(depth < 3 ? 17 : 9);
    if (kind < 2) return string();
    if (kind < 4) return number();
    if (kind == 4) return R"({"type":"boolean"})";
    if (kind == 5)
      return pick({R"({"type":"null"})", R"({"enum":["red","green","a\"b",1,2.5,null]})", R"({"const":"x y"})",
                   R"({"type":["string","null"],"maxLength":4})", R"({"enum":[{"a":[1]},[],true]})"});
    if (kind == 6) return chance(50) ? "{\"$ref\":\"#/$defs/leaf\"}" : "{\"$ref\":\"#/$defs/tree\"}";
    if (kind == 7) return chance(30) ? "true" : R"({"type":["integer","string"],"minimum":3,"minLength":2})";
    if (kind == 8) return string();
    if (kind < 12) return object(depth + 1);
    if (kind < 14) return array(depth + 1);
    if (kind == 14) return cat("{\"anyOf\":[", value(depth + 1), ",", value(depth + 1), "]}");
    if (kind == 15) return cat("{\"allOf\":[", object(depth + 1), ",", object(depth + 1), "]}");
    return cat(R"({"oneOf":[{"type":"object","properties":{"k":{"const":"a"},"v":)", value(depth + 1),
               R"(},"required":["k"]},{"type":"object","properties":{"k":{"const":"b"}},"required":["k"]},)", string(),
               "]}");
  }

  std::string string() {
    std::string out = "{\"type\":\"string\"";
    const int least = below(4);
    if (chance(30)) out += cat(",\"minLength\":", least);
    if (chance(30)) out += cat(",\"maxLength\":", least + below(6));
    if (chance(25))
      out += ",\"pattern\":\"" +
             pick({"^[a-z]+$", "b", "^a|z$", "^(ab|cd)*$", "[0-9]{2}", "^[^a]*$", "\\\\.$", "^\\\\w+@\\\\w+$",
                   "^.?\\u00e9"}) +
             "\"";
    else if (chance(15))
      out += ",\"format\":\"" + pick({"date", "time", "date-time", "uuid", "ipv4", "duration"}) + "\"";
    return out + "}";
  }

  std::string number() {
    const bool integer = chance(50);
    std::string out = integer ? "{\"type\":\"integer\"" : "{\"type\":\"number\"";
    const int least = below(400) - 200;
    const char* const fraction = integer || chance(50) ? "" : ".25";
    if (chance(40)) out += cat(chance(50) ? ",\"minimum\":" : ",\"exclusiveMinimum\":", least, fraction);
    if (chance(40))
      out += cat(chance(50) ? ",\"maximum\":" : ",\"exclusiveMaximum\":", least + 1 + below(300), fraction);
    if (chance(15)) out += cat(",\"multipleOf\":", integer ? pick({"1", "3", "7"}) : pick({"0.5", "0.25", "0.1"}));
    return out + "}";
  }

  std::string array(int depth) {
    std::string out = "{\"type\":\"array\"";
    const int least = below(3);
    if (chance(40)) out += cat(",\"minItems\":", least);
    if (chance(40)) out += cat(",\"maxItems\":", least + below(3));
    if (chance(30)) out += cat(",\"prefixItems\":[", value(depth + 1), ",", value(depth + 1), "]");
    if (chance(80)) out += cat(",\"items\":", value(depth + 1));
    return out + "}";
  }

  std::string object(int depth) {
    static const std::vector<std::string> kNames{"name", "id", "a", "b", "x_1", "caf\\u00e9", "with \\\"quote\\\"", ""};
    std::string properties, required;
    for (const std::string& name : kNames) {
      if (!chance(30)) continue;
      properties += cat(properties.empty() ? "" : ",", "\"", name, "\":", depth < 3 ? value(depth + 1) : string());
      if (chance(50)) required += cat(required.empty() ? "" : ",", "\"", name, "\"");
    }
    std::string out = "{\"type\":\"object\"";
    if (chance(90)) out += ",\"properties\":{" + properties + "}";
    if (!required.empty()) out += ",\"required\":[" + required + "]";
    const int more = below(10);
    if (more < 3) out += ",\"additionalProperties\":false";
    if (more == 3) out += ",\"additionalProperties\":" + number();
    if (more == 4) out += R"(,"patternProperties":{"^x_":{"type":"integer"},"[0-9]$":true})";
    if (more == 5) out += R"(,"propertyNames":{"maxLength":4},"additionalProperties":{"type":"null"})";
    if (chance(10)) out += ",\"minProperties\":1";
    if (chance(10)) out += ",\"maxProperties\":2";
    return out + "}";
  }

  std::mt19937 random_;
};

}  // namespace minimax::test
