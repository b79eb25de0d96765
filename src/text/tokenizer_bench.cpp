// Encoding speed of the tokenizer: MB/s (10^6 bytes a second) of one thread on English, Chinese, code and a mixture,
// of the scanner alone, on hostile text, and the time to load.
//
// usage: text_tokenizer_bench [TOKENIZER_FOLDER] [CORPUS_FOLDER]
// Defaults: testdata/tokenizer and testdata/corpora of the source tree.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "io/file.h"
#include "text/pretokenizer.h"
#include "text/tokenizer.h"

namespace {

using minimax::text::Tokenizer;

/// Processor time of this thread in seconds: what others do on the machine counts for little.
double now() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

struct Times {
  double median, least, most;  // seconds
};

/// At least five runs and half a second of them, after one that warms up.
template <typename Work>
Times measure(Work work) {
  work();
  std::vector<double> seconds;
  double total = 0;
  while (seconds.size() < 5 || total < 0.5) {
    const double start = now();
    work();
    seconds.push_back(now() - start);
    total += seconds.back();
  }
  std::sort(seconds.begin(), seconds.end());
  return {seconds[seconds.size() / 2], seconds.front(), seconds.back()};
}

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown processor";
}

void print(const char* name, size_t bytes, size_t pieces, const Times& t) {
  const double mb = static_cast<double>(bytes) / 1e6;
  std::printf("%-28s %8.2f MB %9zu  %7.1f MB/s  (%.1f to %.1f)\n", name, mb, pieces, mb / t.median, mb / t.most,
              mb / t.least);
}

void bench_text(const Tokenizer& tokenizer, const std::string& name, const std::string& text) {
  size_t pieces = 0, ids = 0;
  const Times scan = measure([&] {
    pieces = 0;
    const char* const end = text.data() + text.size();
    for (const char* p = text.data(); p < end; ++pieces)
      p = minimax::text::piece_end(minimax::text::SplitPattern::kO200k, p, end);
  });
  const Times encode = measure([&] { ids = tokenizer.encode(text).size(); });
  print((name + ", scanner alone").c_str(), text.size(), pieces, scan);
  print((name + ", encode").c_str(), text.size(), ids, encode);
}

std::string repeat(const std::string& unit, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : MINIMAX_TESTDATA "/tokenizer";
  const std::filesystem::path corpora = argc > 2 ? argv[2] : MINIMAX_TESTDATA "/corpora";
  std::printf("%s, one thread, processor time; median (slowest to fastest); pieces or ids in the third column\n",
              processor().c_str());
  const Times load = measure([&] { Tokenizer::load(folder); });
  const Tokenizer tokenizer = Tokenizer::load(folder);
  std::printf("load (%s): %.0f ms (%.0f to %.0f)\n", tokenizer.description().c_str(), load.median * 1e3,
              load.least * 1e3, load.most * 1e3);

  // In turns of about 4 KB, a chat's grain.
  std::string mixed;
  std::vector<std::string> texts;
  for (const char* name : {"english", "chinese", "code"}) {
    texts.push_back(minimax::io::read_file(corpora / (std::string(name) + ".txt")));
    bench_text(tokenizer, name, texts.back());
  }
  for (size_t at = 0; std::any_of(texts.begin(), texts.end(), [at](const auto& t) { return at < t.size(); });
       at += 4096)
    for (const auto& text : texts)
      if (at < text.size()) mixed += text.substr(at, 4096);
  bench_text(tokenizer, "mixed", mixed);

  struct Hostile {
    const char* name;
    std::string unit;
  };
  for (const Hostile& h : {Hostile{"hostile: one letter", "a"}, Hostile{"hostile: spaces", " "},
                           Hostile{"hostile: combining marks", "\u0301"}, Hostile{"hostile: digits", "1"},
                           Hostile{"hostile: Chinese, no stop", "\u6211\u4eec\u7684\u4e2d\u56fd"},
                           Hostile{"hostile: invalid bytes", "\xFF"}}) {
    const std::string text = repeat(h.unit, 1u << 20);
    size_t ids = 0;
    const Times t = measure([&] { ids = tokenizer.encode(text).size(); });
    print(h.name, text.size(), ids, t);
  }
  std::puts(
      "\nPublished by others, on other machines, texts and vocabularies, for scale:\n"
      "  Hugging Face tokenizers, GPT-2, 100 MB of OpenWebText, all cores:      6.6 MB/s (README of gigatoken)\n"
      "  tiktoken 0.12 in Python, o200k, 45 KB of English, one core Apple M4:  15.5 MB/s (README of the Rust crate\n"
      "    tiktoken 3.1.2: 2,900 us)");
}
