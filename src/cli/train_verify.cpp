#include "cli/train_verify.h"

#include <iostream>

#include "cli/usage_error.h"
#include "cli/verbs.h"

namespace minimax::cli {

std::shared_ptr<rl::VerifierWorkers> verifier_workers(int64_t count) {
  // The very file that runs, also when another one has taken its place meanwhile.
  return std::make_shared<rl::VerifierWorkers>(std::vector<std::string>{"/proc/self/exe", "train", "verify"}, count);
}

Command define_train_verify() {
  return {.name = "train verify",
          .summary = "scores answers by the built-in verifiers: a line in, a line out",
          .usage = "< requests.jsonl",
          .description =
              "Reads JSON lines from stdin, {\"problem\": a record of `train data --problems`, \"text\": what a model "
              "wrote, \"finished\": true}, and answers each with its score. It is what `train rl` and `train score` "
              "start to verify in: an answer that takes more processor time than limits.wall_s of its record ends the "
              "process. Of a dialogue \"text\" is the last turn and \"earlier\" holds those before it.",
          .examples = {{"minimax train verify < requests.jsonl > scores.jsonl"}},
          .run = [](Command& self, Session&) {
            if (!self.words.empty()) throw UsageError("train verify: requests come from stdin", self.name);
            std::ios::sync_with_stdio(false);
            rl::answer_score_requests(std::cin, std::cout);
            return 0;
          }};
}

}  // namespace minimax::cli
