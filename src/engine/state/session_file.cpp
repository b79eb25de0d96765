#include "engine/state/session_file.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "cpu/isa.h"
#include "io/safetensors.h"
#include "model/parameters.h"

namespace minimax::engine {
namespace {

constexpr const char* kFormat = "minimax session";
constexpr const char* kVersion = "2";

/// Four lanes of multiply and shift over words of eight bytes: finds damage, at the speed of memory. No defence against
/// an adversary, who could as well write another state.
class Checksum {
 public:
  void add(const void* data, size_t bytes) {
    const auto* from = static_cast<const unsigned char*>(data);
    size_t at = 0;
    for (; at + 32 <= bytes; at += 32)
      for (size_t lane = 0; lane < 4; ++lane) mix(lane, word(from + at + 8 * lane, 8));
    for (; at < bytes; at += 8) mix(0, word(from + at, std::min<size_t>(8, bytes - at)));
    mix(1, bytes);
  }
  void add(const Tensor& x) { add(x.raw(), static_cast<size_t>(x.bytes())); }
  void add(std::string_view text) { add(text.data(), text.size()); }

  std::string hex() const {
    uint64_t all = 0;
    for (const uint64_t lane : lanes_) {
      all = (all ^ lane) * 0x9FB21C651E98DF25u;
      all ^= all >> 31;
    }
    std::string digits(16, '0');
    for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit, all >>= 4)
      *digit = "0123456789abcdef"[all % 16];
    return digits;
  }

 private:
  static uint64_t word(const unsigned char* from, size_t bytes) {
    uint64_t value = 0;
    std::memcpy(&value, from, bytes);
    return value;
  }
  void mix(size_t lane, uint64_t value) {
    lanes_[lane] = (lanes_[lane] ^ value) * 0xD6E8FEB86659FD93u;
    lanes_[lane] ^= lanes_[lane] >> 32;
  }

  uint64_t lanes_[4] = {1, 2, 3, 4};
};

/// Every tensor of a session by name, in one order. Undefined ones are left out.
std::vector<io::NamedTensor> tensors_of(const SavedSession& session) {
  std::vector<io::NamedTensor> all;
  const auto put = [&](std::string name, const Tensor& tensor) {
    if (tensor.defined()) all.push_back({std::move(name), tensor});
  };
  put("ids", Tensor::from(std::span<const int32_t>(session.ids), {static_cast<int64_t>(session.ids.size())}));
  put("logits", session.logits);
  for (size_t layer = 0; layer < session.snapshot.state.layers.size(); ++layer) {
    const LightningSlots& slot = session.snapshot.state.layers[layer];
    put(cat("layer.", layer, ".state"), slot.state);
    put(cat("layer.", layer, ".k_window"), slot.k_window);
    put(cat("layer.", layer, ".v_window"), slot.v_window);
    for (size_t page = 0; page < session.snapshot.pages[layer].size(); ++page) {
      put(cat("layer.", layer, ".k.", page), session.snapshot.pages[layer][page].k);
      put(cat("layer.", layer, ".v.", page), session.snapshot.pages[layer][page].v);
    }
  }
  return all;
}

std::string checksum_of(const SavedSession& session, std::span<const io::NamedTensor> tensors) {
  Checksum sum;
  for (const std::string& text : {session.name, session.salt, session.kernels}) sum.add(text);
  for (const io::NamedTensor& tensor : tensors) {
    sum.add(tensor.name);
    sum.add(tensor.tensor);
  }
  return sum.hex();
}

/// Reads one file's tensors and checks each against what the model makes of it.
class Reader {
 public:
  Reader(const std::filesystem::path& path, const ModelConfig& config)
      : file_(io::SafetensorsFile::open(path)), config_(config) {}

  std::string field(const std::string& name) const {
    const auto found = file_.metadata().find(name);
    MM_CHECK(found != file_.metadata().end(), what(), ": no \"", name, "\" in its metadata, expected a session file");
    return found->second;
  }
  void expect(const std::string& name, const std::string& wanted) const {
    const std::string found = field(name);
    MM_CHECK(found == wanted, what(), ": ", name, " is \"", found, "\", expected \"", wanted, "\"");
  }

