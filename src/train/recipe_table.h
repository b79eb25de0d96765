// RecipeTable: one table of a TOML recipe, whose every key must be known.
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace minimax::train {

/// Keys are asked for by name; done() then refuses those that nobody asked for. Errors are kInvalidArgument and name
/// file, line, key, value found and value expected. The TOML must outlive it.
class RecipeTable {
 public:
  /// `path` of the table within the recipe: "" for the root, "model", "data[1]".
  RecipeTable(const toml::table& table, std::string file, std::string path);

  std::optional<std::string> text(std::string_view key);
  std::optional<int64_t> integer(std::string_view key, int64_t least = std::numeric_limits<int64_t>::min(),
                                 int64_t most = std::numeric_limits<int64_t>::max());
  std::optional<double> number(std::string_view key, double least = std::numeric_limits<double>::lowest(),
                               double most = std::numeric_limits<double>::max());
  std::optional<bool> boolean(std::string_view key);
  /// One of a few words.
  std::optional<std::string> choice(std::string_view key, const std::vector<std::string>& words);
  /// A table, or an empty one (whose done() has nothing to refuse) when the key is absent.
  RecipeTable table(std::string_view key);
  /// [[key]], each in its order; empty when absent.
  std::vector<RecipeTable> tables(std::string_view key);

  /// Throws for the first key that was not asked for, with the nearest that may have been meant.
  void done() const;

  bool has(std::string_view key) const { return table_->contains(key); }
  /// Throws for `key`, which is there: FILE:LINE: "PATH.KEY" PROBLEM.
  [[noreturn]] void fail(std::string_view key, const std::string& problem) const;
  /// The same for the table itself.
  [[noreturn]] void fail(const std::string& problem) const;

 private:
  const toml::node* find(std::string_view key);
  std::string name_of(std::string_view key) const;
  [[noreturn]] void wrong(std::string_view key, const toml::node& node, const std::string& expected) const;

  const toml::table* table_;
  std::string file_, path_;
  std::set<std::string, std::less<>> asked_;
};

/// The TOML of a file. Throws kNotFound, kIo, and kInvalidArgument with file and line for what is no TOML.
toml::table read_toml(const std::string& file);

}  // namespace minimax::train
