#include "server/api/utility_endpoints.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "io/json.h"
#include "server/openai/chat_request.h"
#include "server/openai/objects.h"

namespace minimax::server {
namespace {

namespace fs = std::filesystem;
namespace json = io::json;
using io::JsonField;

constexpr std::string_view kSessions = "/v1/sessions/";
constexpr std::string_view kExtension = ".session";

json::object session_object(const engine::SessionInfo& info, bool in_memory, bool saved) {
  return {{"id", info.name},     {"object", "session"},    {"tokens", info.tokens},
          {"bytes", info.bytes}, {"in_memory", in_memory}, {"saved", saved}};
}

// The name in /v1/sessions/NAME or /v1/sessions/NAME/ACTION.
std::string session_name(const Request& request, std::string& action) {
  const std::string rest = request.path.substr(kSessions.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  action = rest.substr(std::min(slash + 1, rest.size()));
  std::string name = rest.substr(0, slash);
  if (!is_session_name(name))
    throw ApiError(400, "a session's name has letters, digits, dots, dashes and underscores, at most 100", "session");
  return name;
}

}  // namespace

void tokenize(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const json::value body = read_body(*exchange, service);
  const JsonField root(body, "request");
  const text::Tokenizer& tokenizer = service.model.tokenizer;
  std::vector<int32_t> ids;
  if (root["messages"].has_value()) {
    ids = render(read_conversation(root), service.model).ids;
  } else {
    const JsonField text = root["content"].has_value() ? root["content"] : root["prompt"];
    const bool special = root["parse_special"].boolean_or(false);
    ids = special ? tokenizer.encode_with_special(text.string()) : tokenizer.encode(text.string());
  }
  json::array tokens;
  const bool pieces = root["with_pieces"].boolean_or(false);
  for (const int32_t id : ids) {
    if (pieces)
      tokens.emplace_back(json::object{{"id", id}, {"piece", token_text(tokenizer, id)}});
    else
      tokens.emplace_back(id);
  }
  respond_json(*exchange, json::object{{"tokens", std::move(tokens)},
                                       {"count", ids.size()},
                                       {"max_model_len", service.model.engine->max_tokens()}});
}

void detokenize(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const json::value body = read_body(*exchange, service);
  const JsonField root(body, "request");
  std::vector<int32_t> ids;
  for (const int64_t id : root["tokens"].integers(0, service.model.tokenizer.vocab_size() - 1))
    ids.push_back(static_cast<int32_t>(id));
  const std::string text = service.model.tokenizer.decode(ids, text::SpecialTokens::kKeep);
  respond_json(*exchange, json::object{{"content", text}, {"prompt", text}});
}

void apply_template(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const json::value body = read_body(*exchange, service);
  const RenderedPrompt prompt = render(read_conversation(JsonField(body, "request")), service.model);
  respond_json(*exchange, json::object{{"prompt", text::to_string(prompt.pieces)}});
}

void control(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const json::value body = read_body(*exchange, service);
  const JsonField root(body, "request");
  const std::string id(root["id"].string());
  const std::string_view action = root["action"].string();
  if (action != "reasoning_end" && action != "cancel") root["action"].fail("reasoning_end or cancel");
  // A client may read its first event an instant before the thread that started its request has entered it.
  std::vector<engine::RequestId> requests = service.running->find(id);
  for (int tries = 0; requests.empty() && tries < 50; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    requests = service.running->find(id);
  }
  if (requests.empty()) throw ApiError(404, "no request \"" + id + "\" is running", "id");
  bool known = false;
  for (const engine::RequestId request : requests) {
    if (action == "cancel") {
      service.model.engine->cancel(request);
      known = true;
    } else {
      known = service.model.engine->end_thinking(request) || known;
    }
  }
  if (!known) throw ApiError(404, "no request \"" + id + "\" is running", "id");
  respond_json(*exchange, json::object{{"id", id}, {"success", true}});
}

bool is_session_name(std::string_view name) {
  constexpr std::string_view kLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-";
  return !name.empty() && name.size() <= 100 && name[0] != '.' &&
         name.find_first_not_of(kLetters) == std::string_view::npos;
}

fs::path session_file(const Service& service, std::string_view name) {
  if (service.session_folder.empty())
    throw ApiError(400, "this server keeps no sessions in files (--session-folder)", "", "no_session_folder");
  return service.session_folder / (std::string(name) + std::string(kExtension));
}

namespace {

// What the engine says of a session's file, without the place where the server keeps it.
template <typename Work>
engine::SessionInfo with_file(const Service& service, const std::string& name, const Work& work) {
  const fs::path file = session_file(service, name);
  try {
    return work(file);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kNotFound && !fs::exists(file))
      throw ApiError(404, "there is no session \"" + name + "\" here, in memory or in a file", "session");
    std::string text = error.what();
    const std::string place = file.string();
    for (size_t at = text.find(place); at != std::string::npos; at = text.find(place))
      text.replace(at, place.size(), "session \"" + name + "\"");
    throw Error(error.kind(), text);
  }
}

}  // namespace

void list_sessions(Service& service, const std::shared_ptr<Exchange>& exchange) {
  std::map<std::string, json::object> found;
  for (const engine::SessionInfo& info : service.model.engine->sessions())
    found[info.name] = session_object(info, info.in_memory, false);
  std::error_code ignored;
  if (!service.session_folder.empty())
    for (const fs::directory_entry& entry : fs::directory_iterator(service.session_folder, ignored)) {
      if (entry.path().extension() != kExtension) continue;
      json::object& object = found[entry.path().stem().string()];
      if (object.empty())
        object = session_object(
            {.name = entry.path().stem().string(), .bytes = static_cast<int64_t>(entry.file_size(ignored))}, false,
            true);
      object["saved"] = true;
    }
  json::array data;
  for (auto& [name, object] : found) data.emplace_back(std::move(object));
  respond_json(*exchange, json::object{{"object", "list"}, {"data", std::move(data)}});
}

void change_session(Service& service, const std::shared_ptr<Exchange>& exchange) {
  std::string action;
  const std::string name = session_name(exchange->request(), action);
  engine::Engine& engine = *service.model.engine;
  if (action == "save")
    respond_json(
        *exchange,
        session_object(with_file(service, name, [&](const fs::path& file) { return engine.save_session(name, file); }),
                       true, true));
  else if (action == "restore")
    respond_json(*exchange, session_object(with_file(service, name,
                                                     [&](const fs::path& file) { return engine.load_session(file); }),
                                           true, true));
  else
    throw ApiError(404, "there is nothing at " + exchange->request().path + ", expected /save or /restore at its end");
}

void drop_session(Service& service, const std::shared_ptr<Exchange>& exchange) {
  std::string action;
  const std::string name = session_name(exchange->request(), action);
  bool known = service.model.engine->drop_session(name);
  std::error_code ignored;
  if (!service.session_folder.empty()) known = fs::remove(session_file(service, name), ignored) || known;
  if (!known) throw ApiError(404, "there is no session \"" + name + "\"", "session");
  respond_json(*exchange, json::object{{"id", name}, {"object", "session"}, {"deleted", true}});
}

}  // namespace minimax::server
