#include "rl/maths/maths_answer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <functional>
#include <vector>

#include "rl/answer.h"
#include "rl/maths/expression.h"

namespace minimax::rl {
namespace {

constexpr std::string_view kUnits[] = {
    "degrees", "degree", "deg",   "inches", "inch",     "feet",    "foot",    "ft",     "yards",   "yard",    "miles",
    "mile",    "mph",    "cm",    "mm",     "km",       "meters",  "meter",   "metres", "metre",   "units",   "unit",
    "dollars", "dollar", "cents", "cent",   "hours",    "hour",    "minutes", "minute", "seconds", "second",  "days",
    "day",     "weeks",  "week",  "months", "month",    "years",   "year",    "points", "point",   "kg",      "grams",
    "gram",    "pounds", "pound", "people", "students", "percent", "square",  "cubic",  "sq",      "radians", "miles"};

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Removes a command that is a word of its own: \left but not \leftarrow.
void remove_command(std::string& text, std::string_view command, std::string_view with = "") {
  for (size_t at = text.find(command); at != std::string::npos; at = text.find(command, at)) {
    const size_t end = at + command.size();
    if (end < text.size() && is_letter(text[end]))
      at = end;
    else
      text.replace(at, command.size(), with), at += with.size();
  }
}

size_t group_end(std::string_view text, size_t open) {
  int64_t depth = 0;
  for (size_t at = open; at < text.size(); ++at) {
    if (text[at] == '{') ++depth;
    if (text[at] == '}' && --depth == 0) return at;
  }
  return std::string_view::npos;
}

// \text{...}, \mbox{...}, \textbf{...}: alone it is what is inside; after something it is a unit, with its power.
void open_text(std::string& text) {
  for (const std::string_view command : {"\\text", "\\mbox", "\\textbf", "\\textit", "\\mathrm", "\\mathbf", "\\rm"}) {
    for (size_t at = text.find(command); at != std::string::npos; at = text.find(command, at)) {
      size_t open = at + command.size();
      while (open < text.size() && text[open] == ' ') ++open;
      const size_t close = open < text.size() && text[open] == '{' ? group_end(text, open) : std::string::npos;
      if (close == std::string::npos) {
        at += command.size();
        continue;
      }
      const std::string inside = text.substr(open + 1, close - open - 1);
      size_t end = close + 1;
      if (trim(std::string_view(text).substr(0, at)).empty() || inside == " and " || inside == "and") {
        text.replace(at, end - at, inside == " and " || inside == "and" ? "," : inside);
        continue;
      }
      if (end < text.size() && text[end] == '^') {
        ++end;
        const size_t power = end < text.size() && text[end] == '{' ? group_end(text, end) : end;
        end = power == std::string::npos ? text.size() : std::min(power + 1, text.size());
      }
      text.erase(at, end - at);
    }
  }
}

// A unit in words behind a number: "8 cm", "3 square inches".
void drop_units(std::string& text) {
  for (bool dropped = true; dropped;) {
    dropped = false;
    const std::string_view rest = trim(text);
    if (rest.empty()) return;
    std::string_view word = rest;
    size_t begin = word.size();
    // "cm^2" too
    if (begin > 2 && word[begin - 2] == '^' && is_digit(word[begin - 1])) begin -= 2;
    const size_t end = begin;
    while (begin > 0 && is_letter(word[begin - 1])) --begin;
    if (begin == 0 || begin == end) return;
    std::string lower(word.substr(begin, end - begin));
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const char before = trim(word.substr(0, begin)).empty() ? '\0' : trim(word.substr(0, begin)).back();
    if (word[begin - 1] != '\\' && (is_digit(before) || before == '}' || before == ')' || is_letter(before)) &&
        std::find(std::begin(kUnits), std::end(kUnits), lower) != std::end(kUnits)) {
      text = std::string(trim(word.substr(0, begin)));
      dropped = true;
    }
  }
}

// 1,234,567 and 10,\!080: commas between groups of three digits of one number. In brackets a comma parts elements.
std::string drop_thousands(const std::string& text) {
  std::string out;
  int64_t depth = 0;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '(' || text[at] == '[' || text[at] == '{') ++depth;
    if (text[at] == ')' || text[at] == ']' || text[at] == '}') --depth;
    if (!is_digit(text[at]) || depth > 0) {
      out += text[at++];
      continue;
    }
    size_t end = at;
    while (end < text.size() && is_digit(text[end])) ++end;
    std::string number = text.substr(at, end - at);
    if (end - at <= 3) {
      size_t next = end;
      std::string whole = number;
      while (next + 3 < text.size() && text[next] == ',' && is_digit(text[next + 1]) && is_digit(text[next + 2]) &&
             is_digit(text[next + 3]) && (next + 4 >= text.size() || !is_digit(text[next + 4]))) {
        whole += text.substr(next + 1, 3);
        next += 4;
      }
      number = whole;
      end = next;
    }
    out += number;
    at = end;
  }
  return out;
}

