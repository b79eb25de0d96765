#include <fmt/format.h>

#include <memory>

#include "cli/common_flags.h"
#include "cli/input.h"
#include "cli/loaded_model.h"
#include "cli/usage_error.h"
#include "cli/verbs.h"
#include "engine/state/state_cache.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "model/minimax_m1.h"

namespace minimax::cli {
namespace {

// Logits and hidden states of whole sequences, gathered step by step through the engine's caches.
class Recorder {
 public:
  Recorder(const ForwardOptions& options, LoadedModel& model, const std::vector<std::vector<int32_t>>& seqs)
      : options_(options), model_(model), seqs_(seqs), ctx_(model.context()) {
    int64_t pages = 0;
    for (const auto& seq : seqs) pages += (static_cast<int64_t>(seq.size()) + kChunk - 1) / kChunk;
    cache_.emplace(model.config(), pages * kChunk, static_cast<int64_t>(seqs.size()), ctx_);
    for (const auto& seq : seqs) {
      sequences_.push_back(cache_->open());
      logits_.push_back(Tensor::empty({static_cast<int64_t>(seq.size()), model.config().vocab}, DType::kFloat32));
      std::vector<Tensor>& hidden = hidden_.emplace_back();
      for (int64_t at = 0; options.hidden && at <= model.config().layers; ++at)
        hidden.push_back(Tensor::empty({static_cast<int64_t>(seq.size()), model.config().hidden}, DType::kFloat32));
    }
  }

  // All sequences go side by side, each with as many tokens a step as --chunk and --decode-from say.
  void run(Terminal& terminal) {
    int64_t total = 0, done = 0;
    for (const auto& seq : seqs_) total += static_cast<int64_t>(seq.size());
    while (done < total) {
      done += step();
      terminal.progress(fmt::format("{} of {} tokens", done, total));
    }
    terminal.clear_progress();
  }

  std::vector<io::NamedTensor> tensors(bool batch) const {
    std::vector<io::NamedTensor> out;
    for (size_t seq = 0; seq < seqs_.size(); ++seq) {
      const std::string suffix = batch ? fmt::format(".{}", seq) : "";
      out.push_back({"logits" + suffix, logits_[seq]});
      for (size_t at = 0; at < hidden_[seq].size(); ++at)
        out.push_back({fmt::format("hidden.{:02}{}", at, suffix), hidden_[seq][at]});
    }
    return out;
  }

 private:
  int64_t tokens_of_step(size_t seq) const {
    const int64_t done = sequences_[seq].length;
    const auto total = static_cast<int64_t>(seqs_[seq].size());
    const int64_t decode_from = std::min(options_.decode_from.value_or(total), total);
    if (done >= decode_from) return std::min<int64_t>(1, total - done);
    const int64_t chunk = options_.chunk > 0 ? options_.chunk : total;
    return std::min(chunk, decode_from - done);
  }

  int64_t step() {
    engine::BatchBuilder builder;
    std::vector<std::pair<size_t, int64_t>> parts;  // sequence, tokens
    for (size_t seq = 0; seq < seqs_.size(); ++seq) {
      const int64_t count = tokens_of_step(seq);
      if (count == 0) continue;
      engine::Sequence& sequence = sequences_[seq];
      cache_->reserve(sequence, sequence.length + count);
      builder.add(sequence,
                  std::span(seqs_[seq]).subspan(static_cast<size_t>(sequence.length), static_cast<size_t>(count)),
                  engine::BatchBuilder::Logits::kAll);
      parts.emplace_back(seq, count);
    }
    HiddenObserver observer;
    if (options_.hidden)
      observer = [&](int64_t index, const Tensor& hidden) {
        scatter(parts, to_host(hidden), [&](size_t seq) { return hidden_[seq][static_cast<size_t>(index)]; });
      };
    const Tensor logits = to_host(model_.model().forward(ctx_, builder.build(), cache_->layers(), observer));
    scatter(parts, logits, [&](size_t seq) { return logits_[seq]; });
    int64_t tokens = 0;
    for (const auto& [seq, count] : parts) {
      sequences_[seq].length += count;
      tokens += count;
    }
    return tokens;
  }

