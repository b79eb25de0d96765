#include "train/tensorboard.h"

#include <unistd.h>

#include <array>
#include <cstring>

#include "core/error.h"

namespace minimax::train {
namespace {

std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0u);
    table[byte] = crc;
  }
  return table;
}

template <typename T>
std::string little_endian(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

/// TFRecord's mask, so that a CRC of data that holds CRCs is no trouble.
std::string masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return little_endian((crc >> 15 | crc << 17) + 0xA282EAD8u);
}

// Protocol buffers: a field is its number and wire type, then its value.
std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 128; value >>= 7) out += static_cast<char>((value & 127) | 128);
  return out + static_cast<char>(value);
}
std::string field(int number, int wire_type) {
  return varint(static_cast<uint64_t>(number) << 3 | static_cast<uint64_t>(wire_type));
}
std::string bytes_field(int number, std::string_view value) {
  return field(number, 2) + varint(value.size()) + std::string(value);
}
std::string event(double time, int64_t step) {
  return field(1, 1) + little_endian(time) + field(2, 0) + varint(static_cast<uint64_t>(step));
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = crc_table();
  uint32_t crc = ~0u;
  for (const char byte : bytes) crc = crc >> 8 ^ table[(crc ^ static_cast<unsigned char>(byte)) & 255];
  return ~crc;
}

TensorBoard::TensorBoard(const std::filesystem::path& folder, double time) {
  std::filesystem::create_directories(folder);
  const auto path =
      folder / cat("events.out.tfevents.", static_cast<int64_t>(time), ".minimax.", static_cast<int64_t>(::getpid()));
  out_.open(path, std::ios::binary | std::ios::app);
  MM_CHECK_KIND(kIo, out_.good(), path.string(), ": cannot be written");
  record(event(time, 0) + bytes_field(3, "brain.Event:2"));
}

void TensorBoard::record(std::string_view event) {
  const std::string length = little_endian(static_cast<uint64_t>(event.size()));
  out_ << length << masked_crc(length) << event << masked_crc(event);
  out_.flush();
  MM_CHECK_KIND(kIo, out_.good(), "TensorBoard event file cannot be written");
}

void TensorBoard::scalars(int64_t step, double time, std::span<const std::pair<std::string, double>> values) {
  std::string summary;
  for (const auto& [tag, value] : values)
    summary += bytes_field(1, bytes_field(1, tag) + field(2, 5) + little_endian(static_cast<float>(value)));
  record(event(time, step) + bytes_field(5, summary));
}

}  // namespace minimax::train
