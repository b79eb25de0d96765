// Fuzz target: arbitrary bytes as packed panels. Every format reads exactly the bytes that its sizes name, and the
// integers of q5 and q6 stay inside int8 whatever a file holds.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "quant/panel.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace minimax::quant;
  if (size < 3) return 0;
  const Format format = all_formats()[data[0] % all_formats().size()];
  const int64_t outputs = 1 + data[1] % 70;
  const int64_t inputs = 1 + data[2] * 3;
  const auto bytes = static_cast<size_t>(packed_bytes(format, outputs, inputs));
  // The input, over and over, in a buffer of just that size.
  std::vector<std::byte> packed(bytes);
  for (size_t i = 0; i < bytes; ++i) packed[i] = static_cast<std::byte>(data[i % size]);
  std::vector<float> weights(static_cast<size_t>(outputs * inputs));
  dequantize_rows(format, inputs, packed.data(), 0, outputs, weights.data());
  const RowCodes row = unpack_row(format, inputs, packed.data(), outputs % kPanelRows);
  if (format == Format::kQ5 || format == Format::kQ6) {
    const int half = 1 << (code_bits(format) - 1);
    for (size_t k = 0; k < row.codes.size(); ++k) {
      const int integer = row.steps[k / kGroup] * (row.codes[k] - half);
      if (integer < -128 || integer > 127) std::abort();
    }
  }
  // What was read is written back as it was.
  std::vector<std::byte> again(packed);
  pack_row(format, inputs, row, outputs % kPanelRows, again.data());
  const RowCodes reread = unpack_row(format, inputs, again.data(), outputs % kPanelRows);
  if (reread.codes != row.codes || reread.steps != row.steps || reread.zeros != row.zeros) std::abort();
  for (size_t i = 0; i < row.scales.size(); ++i)
    if (reread.scales[i] != row.scales[i] && !std::isnan(row.scales[i])) std::abort();
  return 0;
}