  // Rows of a packed batch to their places in each sequence's own tensor.
  template <typename Of>
  void scatter(const std::vector<std::pair<size_t, int64_t>>& parts, const Tensor& packed, const Of& of) const {
    int64_t row = 0;
    for (const auto& [seq, count] : parts) {
      const Tensor from = packed.rows(row, row + count);
      const Tensor to = of(seq).rows(sequences_[seq].length, sequences_[seq].length + count);
      std::copy_n(from.data<float>(), from.elements(), to.data<float>());
      row += count;
    }
  }

  const ForwardOptions& options_;
  LoadedModel& model_;
  const std::vector<std::vector<int32_t>>& seqs_;
  Context ctx_;
  std::optional<engine::StateCache> cache_;
  std::vector<engine::Sequence> sequences_;
  std::vector<Tensor> logits_;               // of each sequence: [tokens, vocab]
  std::vector<std::vector<Tensor>> hidden_;  // of each sequence and layer: [tokens, hidden]
};

}  // namespace

int run_verb(const ForwardOptions& options, Session& session) {
  const Ids ids = read_ids(options.ids_file);
  LoadedModel model(options.model, session);
  for (const auto& seq : ids.seqs)
    for (const int32_t id : seq)
      MM_CHECK(id < model.config().vocab, options.ids_file, ": id ", id, ", expected 0 to ", model.config().vocab - 1);
  Recorder recorder(options, model, ids.seqs);
  recorder.run(session.terminal);
  const std::vector<io::NamedTensor> tensors = recorder.tensors(ids.batch);
  io::write_safetensors(options.out_file, tensors);
  if (options.json) {
    io::json::object shapes;
    for (const io::NamedTensor& named : tensors)
      shapes[named.name] = io::json::array{named.tensor.dim(0), named.tensor.dim(1)};
    session.terminal.print_line(
        io::write_json(io::json::object{{"out", options.out_file}, {"tensors", shapes}}, io::JsonStyle::kPython));
  } else {
    session.terminal.note(fmt::format("{} tensors in {}", tensors.size(), options.out_file));
  }
  return 0;
}

Command define_forward() {
  auto options = std::make_shared<ForwardOptions>();
  Command command{
      .name = "forward",
      .summary = "logits of given ids, for people who verify",
      .usage = "MODEL --ids FILE --out FILE [flags]",
      .description =
          "Writes `logits` [tokens, vocab] float32; for a list of lists `logits.0`, `logits.1`, ... The results "
          "do not depend on --chunk, --decode-from, --threads or on what else is in the batch.",
      .arguments = {{"MODEL", "folder with config.json and *.safetensors", ValueKind::kFolder}},
      .examples = {{"minimax forward MODEL --ids ids.json --out logits.safetensors"},
                   {"minimax forward MODEL --ids ids.json --out all.safetensors --hidden",
                    "and hidden.00, hidden.01, ..."},
                   {"minimax forward MODEL --ids '[5, 7, 9, 4]' --out o.safetensors --decode-from 2",
                    "ids 2 and 3 one at a time"}},
      .json = &options->json,
      .run = [options](Command& self, Session& session) {
        options->model.model = take_model(self, options->model.model);
        if (options->ids_file.empty()) throw UsageError("forward: no --ids given", self.name);
        if (options->out_file.empty()) throw UsageError("forward: no --out given", self.name);
        return run_verb(*options, session);
      }};
  command.group("What to compute");
  command.text("--ids", options->ids_file, "FILE",
               "[1, 2, 3], or [[1, 2], [3]] for a batch; - is stdin; or the list itself", ValueKind::kFile);
  command.text("-o,--out", options->out_file, "FILE", "where the tensors go (safetensors)", ValueKind::kFile);
  command.flag("--hidden", options->hidden,
               "also hidden.NN [tokens, hidden]: 00 the embedding, NN the output of layer NN-1; the last one comes "
               "after the final norm");
  command.number("--decode-from", options->decode_from, "N", "ids from here on go one at a time", "", 0);
  command.number("--chunk", options->chunk, "M", "ids of a step before that", "all at once", 0);
  command.flag("--json", options->json, "say as JSON what was written");
  add_model_flags(command, options->model);
  return command;
}

}  // namespace minimax::cli
