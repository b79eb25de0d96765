#include "train/recipe_table.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "core/error.h"
#include "io/file.h"

namespace minimax::train {
namespace {

/// Letters to change, add or take away, for suggestions.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j)
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])}));
  }
  return row.back();
}

std::string shown(const toml::node& node) {
  std::ostringstream out;
  out << toml::node_view<const toml::node>(node);
  std::string text = out.str();
  return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

}  // namespace

RecipeTable::RecipeTable(const toml::table& table, std::string file, std::string path)
    : table_(&table), file_(std::move(file)), path_(std::move(path)) {}

std::string RecipeTable::name_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : cat(path_, ".", key);
}

const toml::node* RecipeTable::find(std::string_view key) {
  asked_.emplace(key);
  return table_->get(key);
}

void RecipeTable::fail(std::string_view key, const std::string& problem) const {
  const toml::node* node = table_->get(key);
  throw Error(ErrorKind::kInvalidArgument,
              cat(file_, ":", node ? node->source().begin.line : table_->source().begin.line, ": \"", name_of(key),
                  "\" ", problem));
}

void RecipeTable::fail(const std::string& problem) const {
  throw Error(ErrorKind::kInvalidArgument,
              cat(file_, ":", table_->source().begin.line, ": ", path_.empty() ? "" : "[" + path_ + "] ", problem));
}

void RecipeTable::wrong(std::string_view key, const toml::node& node, const std::string& expected) const {
  fail(key, cat("is ", shown(node), ", expected ", expected));
}

std::optional<std::string> RecipeTable::text(std::string_view key) {
  const toml::node* node = find(key);
  if (!node) return std::nullopt;
  if (const auto value = node->value_exact<std::string>()) return value;
  wrong(key, *node, "a text");
}

std::optional<int64_t> RecipeTable::integer(std::string_view key, int64_t least, int64_t most) {
  const toml::node* node = find(key);
  if (!node) return std::nullopt;
  if (const auto value = node->value_exact<int64_t>(); value && *value >= least && *value <= most) return value;
  wrong(key, *node, cat("a whole number from ", least, " to ", most));
}

std::optional<double> RecipeTable::number(std::string_view key, double least, double most) {
  const toml::node* node = find(key);
  if (!node) return std::nullopt;
  if (node->is_number())
    if (const auto value = node->value<double>(); value && *value >= least && *value <= most) return value;
  wrong(key, *node, cat("a number from ", least, " to ", most));
}

std::optional<bool> RecipeTable::boolean(std::string_view key) {
  const toml::node* node = find(key);
  if (!node) return std::nullopt;
  if (const auto value = node->value_exact<bool>()) return value;
  wrong(key, *node, "true or false");
}

std::optional<std::string> RecipeTable::choice(std::string_view key, const std::vector<std::string>& words) {
  const toml::node* node = find(key);
  if (!node) return std::nullopt;
  const auto value = node->value_exact<std::string>();
  if (value && std::find(words.begin(), words.end(), *value) != words.end()) return value;
  std::string list;
  for (const std::string& word : words) list += (list.empty() ? "" : ", ") + word;
  wrong(key, *node, "one of " + list);
}

RecipeTable RecipeTable::table(std::string_view key) {
  static const toml::table kEmpty;
  const toml::node* node = find(key);
  if (!node) return {kEmpty, file_, name_of(key)};
  if (!node->is_table()) wrong(key, *node, cat("a table: [", name_of(key), "]"));
  return {*node->as_table(), file_, name_of(key)};
}

std::vector<RecipeTable> RecipeTable::tables(std::string_view key) {
  std::vector<RecipeTable> out;
  const toml::node* node = find(key);
  if (!node) return out;
  if (!node->is_array_of_tables()) wrong(key, *node, cat("tables: [[", name_of(key), "]]"));
  for (const toml::node& entry : *node->as_array())
    out.push_back({*entry.as_table(), file_, cat(name_of(key), "[", out.size(), "]")});
  return out;
}

void RecipeTable::done() const {
  for (const auto& [key, node] : *table_) {
    if (asked_.contains(key.str())) continue;
    std::string_view nearest;
    size_t best = 1 + key.str().size() / 3;
    for (const std::string& known : asked_)
      if (const size_t distance = edit_distance(key.str(), known); distance <= best) {
        nearest = known;
        best = distance - (distance > 0);
      }
    fail(key.str(), cat("is unknown", nearest.empty() ? "" : cat("; did you mean \"", nearest, "\"?")));
  }
}

toml::table read_toml(const std::string& file) {
  try {
    return toml::parse(io::read_file(file), file);
  } catch (const toml::parse_error& error) {
    throw Error(ErrorKind::kInvalidArgument, cat(file, ":", error.source().begin.line, ": ", error.description()));
  }
}

}  // namespace minimax::train
