// Attention over paged keys, and its gradient.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cuda/played/played.h"

namespace minimax::cuda::played {
namespace {

int64_t seq_of(const int32_t* cu_seqlens, int64_t seqs, int64_t token) {
  return std::upper_bound(cu_seqlens, cu_seqlens + seqs + 1, static_cast<int32_t>(token)) - cu_seqlens - 1;
}
int64_t page_place(const int32_t* page_table, int64_t max_pages, int64_t seq, int64_t position, int64_t kv_heads,
                   int64_t head, int64_t head_dim) {
  const int64_t page = page_table[seq * max_pages + position / kChunk];
  return ((page * kv_heads + head) * kChunk + position % kChunk) * head_dim;
}

void attend(const AttentionArgs& args) {
  for (int64_t row = 0; row < args.tokens * args.heads; ++row) {
    const int64_t token = row / args.heads, kv_head = row % args.heads / (args.heads / args.kv_heads);
    const int64_t seq = seq_of(args.cu_seqlens, args.seqs, token), count = args.positions[token] + 1;
    const auto at = [&](int64_t key) {
      return page_place(args.page_table, args.max_pages, seq, key, args.kv_heads, kv_head, args.head_dim);
    };
    std::vector<float> scores(static_cast<size_t>(count), 0.0f);
    for (int64_t key = 0; key < count; ++key) {
      for (int64_t d = 0; d < args.head_dim; ++d)
        scores[static_cast<size_t>(key)] +=
            as(args.type, args.q[row * args.head_dim + d]) * get(args.k_pages, args.type, at(key) + d);
      scores[static_cast<size_t>(key)] *= args.scale;
    }
    const float largest = *std::max_element(scores.begin(), scores.end());
    float sum = 0;
    for (float& score : scores) sum += score = std::exp(score - largest);
    for (int64_t d = 0; d < args.head_dim; ++d) {
      float out = 0;
      for (int64_t key = 0; key < count; ++key)
        out += scores[static_cast<size_t>(key)] * get(args.v_pages, args.type, at(key) + d);
      args.out[row * args.head_dim + d] = out / sum;
    }
    if (args.log_sums) args.log_sums[row] = largest + std::log(sum);
  }
}

}  // namespace

Failure store_kv(const float* k, const float* v, const int32_t* positions, const int32_t* cu_seqlens,
                 const int32_t* page_table, void* k_pages, void* v_pages, Type type, int64_t tokens, int64_t seqs,
                 int64_t kv_heads, int64_t head_dim, int64_t max_pages, Stream) {
  return run([=] {
    for (int64_t token = 0; token < tokens; ++token)
      for (int64_t head = 0; head < kv_heads; ++head) {
        const int64_t to = page_place(page_table, max_pages, seq_of(cu_seqlens, seqs, token), positions[token],
                                      kv_heads, head, head_dim);
        for (int64_t d = 0; d < head_dim; ++d) {
          put(k_pages, type, to + d, k[(token * kv_heads + head) * head_dim + d]);
          put(v_pages, type, to + d, v[(token * kv_heads + head) * head_dim + d]);
        }
      }
  });
}
Failure attention(const AttentionArgs& given, Stream) {
  return run([args = given] { attend(args); });
}
Failure attention_simple(const AttentionArgs& args, Stream stream) {
  return attention(args, stream);
}
Failure attention_decode(const AttentionDecodeArgs& given, Stream) {
  return run([args = given] {
    std::vector<float> q, out(static_cast<size_t>(args.seqs * args.heads * args.head_dim));
    for (size_t i = 0; i < out.size(); ++i) q.push_back(get(args.q, Type::kBFloat16, static_cast<int64_t>(i)));
    std::vector<int32_t> starts;
    for (int32_t seq = 0; seq <= args.seqs; ++seq) starts.push_back(seq);
    attend({.q = q.data(),
            .k_pages = args.k_pages,
            .v_pages = args.v_pages,
            .page_table = args.page_table,
            .positions = args.positions,
            .cu_seqlens = starts.data(),
            .out = out.data(),
            .tokens = args.seqs,
            .seqs = args.seqs,
            .heads = args.heads,
            .kv_heads = args.kv_heads,
            .head_dim = args.head_dim,
            .max_pages = args.max_pages,
            .scale = args.scale});
    for (size_t i = 0; i < out.size(); ++i) put(args.out, Type::kBFloat16, static_cast<int64_t>(i), out[i]);
  });
}
Failure attention_backward(const AttentionBackwardArgs& given, Stream) {
  return run([args = given] {
    const int64_t dim = args.head_dim, group = args.heads / args.kv_heads;
    const Type type = args.exact ? Type::kFloat32 : Type::kBFloat16;
    std::fill_n(args.dq, args.tokens * args.heads * dim, 0.0f);
    std::fill_n(args.dk, args.tokens * args.kv_heads * dim, 0.0f);
    std::fill_n(args.dv, args.tokens * args.kv_heads * dim, 0.0f);
    for (int64_t row = 0; row < args.tokens * args.heads; ++row) {
      const int64_t token = row / args.heads, kv_head = row % args.heads / group;
      const float *q = args.q + row * dim, *dout = args.dout + row * dim;
      float dot = 0;
      for (int64_t d = 0; d < dim; ++d) dot += dout[d] * args.out[row * dim + d];
      for (int64_t key = args.cu_seqlens[seq_of(args.cu_seqlens, args.seqs, token)]; key <= token; ++key) {
        const int64_t at = (key * args.kv_heads + kv_head) * dim;
        float score = 0, dp = 0;
        for (int64_t d = 0; d < dim; ++d) {
          score += as(type, q[d]) * as(type, args.k[at + d]);
          dp += as(type, dout[d]) * as(type, args.v[at + d]);
        }
        const float p = std::exp(score * args.scale - args.log_sums[row]), ds = p * (dp - dot) * args.scale;
        for (int64_t d = 0; d < dim; ++d) {
          args.dq[row * dim + d] += ds * args.k[at + d];
          args.dk[at + d] += ds * q[d];
          args.dv[at + d] += p * dout[d];
        }
      }
    }
  });
}

}  // namespace minimax::cuda::played
