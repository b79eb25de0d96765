#include "text/jinja/traced_string.h"

#include <algorithm>

#include "core/error.h"

namespace minimax::text::jinja {

bool TracedString::has_data() const {
  return std::ranges::any_of(runs_, [](const Run& run) { return run.origin == Origin::kData; });
}

TracedString::Origin TracedString::origin_at(size_t byte) const {
  const auto run = std::ranges::upper_bound(runs_, byte, {}, &Run::end);
  return run == runs_.end() ? Origin::kData : run->origin;
}

void TracedString::append(std::string_view bytes, Origin origin) {
  if (bytes.empty()) return;
  bytes_ += bytes;
  if (!runs_.empty() && runs_.back().origin == origin)
    runs_.back().end = bytes_.size();
  else
    runs_.push_back({bytes_.size(), origin});
}

void TracedString::append(const TracedString& other, size_t begin, size_t length) {
  const size_t end = begin + std::min(length, other.size() - begin);
  auto run = std::ranges::upper_bound(other.runs_, begin, {}, &Run::end);
  while (begin < end) {
    const size_t stop = std::min(end, run->end);
    append(std::string_view(other.bytes_).substr(begin, stop - begin), run->origin);
    begin = stop;
    ++run;
  }
}

TracedString TracedString::cut(size_t begin, size_t length) const {
  TracedString out;
  if (begin < size()) out.append(*this, begin, length);
  return out;
}

TracedString TracedString::with_bytes(std::string bytes) const {
  MM_CHECK_KIND(kInternal, bytes.size() == size(), "with_bytes: ", bytes.size(), " bytes for ", size());
  TracedString out = *this;
  out.bytes_ = std::move(bytes);
  return out;
}

}  // namespace minimax::text::jinja
