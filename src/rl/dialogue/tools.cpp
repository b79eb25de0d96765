#include "rl/dialogue/tools.h"

#include <algorithm>

#include "core/error.h"
#include "rl/answer.h"
#include "rl/rational.h"

namespace minimax::rl {
namespace {

constexpr size_t kMostEntries = 1000;

struct Tool {
  std::string_view name, description, properties;  // of its parameters, JSON
  std::vector<std::string_view> required;
};

const std::vector<Tool>& catalogue() {
  static const std::vector<Tool> tools = {
      {"calculator",
       "Value of an arithmetic expression of whole numbers, + - * / and parentheses.",
       R"({"expression": {"type": "string"}})",
       {"expression"}},
      {"convert",
       "Converts a whole number from one unit to another: mm, cm, m, km, g, kg, t, s, min, h, d.",
       R"({"value": {"type": "integer"}, "from": {"type": "string"}, "to": {"type": "string"}})",
       {"value", "from", "to"}},
      {"get", "Reads what is stored under a key.", R"({"key": {"type": "string"}})", {"key"}},
      {"set",
       "Stores a text under a key.",
       R"({"key": {"type": "string"}, "value": {"type": "string"}})",
       {"key", "value"}},
      {"remove", "Forgets a key.", R"({"key": {"type": "string"}})", {"key"}},
      {"add_event",
       "Adds an event to the calendar, unless the time is taken. Date as 2024-05-31, time as 14:30.",
       R"({"title": {"type": "string"}, "date": {"type": "string"}, "time": {"type": "string"}, "minutes": {"type": "integer"}})",
       {"title", "date", "time", "minutes"}},
      {"list_events", "The events of a day.", R"({"date": {"type": "string"}})", {"date"}},
  };
  return tools;
}

struct Unit {
  std::string_view name;
  char kind;
  int64_t size;  // in the smallest unit of its kind
};
constexpr Unit kUnits[] = {{"mm", 'l', 1},   {"cm", 'l', 10},   {"m", 'l', 1000},    {"km", 'l', 1000000},
                           {"g", 'm', 1},    {"kg", 'm', 1000}, {"t", 'm', 1000000}, {"s", 't', 1},
                           {"min", 't', 60}, {"h", 't', 3600},  {"d", 't', 86400}};

const Unit* find_unit(std::string_view name) {
  for (const Unit& unit : kUnits)
    if (unit.name == name) return &unit;
  return nullptr;
}

io::json::value text_of(const Rational& x) {
  if (x.denominator == 1) return x.numerator;
  return io::json::value(cat(x.numerator, "/", x.denominator));
}

std::optional<int64_t> two_digits(std::string_view text, int64_t most) {
  if (text.size() != 2 || text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9') return std::nullopt;
  const int64_t value = (text[0] - '0') * 10 + (text[1] - '0');
  return value <= most ? std::optional(value) : std::nullopt;
}

std::optional<int64_t> minutes_of(std::string_view time) {
  if (time.size() != 5 || time[2] != ':') return std::nullopt;
  const auto hours = two_digits(time.substr(0, 2), 23), minutes = two_digits(time.substr(3), 59);
  if (!hours || !minutes) return std::nullopt;
  return *hours * 60 + *minutes;
}

bool is_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  const auto month = two_digits(text.substr(5, 2), 12), day = two_digits(text.substr(8), 31);
  return two_digits(text.substr(0, 2), 99) && two_digits(text.substr(2, 2), 99) && month && *month > 0 && day &&
         *day > 0;
}

std::string time_of(int64_t minutes) {
  const auto padded = [](int64_t n) { return cat(n < 10 ? "0" : "", n); };
  return cat(padded(minutes / 60), ":", padded(minutes % 60));
}

// For the model: what it did wrong.
[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorKind::kInvalidArgument, why);
}

}  // namespace

ToolWorld::ToolWorld(const io::json::object& state) {
  const io::json::value root(state);
  const io::JsonField field(root, "world");
  if (const io::JsonField store = field["store"]; store.has_value())
    for (const auto& [key, value] : store.object()) store_.emplace_back(key, store[key].string());
  std::sort(store_.begin(), store_.end());
  const io::JsonField events = field["events"];
  for (int64_t at = 0; events.has_value() && at < events.size(); ++at) add_event(events[at]);
}

io::json::object ToolWorld::state() const {
  io::json::object store;
  for (const auto& [key, value] : store_) store[key] = value;
  io::json::array events;
  for (const Event& event : events_)
    events.push_back(io::json::object{
        {"title", event.title}, {"date", event.date}, {"time", time_of(event.begin)}, {"minutes", event.minutes}});
  io::json::object out;
  out["store"] = std::move(store);
  out["events"] = std::move(events);
  return out;
}