  SavedSession read() const {
    SavedSession session;
    session.name = field("name");
    session.salt = field("salt");
    session.kernels = field("kernels");
    const Tensor ids = file_.tensor("ids");
    MM_CHECK(ids.dtype() == DType::kInt32 && ids.rank() == 1 && ids.dim(0) >= 1, what(), ": tensor \"ids\" is ",
             ids.dtype(), " ", ids.shape(), ", expected I32 [tokens]");
    session.ids.assign(ids.span<int32_t>().begin(), ids.span<int32_t>().end());
    for (const int32_t id : session.ids)
      MM_CHECK(id >= 0 && id < config_.vocab, what(), ": token id ", id, ", expected 0 to ", config_.vocab - 1);
    if (file_.find("logits")) session.logits = tensor("logits", {config_.vocab});

    const int64_t length = ids.dim(0), pages = StateCache::pages_for(length);
    const int64_t heads = config_.heads, kv_heads = config_.kv_heads, head_dim = config_.head_dim;
    session.snapshot.state.length = length;
    for (size_t layer = 0; layer < config_.layer_kind.size(); ++layer) {
      LightningSlots& slot = session.snapshot.state.layers.emplace_back();
      std::vector<KvPages>& of_layer = session.snapshot.pages.emplace_back();
      const std::string prefix = cat("layer.", layer, ".");
      if (config_.layer_kind[layer] == LayerKind::kLightning) {
        slot.state = tensor(prefix + "state", {1, heads, head_dim, head_dim});
        if (length % kChunk == 0) continue;
        slot.k_window = tensor(prefix + "k_window", {1, heads, head_dim, kChunk});
        slot.v_window = tensor(prefix + "v_window", {1, heads, kChunk, head_dim});
      } else {
        for (int64_t page = 0; page < pages; ++page)
          of_layer.push_back({tensor(cat(prefix, "k.", page), {1, kv_heads, head_dim, kChunk}),
                              tensor(cat(prefix, "v.", page), {1, kv_heads, kChunk, head_dim})});
      }
    }
    return session;
  }

  size_t tensor_count() const { return file_.tensors().size(); }
  std::string what() const { return file_.path().string(); }

 private:
  Tensor tensor(const std::string& name, Shape shape) const {
    MM_CHECK(file_.find(name), what(), ": no tensor \"", name, "\"");
    const Tensor x = file_.tensor(name);
    MM_CHECK(x.dtype() == DType::kFloat32 && x.shape() == shape, what(), ": tensor \"", name, "\" is ", x.dtype(), " ",
             x.shape(), ", expected F32 ", shape);
    return x;
  }

  io::SafetensorsFile file_;
  const ModelConfig& config_;
};

}  // namespace

std::string kernels_name(MatmulPrecision precision, bool on_gpu) {
  return cat(on_gpu ? "GPU" : cpu::kernels().isa,
             precision == MatmulPrecision::kBFloat16 ? ", bfloat16 products" : ", exact products");
}

namespace {

void add_bytes(const Tensor& tensor, int64_t begin, int64_t size, Checksum& sum) {
  const char* from = static_cast<const char*>(tensor.raw()) + begin;
  if (!tensor.memory()) return sum.add(from, static_cast<size_t>(size));
  std::vector<char> copy(static_cast<size_t>(size));
  tensor.memory()->copy(copy.data(), from, size);
  sum.add(copy.data(), copy.size());
}

}  // namespace

ModelTag model_tag(const MiniMaxM1& model, MatmulPrecision precision, bool on_gpu) {
  Checksum sum;
  ModelConfig config = model.config;
  config.warnings.clear();
  sum.add(write_config(config));
  const std::vector<Parameter> all = parameters(model);
  int64_t total = 0;
  for (const Parameter& parameter : all) total += parameter.value.bytes();
  // A page is what the disk gives at the least, so that samples of pages cost no more than samples of words.
  constexpr int64_t kSamples = 8, kPage = 4096;
  for (const Parameter& parameter : all) {
    sum.add(cat(parameter.name, parameter.value.dtype(), parameter.value.shape()));
    const int64_t bytes = parameter.value.bytes();
    if (total <= kHashedWhole || bytes <= kSamples * kPage) {
      add_bytes(parameter.value, 0, bytes, sum);
      continue;
    }
    for (int64_t sample = 0; sample < kSamples; ++sample)
      add_bytes(parameter.value, (bytes - kPage) / (kSamples - 1) * sample / kPage * kPage, kPage, sum);
  }
  return {sum.hex(), kernels_name(precision, on_gpu)};
}

void write_session(const std::filesystem::path& path, const SavedSession& session, const ModelTag& tag) {
  const std::vector<io::NamedTensor> tensors = tensors_of(session);
  io::write_safetensors(path, tensors,
                        {{"format", kFormat},
                         {"version", kVersion},
                         {"chunk", std::to_string(kChunk)},
                         {"model", tag.model},
                         {"kernels", session.kernels},
                         {"name", session.name},
                         {"salt", session.salt},
                         {"checksum", checksum_of(session, tensors)}});
}

SavedSession read_session(const std::filesystem::path& path, const ModelConfig& config, const ModelTag& tag) {
  const Reader reader(path, config);
  reader.expect("format", kFormat);
  reader.expect("version", kVersion);
  reader.expect("chunk", std::to_string(kChunk));
  reader.expect("model", tag.model);
  SavedSession session = reader.read();
  const std::vector<io::NamedTensor> tensors = tensors_of(session);
  MM_CHECK(tensors.size() == reader.tensor_count(), reader.what(), ": ", reader.tensor_count(), " tensors, expected ",
           tensors.size());
  reader.expect("checksum", checksum_of(session, tensors));
  return session;
}

}  // namespace minimax::engine
