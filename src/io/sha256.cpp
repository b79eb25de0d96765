#include "io/sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "io/atomic_file.h"
#include "io/file.h"

namespace minimax::io {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();

  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  MM_CHECK_KIND(kInternal, state_->context && EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1,
                "SHA-256 cannot be computed here");
}

Sha256::~Sha256() = default;

void Sha256::update(const void* data, int64_t bytes) {
  MM_CHECK_KIND(kInternal, EVP_DigestUpdate(state_->context, data, static_cast<size_t>(bytes)) == 1,
                "SHA-256 takes no more bytes");
}

std::string Sha256::finish() {
  unsigned char sum[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  MM_CHECK_KIND(kInternal, EVP_DigestFinal_ex(state_->context, sum, &length) == 1, "SHA-256 was finished before");
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < length; ++i) {
    text += kDigits[sum[i] >> 4];
    text += kDigits[sum[i] & 15];
  }
  return text;
}

std::string sha256_of_file(const std::filesystem::path& path, const std::function<void(int64_t)>& progress) {
  const File file = File::open(path);
  std::vector<char> piece(static_cast<size_t>(std::min<int64_t>(file.size(), int64_t{4} << 20)));
  Sha256 sum;
  for (int64_t at = 0; at < file.size();) {
    const int64_t bytes = std::min(static_cast<int64_t>(piece.size()), file.size() - at);
    file.read_at(at, piece.data(), bytes);
    sum.update(piece.data(), bytes);
    if (progress) progress(bytes);
    at += bytes;
  }
  return sum.finish();
}

std::map<std::string, std::string> parse_sums(std::string_view text, std::string_view what) {
  constexpr size_t kDigits = 64, kBefore = kDigits + 2;
  std::map<std::string, std::string> sums;
  int64_t number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (line.empty()) continue;
    const bool digits = line.size() > kBefore &&
                        line.substr(0, kDigits).find_first_not_of("0123456789abcdef") == std::string_view::npos;
    MM_CHECK(digits && line[kDigits] == ' ' && (line[kDigits + 1] == ' ' || line[kDigits + 1] == '*'), what, ", line ",
             number, ": expected 64 hexadecimal digits, two spaces and a file name");
    const std::string name(line.substr(kBefore));
    MM_CHECK(name.find('/') == std::string::npos && name != "." && name != "..", what, ", line ", number, ": \"", name,
             "\" is no plain file name");
    MM_CHECK(sums.emplace(name, line.substr(0, kDigits)).second, what, ", line ", number, ": \"", name,
             "\" comes twice");
  }
  return sums;
}

std::map<std::string, std::string> read_sums(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kSumsName;
  return parse_sums(read_file(path, int64_t{16} << 20), path.string());
}

void write_sums(const std::filesystem::path& folder, const std::map<std::string, std::string>& sums) {
  std::string text;
  for (const auto& [name, sum] : sums) text += sum + "  " + name + "\n";
  write_file(folder / kSumsName, text);
}

}  // namespace minimax::io