std::string ToolWorld::call(std::string_view name, std::string_view arguments) {
  try {
    const io::json::value root = io::parse_json(arguments, "arguments", {.max_bytes = 65536, .max_depth = 8});
    return io::write_json(io::json::object{{"result", run(name, io::JsonField(root, "arguments"))}},
                          io::JsonStyle::kPython);
  } catch (const Error& error) {
    return io::write_json(io::json::object{{"error", error.what()}}, io::JsonStyle::kPython);
  }
}

io::json::value ToolWorld::run(std::string_view name, const io::JsonField& arguments) {
  const auto entry = [&](std::string_view key) {
    return std::find_if(store_.begin(), store_.end(), [&](const auto& pair) { return pair.first == key; });
  };
  if (name == "calculator") {
    const std::string_view expression = arguments["expression"].string();
    const auto value = expression.size() <= 256 ? evaluate(expression) : std::nullopt;
    if (!value) refuse("not an expression of whole numbers, + - * / and parentheses");
    return text_of(value->value);
  }
  if (name == "convert") {
    const Unit *from = find_unit(arguments["from"].string()), *to = find_unit(arguments["to"].string());
    if (!from || !to || from->kind != to->kind) refuse("no such conversion");
    const int64_t value = arguments["value"].integer(-1'000'000'000, 1'000'000'000);
    return text_of(*make_rational(__int128{value} * from->size, to->size));
  }
  if (name == "get") {
    const auto at = entry(arguments["key"].string());
    if (at == store_.end()) refuse("nothing is stored under this key");
    return io::json::value(at->second);
  }
  if (name == "set") {
    const std::string key(arguments["key"].string()), value(arguments["value"].string());
    const auto at = entry(key);
    if (at != store_.end())
      at->second = value;
    else if (store_.size() >= kMostEntries)
      refuse("the store is full");
    else
      store_.insert(std::upper_bound(store_.begin(), store_.end(), std::pair(key, value)), {key, value});
    return io::json::value("stored");
  }
  if (name == "remove") {
    const auto at = entry(arguments["key"].string());
    if (at == store_.end()) refuse("nothing is stored under this key");
    store_.erase(at);
    return io::json::value("removed");
  }
  if (name == "add_event") return add_event(arguments);
  if (name == "list_events") {
    if (!is_date(arguments["date"].string())) refuse("the date is not like 2024-05-31");
    return list_events(arguments["date"].string());
  }
  refuse("there is no such tool");
}

io::json::value ToolWorld::add_event(const io::JsonField& arguments) {
  Event event{.date = std::string(arguments["date"].string()), .title = std::string(arguments["title"].string())};
  const auto begin = minutes_of(arguments["time"].string());
  if (!is_date(event.date)) refuse("the date is not like 2024-05-31");
  if (!begin) refuse("the time is not like 14:30");
  event.begin = *begin;
  event.minutes = arguments["minutes"].integer(1, 1440);
  if (events_.size() >= kMostEntries) refuse("the calendar is full");
  for (const Event& other : events_)
    if (other.date == event.date && other.begin < event.begin + event.minutes &&
        event.begin < other.begin + other.minutes)
      refuse(cat("taken by ", other.title, " at ", time_of(other.begin)));
  const auto before = [](const Event& a, const Event& b) {
    return std::tie(a.date, a.begin) < std::tie(b.date, b.begin);
  };
  events_.insert(std::upper_bound(events_.begin(), events_.end(), event, before), event);
  return io::json::value("added");
}

io::json::value ToolWorld::list_events(std::string_view date) const {
  io::json::array out;
  for (const Event& event : events_)
    if (event.date == date)
      out.push_back(io::json::value(cat(time_of(event.begin), " ", event.title, " ", event.minutes, " min")));
  return out;
}

std::vector<text::ToolDefinition> tool_definitions(const std::vector<std::string>& names) {
  std::vector<text::ToolDefinition> out;
  for (const Tool& tool : catalogue()) {
    if (!names.empty() && std::find(names.begin(), names.end(), tool.name) == names.end()) continue;
    io::json::array required;
    for (const std::string_view name : tool.required) required.push_back(io::json::value(name));
    const io::json::object parameters{{"type", "object"},
                                      {"properties", io::parse_json(tool.properties, tool.name)},
                                      {"required", std::move(required)}};
    out.push_back({std::string(tool.name), io::write_json(io::json::object{{"name", tool.name},
                                                                           {"description", tool.description},
                                                                           {"parameters", parameters}},
                                                          io::JsonStyle::kPython)});
  }
  return out;
}

}  // namespace minimax::rl
