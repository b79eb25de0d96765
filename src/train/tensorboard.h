// TensorBoard event files, for people who watch their runs there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace minimax::train {

/// One file events.out.tfevents.* in `folder`. Each record is a length, its masked CRC-32C, a protocol-buffer Event and
/// its masked CRC-32C; scalars are "simple_value"s.
class TensorBoard {
 public:
  /// `time`: seconds since 1970. Throws kIo.
  TensorBoard(const std::filesystem::path& folder, double time);

  void scalars(int64_t step, double time, std::span<const std::pair<std::string, double>> values);

 private:
  void record(std::string_view event);

  std::ofstream out_;
};

/// CRC-32C (Castagnoli).
uint32_t crc32c(std::string_view bytes);

}  // namespace minimax::train