bool enclosed_in_group(std::string_view text) {
  return text.size() >= 2 && text.front() == '{' && group_end(text, 0) == text.size() - 1;
}

// Lower case, blanks only where they part letters or digits.
std::string squeezed(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (!std::isspace(c)) {
      out += static_cast<char>(std::tolower(c));
      continue;
    }
    while (at + 1 < text.size() && std::isspace(static_cast<unsigned char>(text[at + 1]))) ++at;
    if (!out.empty() && at + 1 < text.size() && std::isalnum(static_cast<unsigned char>(out.back())) &&
        std::isalnum(static_cast<unsigned char>(text[at + 1])))
      out += ' ';
  }
  return out;
}

// Pieces between separators that stand in no bracket.
std::vector<std::string> split_top(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  int64_t depth = 0;
  size_t begin = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '(' || c == '[' || c == '{') ++depth;
    if (c == ')' || c == ']' || c == '}') --depth;
    if (depth <= 0 && text.substr(at).starts_with(separator)) {
      parts.emplace_back(trim(text.substr(begin, at - begin)));
      begin = at + separator.size();
      at = begin - 1;
    }
  }
  parts.emplace_back(trim(text.substr(begin)));
  return parts;
}

struct List {
  char open = 0, close = 0;  // 0: bare; { }: a set
  std::vector<std::string> items;
};

// (a, b), [a, b), {a, b}, \{a, b\} and a, b. Nothing when there is no comma at the top.
std::optional<List> parse_list(std::string_view text) {
  List list;
  std::string_view inside = text;
  if (text.starts_with("\\{") && text.ends_with("\\}")) {
    inside = text.substr(2, text.size() - 4);
    list.open = '{', list.close = '}';
  } else if (text.size() >= 2 && (text.front() == '(' || text.front() == '[') &&
             (text.back() == ')' || text.back() == ']')) {
    // The last bracket must close the first: not (1,2),(3,4).
    int64_t depth = 0;
    size_t closes = 0;
    for (size_t at = 0; at < text.size() && closes == 0; ++at) {
      if (text[at] == '(' || text[at] == '[') ++depth;
      if ((text[at] == ')' || text[at] == ']') && --depth == 0) closes = at;
    }
    if (closes == text.size() - 1) {
      inside = text.substr(1, text.size() - 2);
      list.open = text.front(), list.close = text.back();
    }
  }
  list.items = split_top(inside, ",");
  if (list.items.size() < 2 && list.open != '{') return std::nullopt;
  return list;
}

struct Matrix {
  std::vector<std::vector<std::string>> rows;
};

std::optional<Matrix> parse_matrix(std::string_view text) {
  for (const std::string_view kind : {"pmatrix", "bmatrix", "matrix"}) {
    const std::string begin = "\\begin{" + std::string(kind) + "}", end = "\\end{" + std::string(kind) + "}";
    if (!text.starts_with(begin) || !text.ends_with(end) || text.size() < begin.size() + end.size()) continue;
    Matrix matrix;
    for (const std::string& row : split_top(text.substr(begin.size(), text.size() - begin.size() - end.size()), "\\\\"))
      if (!row.empty()) matrix.rows.push_back(split_top(row, "&"));
    return matrix;
  }
  return std::nullopt;
}

class Comparison {
 public:
  explicit Comparison(const MathsRules& rules) : rules_(rules) {}

  bool same(std::string_view a, std::string_view b) {
    a = trim(a), b = trim(b);
    if (a.empty() || b.empty() || ++depth_ > 6) return false;
    const bool equal = compare(a, b);
    --depth_;
    return equal;
  }

 private:
  bool compare(std::string_view a, std::string_view b) {
    if (squeezed(a) == squeezed(b)) return true;
    if (const auto left = parse_matrix(a), right = parse_matrix(b); left || right)
      return left && right && same_matrix(*left, *right);
    if (a.find("\\cup") != a.npos || b.find("\\cup") != b.npos)
      return same_set(split_top(a, "\\cup"), split_top(b, "\\cup"));
    if (const bool equal = a.find('=') != a.npos, other = b.find('=') != b.npos; equal || other)
      return same_equation(a, b, equal, other);
    if (a.find("_") != a.npos && b.find("_") != b.npos && in_base(a) && in_base(b)) return false;  // texts differ
    const auto left = parse_list(a), right = parse_list(b);
    if (left || right) return same_list(a, b, left, right);
    return same_expression(a, b);
  }

