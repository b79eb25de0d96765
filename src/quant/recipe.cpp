#include "quant/recipe.h"

#include <algorithm>
#include <array>

#include "core/error.h"

namespace minimax::quant {
namespace {

constexpr std::array<std::pair<std::string_view, Role>, 5> kRoles = {{{"experts", Role::kExpert},
                                                                      {"attention", Role::kAttention},
                                                                      {"shared", Role::kShared},
                                                                      {"embedding", Role::kEmbedding},
                                                                      {"head", Role::kHead}}};
constexpr size_t kMostRules = 1000, kLongestRule = 500;

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

std::optional<Storage> storage_by_name(std::string_view word) {
  if (word == "keep") return Storage{};
  if (word == "bf16") return Storage{Storage::Kind::kBFloat16};
  if (const std::optional<Format> format = format_by_name(word)) return Storage{Storage::Kind::kQuantized, *format};
  return std::nullopt;
}

std::optional<Role> role_by_name(std::string_view word) {
  for (const auto& [text, role] : kRoles)
    if (text == word) return role;
  return std::nullopt;
}

std::regex compiled(std::string_view pattern, std::string_view what) {
  try {
    return std::regex(pattern.begin(), pattern.end(), std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error& error) {
    throw Error(ErrorKind::kInvalidArgument,
                cat(what, ": \"", pattern,
                    "\" is neither a role (experts, attention, shared, embedding, head) nor a "
                    "regular expression: ",
                    error.what()));
  }
}

}  // namespace

std::string_view name(Role role) {
  return kRoles[static_cast<size_t>(role)].first;
}

std::string_view name(const Storage& storage) {
  switch (storage.kind) {
    case Storage::Kind::kAsItIs:
      return "keep";
    case Storage::Kind::kBFloat16:
      return "bf16";
    default:
      return name(storage.format);
  }
}

void Recipe::add(std::string_view text, std::string_view what) {
  MM_CHECK(rules_.size() < kMostRules, what, ": more than ", kMostRules, " rules");
  MM_CHECK(text.size() <= kLongestRule, what, ": a rule of ", text.size(), " bytes, expected at most ", kLongestRule);
  const size_t equals = text.rfind('=');
  const std::string_view word = trimmed(equals == std::string_view::npos ? text : text.substr(equals + 1));
  const std::optional<Storage> storage = storage_by_name(word);
  MM_CHECK(storage, what, ": \"", word, "\" in \"", text,
           "\" is no format; expected q4, q5, q6, q8, mxfp4, experts-int8, bf16 or keep");
  text_ += (text_.empty() ? "" : ",") + std::string(text);
  if (equals != std::string_view::npos) {
    const std::string_view pattern = trimmed(text.substr(0, equals));
    MM_CHECK(!pattern.empty(), what, ": \"", text, "\" names no matrices");
    Rule rule{std::string(text), {}, {}, *storage};
    if (const std::optional<Role> role = role_by_name(pattern))
      rule.roles = {*role};
    else
      rule.pattern = compiled(pattern, what);
    rules_.push_back(std::move(rule));
    return;
  }
  std::vector<Role> roles{Role::kExpert, Role::kShared};
  std::vector<Role> vocabulary{Role::kEmbedding, Role::kHead};
  const bool experts_only = storage->quantized() && storage->format == Format::kExpertsInt8;
  if (!experts_only) roles.push_back(Role::kAttention);
  rules_.push_back({std::string(text), roles, {}, *storage});
  if (experts_only) return;
  const bool few_bits = storage->quantized() && code_bits(storage->format) < 8;
  rules_.push_back(
      {std::string(text), vocabulary, {}, few_bits ? Storage{Storage::Kind::kQuantized, Format::kQ8} : *storage});
}

Recipe Recipe::parse(std::string_view text, std::string_view what) {
  Recipe recipe;
  // In a file commas belong to regular expressions; on a command line they separate.
  const char separator = text.find('\n') == std::string_view::npos ? ',' : '\n';
  while (!text.empty()) {
    const size_t end = text.find(separator);
    std::string_view rule = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    rule = trimmed(rule.substr(0, rule.find('#')));
    if (!rule.empty()) recipe.add(rule, what);
  }
  MM_CHECK(!recipe.rules_.empty(), what, ": there is no rule; expected q4, or experts=q4,attention=q8");
  return recipe;
}

bool Recipe::fits(const Rule& rule, Role role, std::string_view name) {
  if (!rule.roles.empty()) return std::find(rule.roles.begin(), rule.roles.end(), role) != rule.roles.end();
  return std::regex_search(name.begin(), name.end(), rule.pattern);
}

Storage Recipe::choose(Role role, std::string_view name) const {
  const auto rule =
      std::find_if(rules_.rbegin(), rules_.rend(), [&](const Rule& each) { return fits(each, role, name); });
  if (rule == rules_.rend()) return {};
  const bool for_expert = role == Role::kExpert || role == Role::kShared;
  MM_CHECK(for_expert || !(rule->storage == Storage{Storage::Kind::kQuantized, Format::kExpertsInt8}), "\"", rule->text,
           "\" would store ", name, " as experts-int8, which is for experts; expected q8 there");
  return rule->storage;
}

std::vector<std::string> Recipe::idle_rules(const std::vector<std::pair<std::string, Role>>& matrices) const {
  std::vector<std::string> idle;
  for (const Rule& rule : rules_) {
    const bool bare = rule.text.find('=') == std::string::npos;
    const bool used = std::any_of(matrices.begin(), matrices.end(),
                                  [&](const auto& matrix) { return fits(rule, matrix.second, matrix.first); });
    if (!bare && !used) idle.push_back(rule.text);
  }
  return idle;
}

}  // namespace minimax::quant
