// SchemaDocument: a JSON schema as read, its references, and where each of its parts is.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "io/json.h"
#include "text/grammar/schema_facts.h"

namespace minimax::text::grammar {

class SchemaDocument {
 public:
  /// Throws kInvalidArgument for text that is not JSON, neither an object nor a boolean, or larger than 1 MiB.
  explicit SchemaDocument(std::string_view text);

  Schema root() const { return &root_; }
  /// "schema at #/properties/name"
  std::string place(Schema schema) const;
  /// What "$ref" of a schema object names: "#", "#/a/pointer", "#anchor", each perhaps after the document's own "$id".
  /// Throws kInvalidArgument for others, and when there is no such place.
  Schema resolve(Schema schema, std::string_view reference) const;

 private:
  void index();
  Schema child(Schema at, std::string_view key) const;

  io::json::value root_;
  struct Parent {
    Schema schema;
    std::string_view key;
    size_t index;
  };
  std::unordered_map<Schema, Parent> parents_;
  std::unordered_map<std::string_view, Schema> anchors_;
};

}  // namespace minimax::text::grammar
