#include "server/web_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace minimax::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string gunzip(std::string_view packed) {
  z_stream stream = {};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);  // 16: gzip, not zlib
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string out, piece(1 << 16, '\0');
  int result = Z_OK;
  while (result == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    result = inflate(&stream, Z_NO_FLUSH);
    out.append(piece, 0, piece.size() - stream.avail_out);
  }
  EXPECT_EQ(result, Z_STREAM_END);
  inflateEnd(&stream);
  return out;
}

TEST(WebPage, RootIsTheIndex) {
  const WebFile* root = find_web_file("/");
  ASSERT_NE(root, nullptr);
  EXPECT_EQ(root, find_web_file("/index.html"));
  EXPECT_EQ(root->content_type, "text/html; charset=utf-8");
  EXPECT_EQ(root->cache_control, "no-cache");
  EXPECT_THAT(std::string(root->bytes), StartsWith("<!doctype html>"));
  EXPECT_THAT(std::string(root->bytes), EndsWith("</html>\n"));
}

TEST(WebPage, EveryFileIsFoundByItsPath) {
  EXPECT_GE(web_files().size(), 5u);
  EXPECT_TRUE(std::ranges::is_sorted(web_files(), {}, &WebFile::path));
  for (const WebFile& file : web_files()) {
    SCOPED_TRACE(file.path);
    EXPECT_EQ(find_web_file(file.path), &file);
    EXPECT_FALSE(file.bytes.empty());
    EXPECT_THAT(std::string(file.etag), ::testing::MatchesRegex("W/\"[0-9a-f]{16}\""));
    bool named_by_hash = file.path.starts_with("/assets/");
    EXPECT_EQ(file.cache_control, named_by_hash ? "public, max-age=31536000, immutable" : "no-cache");
  }
}

TEST(WebPage, OtherPathsAreNotFound) {
  for (const char* path : {"", "index.html", "//", "/assets", "/assets/", "/../index.html", "/assets/../index.html",
                           "/index.html/", "/index.html?", "/zzz", "/%69ndex.html", "/sources.sha256"})
    EXPECT_EQ(find_web_file(path), nullptr) << path;
  EXPECT_EQ(find_web_file(std::string_view("/\0index.html", 12)), nullptr);
}

TEST(WebPage, GzipIsTheSameContentAndSmaller) {
  bool any = false;
  for (const WebFile& file : web_files()) {
    if (file.gzip.empty()) continue;
    any = true;
    EXPECT_LT(file.gzip.size(), file.bytes.size()) << file.path;
    EXPECT_TRUE(gunzip(file.gzip) == file.bytes) << file.path;
  }
  EXPECT_TRUE(any);
}

// What the page names is there, and nothing of it is elsewhere: it works without a network and under its own policy.
TEST(WebPage, IndexNamesOnlyFilesOfItsOwn) {
  std::string html(find_web_file("/")->bytes);
  int references = 0;
  for (std::string_view attribute : {"src=\"", "href=\""})
    for (size_t at = html.find(attribute); at != std::string::npos; at = html.find(attribute, at + 1), ++references) {
      size_t begin = at + attribute.size();
      std::string path = "/" + html.substr(begin, html.find('"', begin) - begin);
      EXPECT_NE(find_web_file(path), nullptr) << path;
    }
  EXPECT_GE(references, 4);
  for (const char* inline_code : {"<style", " style=", " onload=", " onclick=", "javascript:"})
    EXPECT_THAT(html, Not(HasSubstr(inline_code)));
  for (size_t at = html.find("<script"); at != std::string::npos; at = html.find("<script", at + 1))
    EXPECT_EQ(html.substr(html.find('>', at), 10), "></script>");
}

TEST(WebPage, PolicyForbidsInlineCodeAndOtherOrigins) {
  std::string policy(kWebHeaders[0].value);
  EXPECT_EQ(kWebHeaders[0].name, "Content-Security-Policy");
  EXPECT_THAT(policy, StartsWith("default-src 'none'; script-src 'self'; style-src 'self';"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  EXPECT_THAT(policy, Not(HasSubstr("http")));
  EXPECT_THAT(policy, Not(HasSubstr("*")));
}

}  // namespace
}  // namespace minimax::server
