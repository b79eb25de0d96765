#include "model/load.h"

#include <string>

#include "io/shards.h"

namespace minimax {

MiniMaxM1 load_model(const std::filesystem::path& folder, const io::LoadOptions& options) {
  ModelConfig c = read_config(folder);
  auto sh = io::Shards::open(folder, options);
  MiniMaxM1 m{.config = c};
  auto W = [&](std::string n) { return Weight{sh.tensor(n)}; };
  m.embed_tokens = W("model.embed_tokens.weight");
  for (int64_t i = 0; i < c.layers; ++i) {
    auto l = empty_layer(c, i);
    std::string p = "model.layers." + std::to_string(i) + ".";
    l.attention_norm = to_float32(sh.tensor(p + "input_layernorm.weight"));
    l.moe_norm = to_float32(sh.tensor(p + "post_attention_layernorm.weight"));
    std::string a = p + "self_attn.";
    if (auto* x = std::get_if<LightningAttention>(&l.attention)) {
      x->qkv_proj = W(a + "qkv_proj.weight");
      x->output_gate = W(a + "output_gate.weight");
      x->out_proj = W(a + "out_proj.weight");
      x->norm = to_float32(sh.tensor(a + "norm.weight"));
    } else {
      auto& y = std::get<SoftmaxAttention>(l.attention);
      y.q_proj = W(a + "q_proj.weight");
      y.k_proj = W(a + "k_proj.weight");
      y.v_proj = W(a + "v_proj.weight");
      y.o_proj = W(a + "o_proj.weight");
    }
    std::string mo = p + "block_sparse_moe.";
    l.moe.router = W(mo + "gate.weight");
    for (int64_t e = 0; e < c.experts; ++e) {
      std::string x = mo + "experts." + std::to_string(e) + ".";
      l.moe.experts.push_back({W(x + "w1.weight"), W(x + "w3.weight"), W(x + "w2.weight")});
    }
    m.layers.push_back(l);
  }
  m.norm = to_float32(sh.tensor("model.norm.weight"));
  m.lm_head = W("lm_head.weight");
  return m;
}

}  // namespace minimax