  static bool in_base(std::string_view text) {
    const size_t mark = text.find('_');
    return std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(mark),
                       [](char c) { return is_digit(c) || (c >= 'A' && c <= 'Z'); });
  }

  bool same_expression(std::string_view a, std::string_view b) {
    const auto left = Expression::parse(a), right = Expression::parse(b);
    if (!left || !right) return false;
    if (left->has_plus_minus() || right->has_plus_minus()) return same_set(signs(a, *left), signs(b, *right));
    return same_value(*left, *right);
  }

  bool same_value(const Expression& a, const Expression& b) const {
    if (same_function(a, b)) return true;
    if (rules_.decimals && a.variables().empty() && b.variables().empty()) {
      const auto x = a.approximate({}), y = b.approximate({});
      if (x && y && std::abs(*x - *y) <= 0.5L * std::pow(10.0L, static_cast<long double>(-*rules_.decimals)))
        return true;
    }
    return false;
  }

  // An expression with \pm is its two values; the marker +/- in front of the text says which one is meant.
  static std::vector<std::string> signs(std::string_view text, const Expression& expression) {
    if (!expression.has_plus_minus()) return {std::string(text)};
    return {"\x01+" + std::string(text), "\x01-" + std::string(text)};
  }
  static std::optional<Expression> parse_signed(std::string_view text) {
    if (!text.starts_with('\x01')) return Expression::parse(text);
    return Expression::parse(text.substr(2), text[1] == '+' ? 1 : -1);
  }

  std::vector<std::string> expanded(const std::vector<std::string>& items) const {
    std::vector<std::string> out;
    for (const std::string& item : items) {
      const auto expression = Expression::parse(item);
      const auto both = expression ? signs(item, *expression) : std::vector<std::string>{item};
      out.insert(out.end(), both.begin(), both.end());
    }
    return out;
  }

  static bool mentions_plus_minus(const std::vector<std::string>& items) {
    return std::any_of(items.begin(), items.end(),
                       [](const std::string& item) { return item.find("\\pm") != item.npos; });
  }

  bool same_list(std::string_view a, std::string_view b, const std::optional<List>& left,
                 const std::optional<List>& right) {
    // {a} against a list of one, a \pm against a bare list of two.
    const List alone_a{.items = {std::string(a)}}, alone_b{.items = {std::string(b)}};
    const List &x = left ? *left : alone_a, &y = right ? *right : alone_b;
    const bool set_x = x.open == '{', set_y = y.open == '{';
    if (mentions_plus_minus(x.items) || mentions_plus_minus(y.items)) {
      const bool brackets = (x.open != 0 && !set_x) || (y.open != 0 && !set_y);
      return !brackets && same_set(expanded(x.items), expanded(y.items));
    }
    if (!left || !right)
      return set_x && x.items.size() == 1 ? same(x.items[0], b) : set_y && y.items.size() == 1 && same(a, y.items[0]);
    if (set_x != set_y) return false;
    if (set_x) return same_set(x.items, y.items);
    if (x.open != y.open || x.close != y.close || x.items.size() != y.items.size()) return false;
    for (size_t item = 0; item < x.items.size(); ++item)
      if (!same_item(x.items[item], y.items[item])) return false;
    return true;
  }

  bool same_item(const std::string& a, const std::string& b) {
    if (!a.starts_with('\x01') && !b.starts_with('\x01')) return same(a, b);
    const auto x = parse_signed(a), y = parse_signed(b);
    return x && y && same_value(*x, *y);
  }

  // Each of one has its own partner in the other; at most 16, so that the search stays small (greedy is enough, since
  // being the same is transitive).
  bool same_set(const std::vector<std::string>& a, const std::vector<std::string>& b) {
    if (a.size() != b.size() || a.size() > 16) return false;
    std::vector<bool> taken(b.size());
    for (const std::string& item : a) {
      size_t partner = 0;
      while (partner < b.size() && (taken[partner] || !same_item(item, b[partner]))) ++partner;
      if (partner == b.size()) return false;
      taken[partner] = true;
    }
    return true;
  }

  bool same_matrix(const Matrix& a, const Matrix& b) {
    if (a.rows.size() != b.rows.size()) return false;
    for (size_t row = 0; row < a.rows.size(); ++row) {
      if (a.rows[row].size() != b.rows[row].size()) return false;
      for (size_t column = 0; column < a.rows[row].size(); ++column)
        if (!same(a.rows[row][column], b.rows[row][column])) return false;
    }
    return true;
  }

  bool same_equation(std::string_view a, std::string_view b, bool equation_a, bool equation_b) {
    if (equation_a && equation_b) {
      const auto x = split_top(a, "="), y = split_top(b, "=");
      if (x.size() != 2 || y.size() != 2) return false;
      if (x[0] == y[0]) return same(x[1], y[1]);  // f(x) = ..., x = a list
      const auto xl = Expression::parse(x[0]), xr = Expression::parse(x[1]);
      const auto yl = Expression::parse(y[0]), yr = Expression::parse(y[1]);
      return xl && xr && yl && yr && same_up_to_factor(*xl, *xr, *yl, *yr);
    }
    // "x = 5" against "5".
    const auto sides = split_top(equation_a ? a : b, "=");
    const std::string_view other = equation_a ? b : a;
    if (sides.size() != 2 || sides[0].empty() || !is_letter(sides[0][0]) || sides[0].size() > 4) return false;
    return sides[1].find(sides[0][0]) == std::string::npos && same(sides[1], other);
  }

  const MathsRules& rules_;
  int depth_ = 0;
};

