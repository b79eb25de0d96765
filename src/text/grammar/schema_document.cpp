#include "text/grammar/schema_document.h"

#include <charconv>
#include <vector>

#include "core/error.h"

namespace minimax::text::grammar {
namespace {

constexpr io::JsonLimits kLimits{.max_bytes = 1 << 20, .max_depth = 256, .max_values = 200'000};

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned value = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    const char* const end = text.data() + i + 3;
    if (std::from_chars(text.data() + i + 1, end, value, 16).ptr != end) return std::nullopt;
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

std::string replaced(std::string text, std::string_view from, char to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; ++at) text.replace(at, from.size(), 1, to);
  return text;
}

}  // namespace

SchemaDocument::SchemaDocument(std::string_view text) : root_(io::parse_json(text, "schema", kLimits)) {
  MM_CHECK(root_.is_object() || root_.is_bool(), "schema: the document is ", io::write_json(root_).substr(0, 40),
           ", expected an object or a boolean");
  index();
}

void SchemaDocument::index() {
  std::vector<Schema> open{&root_};
  while (!open.empty()) {
    const Schema at = open.back();
    open.pop_back();
    if (at->is_array()) {
      size_t index = 0;
      for (const auto& element : at->get_array()) {
        parents_[&element] = {at, {}, index++};
        open.push_back(&element);
      }
    }
    if (!at->is_object()) continue;
    for (const auto& [key, value] : at->get_object()) {
      parents_[&value] = {at, key, 0};
      open.push_back(&value);
      if (key == "$anchor" && value.is_string()) anchors_[value.get_string()] = at;
    }
  }
}

std::string SchemaDocument::place(Schema schema) const {
  std::vector<const Parent*> way;
  while (schema != &root_) {
    const auto parent = parents_.find(schema);
    if (parent == parents_.end()) return "schema";
    way.push_back(&parent->second);
    schema = parent->second.schema;
  }
  std::string out = "schema at #";
  for (size_t i = way.size(); i-- > 0;)
    out += way[i]->schema->is_array() ? cat("/", way[i]->index) : cat("/", way[i]->key);
  return out;
}

Schema SchemaDocument::child(Schema at, std::string_view key) const {
  if (at->is_object()) return at->get_object().if_contains(key);
  if (!at->is_array()) return nullptr;
  size_t index = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
  if (error != std::errc() || end != key.data() + key.size() || index >= at->get_array().size()) return nullptr;
  return &at->get_array()[index];
}

Schema SchemaDocument::resolve(Schema schema, std::string_view reference) const {
  const auto fail = [&](std::string_view problem) {
    throw Error(ErrorKind::kInvalidArgument, cat(place(schema), ": \"$ref\" is \"", reference, "\", ", problem));
  };
  const size_t hash = std::min(reference.find('#'), reference.size());
  const std::string_view document = reference.substr(0, hash);
  const std::string_view fragment = reference.substr(std::min(hash + 1, reference.size()));
  const auto* const id = root_.is_object() ? root_.get_object().if_contains("$id") : nullptr;
  if (!document.empty() && !(id && id->is_string() && std::string_view(id->get_string()) == document))
    fail("expected a place in this document (other documents are not fetched)");
  const auto decoded = percent_decoded(fragment);
  if (!decoded) fail("which has a malformed % escape");
  if (decoded->empty()) return &root_;
  Schema at = &root_;
  if ((*decoded)[0] == '/') {
    for (size_t begin = 1; at && begin <= decoded->size();) {
      const size_t end = std::min(decoded->find('/', begin), decoded->size());
      at = child(at, replaced(replaced(decoded->substr(begin, end - begin), "~1", '/'), "~0", '~'));
      begin = end + 1;
    }
  } else {
    const auto anchor = anchors_.find(*decoded);
    at = anchor == anchors_.end() ? nullptr : anchor->second;
  }
  if (!at) fail("and there is no such place");
  return at;
}

}  // namespace minimax::text::grammar
