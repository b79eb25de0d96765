// SHA-256 of files and of bytes as they pass, and the list of a folder's sums that `sha256sum -c` reads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace minimax::io {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(const void* data, int64_t bytes);
  void update(std::string_view text) { update(text.data(), static_cast<int64_t>(text.size())); }
  /// 64 hexadecimal digits, lower case. Nothing may be added after it.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Of a whole file, read in pieces; `progress` hears the bytes of each. Throws as File::open and File::read_at.
std::string sha256_of_file(const std::filesystem::path& path, const std::function<void(int64_t bytes)>& progress = {});

inline constexpr std::string_view kSumsName = "SHA256SUMS";

/// File name -> sum, of FOLDER/SHA256SUMS: lines "sum  name" as sha256sum writes them. Names must be plain names in the
/// folder. Throws kNotFound when there is no such file and kInvalidArgument for what is not such a list.
std::map<std::string, std::string> read_sums(const std::filesystem::path& folder);
std::map<std::string, std::string> parse_sums(std::string_view text, std::string_view what);
void write_sums(const std::filesystem::path& folder, const std::map<std::string, std::string>& sums);

}  // namespace minimax::io