bool has_percent(std::string_view text) {
  return text.find('%') != text.npos;
}

}  // namespace

std::string normalize_maths(std::string_view raw) {
  std::string text(trim(raw));
  while (text.ends_with('.') && !text.ends_with("..")) text.pop_back();
  for (const std::string_view space : {"\\!", "\\,", "\\;", "\\:", "~"}) {
    // A thin space inside a number goes together with the blanks behind it: 11,\! 111
    replace_all(text, std::string(space) + " ", space);
    replace_all(text, space, space == "\\!" ? "" : " ");
  }
  for (size_t at = text.find("\\ "); at != std::string::npos; at = text.find("\\ ", at + 1))
    if (at == 0 || text[at - 1] != '\\') text.erase(at, 1);  // a blank, not the end of a matrix's row
  remove_command(text, "\\left");
  remove_command(text, "\\right");
  remove_command(text, "\\displaystyle");
  replace_all(text, "\\dfrac", "\\frac");
  replace_all(text, "\\tfrac", "\\frac");
  replace_all(text, "\\cfrac", "\\frac");
  replace_all(text, "−", "-");
  replace_all(text, "π", "\\pi ");
  replace_all(text, "√", "\\sqrt");
  replace_all(text, "∞", "\\infty");
  replace_all(text, "∪", "\\cup");
  replace_all(text, "±", "\\pm ");
  replace_all(text, "×", "\\times ");
  replace_all(text, "·", "\\cdot ");
  replace_all(text, "\\$", "");
  replace_all(text, "$", "");
  replace_all(text, "\\%", "");
  replace_all(text, "%", "");
  for (const std::string_view degree : {"^{\\circ}", "^\\circ", "^{\\degree}", "^\\degree", "\\degree", "°"})
    replace_all(text, degree, "");
  open_text(text);
  text = std::string(trim(text));
  drop_units(text);
  while (enclosed_in_group(text)) text = std::string(trim(std::string_view(text).substr(1, text.size() - 2)));
  text = drop_thousands(text);
  // x \in [0, 1]
  if (const size_t in = text.find("\\in"); in != std::string::npos && in <= 3 && !text.substr(in).starts_with("\\inf"))
    text = std::string(trim(std::string_view(text).substr(in + 3)));
  while (text.ends_with('.') && !text.ends_with("..")) text.pop_back();
  // 204_{5} and 204_5; (B) and B of multiple choice
  if (text.size() == 3 && text[0] == '(' && text[2] == ')' && text[1] >= 'A' && text[1] <= 'Z')
    text = text.substr(1, 1);
  if (const size_t mark = text.find("_{");
      mark != std::string::npos && text.ends_with('}') && mark > 0 && is_digit(text[mark - 1]))
    text = text.substr(0, mark) + "_" + text.substr(mark + 2, text.size() - mark - 3);
  return text;
}

bool same_maths(std::string_view a, std::string_view b, const MathsRules& rules) {
  if (a.size() > kMaxAnswer || b.size() > kMaxAnswer) return false;
  if (a.find('\x01') != a.npos || b.find('\x01') != b.npos) return false;  // our own mark of a sign
  const std::string x = normalize_maths(a), y = normalize_maths(b);
  if (Comparison(rules).same(x, y)) return true;
  if (!rules.percent_is_hundredth || has_percent(a) == has_percent(b)) return false;
  const std::string hundredth = "(" + (has_percent(a) ? x : y) + ")/100";
  return Comparison(rules).same(hundredth, has_percent(a) ? y : x);
}

Verdict check_maths(const io::json::object& gold, const io::json::object& params, std::string_view answer) {
  MathsRules rules;
  if (const auto* percent = params.if_contains("percent")) rules.percent_is_hundredth = percent->as_bool();
  if (const auto* decimals = params.if_contains("decimals")) rules.decimals = decimals->as_int64();
  const std::string_view want = gold.at("answer").as_string();
  return same_maths(answer, want, rules) ? Verdict{true, "correct"} : Verdict{false, "wrong_value"};
}

}  // namespace minimax::rl
