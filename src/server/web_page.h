// The files of the web chat at "/", which the program carries in itself (sources: web/).
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace minimax::server {

/// One file of the page. All views last as long as the program.
struct WebFile {
  std::string_view path;           ///< "/index.html", "/assets/app-1B2C3D4E.js"
  std::string_view content_type;   ///< with its charset where it is text
  std::string_view cache_control;  ///< for ever where the name holds a hash of the content, else to be asked again
  std::string_view etag;           ///< weak, quoted, of the content; the same for both encodings
  std::string_view bytes;          ///< as it is
  std::string_view gzip;           ///< the same for "Content-Encoding: gzip"; empty where that is not smaller
};

/// The file to answer GET or HEAD `path` with, null when there is none. `path` begins with "/" and has no query; "/" is
/// the page itself. Nothing is read from the file system, and `path` is only ever compared. Any thread may call.
const WebFile* find_web_file(std::string_view path);

/// All files, ordered by path.
std::span<const WebFile> web_files();

struct WebHeader {
  std::string_view name, value;
};

/// To be sent with every file of the page. The policy forbids inline scripts and styles, eval, other origins and
/// frames, so that no text of a model can become a program; strings reach the DOM as markup only through its sanitiser.
inline constexpr std::array<WebHeader, 5> kWebHeaders = {{
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; "
     "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
     "require-trusted-types-for 'script'; trusted-types dompurify"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
}};

}  // namespace minimax::server
