#include "text/jinja/python_text.h"

#include <algorithm>

#include "text/utf8.h"

namespace minimax::text::jinja {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else {  // only two bytes are asked for here
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

// The other case of a letter, where that is a fixed distance or the neighbour.
uint32_t upper(uint32_t c) {
  if (c >= 'a' && c <= 'z') return c - 32;
  if ((c >= 0xE0 && c <= 0xFE && c != 0xF7) || (c >= 0x3B1 && c <= 0x3C9 && c != 0x3C2) || (c >= 0x430 && c <= 0x44F))
    return c - 32;
  if (c >= 0x450 && c <= 0x45F) return c - 80;
  if ((c >= 0x100 && c <= 0x137 && c != 0x131) || (c >= 0x14A && c <= 0x177) || (c >= 0x460 && c <= 0x481) ||
      (c >= 0x48A && c <= 0x4BF) || (c >= 0x4D0 && c <= 0x52F))
    return c & ~1u;
  if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E)) return c % 2 == 0 ? c - 1 : c;
  return c;
}

uint32_t lower(uint32_t c) {
  if (c >= 'A' && c <= 'Z') return c + 32;
  if ((c >= 0xC0 && c <= 0xDE && c != 0xD7) || (c >= 0x391 && c <= 0x3A9 && c != 0x3A2) || (c >= 0x410 && c <= 0x42F))
    return c + 32;
  if (c >= 0x400 && c <= 0x40F) return c + 80;
  if ((c >= 0x100 && c <= 0x137 && c != 0x130) || (c >= 0x14A && c <= 0x177) || (c >= 0x460 && c <= 0x481) ||
      (c >= 0x48A && c <= 0x4BF) || (c >= 0x4D0 && c <= 0x52F))
    return c | 1u;
  if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E)) return c % 2 == 1 ? c + 1 : c;
  return c;
}

TracedString mapped(const TracedString& text, uint32_t (*map)(uint32_t)) {
  std::string out;
  const std::string& bytes = text.bytes();
  const char* const end = bytes.data() + bytes.size();
  for (const char* p = bytes.data(); p < end;) {
    const Utf8Char c = decode_utf8(p, end);
    const uint32_t other = c.length <= 2 && c.code_point != kInvalidCodePoint ? map(c.code_point) : c.code_point;
    if (c.code_point == 0xDF && map == upper)
      out += "SS";
    else if (c.length <= 2 && c.code_point != kInvalidCodePoint)
      append_utf8(out, other);
    else
      out.append(p, c.length);
    p += c.length;
  }
  return text.with_bytes(std::move(out));
}

}  // namespace

bool is_python_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

std::string python_quoted(std::string_view text) {
  const char quote = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    const Utf8Char c = decode_utf8(p, end);
    if (c.code_point == static_cast<uint32_t>(quote) || c.code_point == '\\')
      out += {'\\', *p};
    else if (c.code_point == '\n')
      out += "\\n";
    else if (c.code_point == '\r')
      out += "\\r";
    else if (c.code_point == '\t')
      out += "\\t";
    else if (c.code_point < 0x20 || (c.code_point >= 0x7F && c.code_point <= 0xA0) || c.code_point == 0xAD)
      out += {'\\', 'x', kHex[c.code_point >> 4], kHex[c.code_point & 15]};
    else
      out.append(p, c.length);
    p += c.length;
  }
  return out + quote;
}

std::vector<size_t> character_offsets(std::string_view text) {
  std::vector<size_t> out;
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end; p += decode_utf8(p, end).length)
    out.push_back(static_cast<size_t>(p - text.data()));
  out.push_back(text.size());
  return out;
}

size_t character_count(std::string_view text) {
  size_t count = 0;
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end; p += decode_utf8(p, end).length) ++count;
  return count;
}

TracedString stripped(const TracedString& text, bool left, bool right, const std::string* characters) {
  const std::string& bytes = text.bytes();
  const char* const end = bytes.data() + bytes.size();
  const auto goes = [&](size_t begin, size_t length) {
    const std::string_view character(bytes.data() + begin, length);
    if (!characters) return is_python_space(decode_utf8(bytes.data() + begin, end).code_point);
    return characters->find(character) != std::string::npos;
  };
  size_t begin = 0, stop = bytes.size();
  while (left && begin < stop) {
    const size_t length = decode_utf8(bytes.data() + begin, end).length;
    if (!goes(begin, length)) break;
    begin += length;
  }
  while (right && stop > begin) {
    size_t start = stop - 1;
    while (start > begin && stop - start < 4 && (static_cast<unsigned char>(bytes[start]) & 0xC0) == 0x80) --start;
    if (decode_utf8(bytes.data() + start, end).length != stop - start) start = stop - 1;
    if (!goes(start, stop - start)) break;
    stop = start;
  }
  return text.cut(begin, stop - begin);
}

TracedString uppercase(const TracedString& text) {
  return mapped(text, upper);
}

TracedString lowercase(const TracedString& text) {
  return mapped(text, lower);
}

}  // namespace minimax::text::jinja
