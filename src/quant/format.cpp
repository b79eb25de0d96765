#include "quant/format.h"

#include <limits>

#include "core/error.h"

namespace minimax::quant {
namespace {

struct Layout {
  Format format;
  std::string_view name;
  int64_t code_bits;
  int64_t header;  // bytes before the codes of a block
};

constexpr int64_t kFloat16s = kPanelRows * 2;                    // one for each row
constexpr int64_t kNibbles = kPanelRows * kBlockGroups * 4 / 8;  // one for each row and group
constexpr int64_t kPairs = kPanelRows * kBlockGroups * 2 / 8;

constexpr Layout kLayouts[] = {
    {Format::kQ8, "q8", 8, kBlockGroups* kFloat16s},
    {Format::kExpertsInt8, "experts-int8", 8, 0},
    {Format::kQ6, "q6", 6, kFloat16s + kPairs},
    {Format::kQ5, "q5", 5, kFloat16s + kNibbles},
    {Format::kQ4, "q4", 4, kFloat16s + kNibbles + kPairs},
    {Format::kMxfp4, "mxfp4", 4, kBlockGroups* kPanelRows},
};

const Layout& layout(Format format) {
  return kLayouts[static_cast<size_t>(format)];
}

int64_t panel_header_bytes(Format format) {
  return format == Format::kExpertsInt8 ? kPanelRows * 4 : 0;
}

}  // namespace

const std::vector<Format>& all_formats() {
  static const std::vector<Format> formats = [] {
    std::vector<Format> all;
    for (const Layout& each : kLayouts) all.push_back(each.format);
    return all;
  }();
  return formats;
}

std::string_view name(Format format) {
  return layout(format).name;
}

std::optional<Format> format_by_name(std::string_view name) {
  for (const Layout& each : kLayouts)
    if (each.name == name) return each.format;
  return std::nullopt;
}

int64_t code_bits(Format format) {
  return layout(format).code_bits;
}

double bits_per_weight(Format format, int64_t inputs) {
  if (format == Format::kExpertsInt8) return 8 + 32.0 / static_cast<double>(inputs);
  return static_cast<double>(code_bits(format)) +
         static_cast<double>(block_header_bytes(format) * 8) / static_cast<double>(kPanelRows * kBlock);
}

int64_t padded_inputs(int64_t inputs) {
  return group_count(inputs) * kGroup;
}
int64_t group_count(int64_t inputs) {
  return (inputs + kGroup - 1) / kGroup;
}
int64_t block_count(int64_t inputs) {
  return (inputs + kBlock - 1) / kBlock;
}
int64_t panel_count(int64_t outputs) {
  return (outputs + kPanelRows - 1) / kPanelRows;
}

int64_t block_header_bytes(Format format) {
  return layout(format).header;
}

int64_t group_bytes(Format format) {
  return kPanelRows * kGroup * code_bits(format) / 8;
}

int64_t block_offset(Format format, int64_t block) {
  return panel_header_bytes(format) + block * (block_header_bytes(format) + kBlockGroups * group_bytes(format));
}

int64_t group_offset(Format format, int64_t group) {
  return block_offset(format, group / kBlockGroups) + block_header_bytes(format) +
         group % kBlockGroups * group_bytes(format);
}

int64_t panel_bytes(Format format, int64_t inputs) {
  return panel_header_bytes(format) + block_count(inputs) * block_header_bytes(format) +
         group_count(inputs) * group_bytes(format);
}

int64_t packed_bytes(Format format, int64_t outputs, int64_t inputs) {
  MM_CHECK(outputs > 0 && inputs > 0, "a matrix [", outputs, ", ", inputs, "] has nothing to quantize");
  // A panel holds less than 64 bytes for each input.
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  MM_CHECK(inputs < kMost / 64 - kBlock && panel_count(outputs - 1) < kMost / panel_bytes(format, inputs), "a matrix [",
           outputs, ", ", inputs, "] has more bytes than can be counted");
  return panel_count(outputs) * panel_bytes(format, inputs);
}

}  // namespace minimax::quant
