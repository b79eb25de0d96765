#include "server/web_page.h"

#include <algorithm>

namespace minimax::server {

const WebFile* find_web_file(std::string_view path) {
  if (path == "/") path = "/index.html";
  std::span<const WebFile> files = web_files();
  auto found = std::ranges::lower_bound(files, path, {}, &WebFile::path);
  return found != files.end() && found->path == path ? &*found : nullptr;
}

}  // namespace minimax::server
