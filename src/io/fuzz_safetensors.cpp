// Fuzz target: a safetensors file of arbitrary bytes; every tensor of an accepted header must lie inside the file.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "core/error.h"
#include "io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace minimax;
  try {
    const io::SafetensorsHeader header = io::parse_safetensors_header(std::as_bytes(std::span(data, size)), "input");
    int64_t bytes = header.data_begin;
    for (const io::TensorInfo& tensor : header.tensors) {
      if (tensor.begin < 0 || tensor.end < tensor.begin || header.data_begin + tensor.end > static_cast<int64_t>(size))
        std::abort();
      if (tensor.elements() < 0) std::abort();
      bytes += tensor.bytes();
    }
    if (bytes != static_cast<int64_t>(size)) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
