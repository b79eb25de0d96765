#include "cli/diagnosis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "cli/terminal.h"

namespace minimax::cli {
namespace {

void check_instructions(const Host& host, std::vector<Finding>& findings) {
  if (!host.isa_error.empty()) {
    findings.push_back({Severity::kProblem, host.isa_error,
                        fmt::format("unset MINIMAX_ISA, or set it to one of {}", fmt::join(host.usable_isas, ", "))});
  } else if (host.isa != host.usable_isas.front()) {
    findings.push_back({Severity::kAdvice,
                        fmt::format("MINIMAX_ISA makes the program use its {} kernels, where this processor can run {}",
                                    host.isa, host.usable_isas.front()),
                        "unset MINIMAX_ISA"});
  } else if (host.isa == "generic") {
    findings.push_back(
        {Severity::kNote, "no kernels are specialized for this processor: the generic ones are used", ""});
  }
}

void check_threads(const Host& host, std::vector<Finding>& findings) {
  const Machine& machine = host.machine;
  if (machine.processors_allowed > 0 && host.threads > machine.processors_allowed) {
    findings.push_back(
        {Severity::kAdvice,
         fmt::format("{} threads on {} processors will wait for each other at the end of every matrix product",
                     host.threads, machine.processors_allowed),
         fmt::format("--threads {}", machine.processors_allowed)});
  } else if (machine.processor_quota && host.threads > std::ceil(*machine.processor_quota)) {
    findings.push_back(
        {Severity::kAdvice,
         fmt::format(
             "{} threads, while the control group of this process has the time of {:.3g} processors: the system "
             "stops all threads when it is used up",
             host.threads, *machine.processor_quota),
         fmt::format("--threads {:.0f}, or a larger quota (docker: --cpus)", std::ceil(*machine.processor_quota))});
  }
  if (machine.processors_allowed > 0 && machine.processors_allowed < machine.processors)
    findings.push_back({Severity::kNote,
                        fmt::format("this process may run on {} of the machine's {} processors",
                                    machine.processors_allowed, machine.processors),
                        "taskset and the container's --cpuset-cpus set this"});
  if (machine.governor == "powersave" || machine.governor == "conservative")
    findings.push_back({Severity::kAdvice,
                        fmt::format("the processors' frequency governor is \"{}\"", machine.governor),
                        "sudo cpupower frequency-set -g performance"});
  if (machine.numa_nodes > 1)
    findings.push_back(
        {Severity::kAdvice,
         fmt::format("{} memory nodes: a thread reads memory of the other nodes more slowly", machine.numa_nodes),
         "numactl --interleave=all minimax ..."});
}

void check_memory(const Host& host, std::vector<Finding>& findings) {
  const Machine& machine = host.machine;
  if (machine.memory_limit) {
    const std::string used =
        machine.memory_limit_used ? fmt::format(" ({} in use)", human_bytes(*machine.memory_limit_used)) : "";
    findings.push_back(
        {Severity::kNote,
         fmt::format("the control group of this process may have {} of the machine's {}{}; mapped weights "
                     "count, and are read from disk again when they do not fit",
                     human_bytes(*machine.memory_limit), human_bytes(machine.memory_total), used),
         "docker: --memory; systemd: MemoryMax"});
  }
  if (machine.swap_used > machine.memory_total / 20)
    findings.push_back({Severity::kAdvice,
                        fmt::format("{} of memory are swapped out: something needs more than there is",
                                    human_bytes(machine.swap_used)),
                        "see what with top, sorted by memory (M)"});
  if (!machine.may_lock_memory && machine.memlock_limit && *machine.memlock_limit < machine.memory_total)
    findings.push_back(
        {Severity::kNote,
         fmt::format("--mlock can lock {} at most here, less than a model", human_bytes(*machine.memlock_limit)),
         "ulimit -l unlimited; systemd: LimitMEMLOCK=infinity; docker: --ulimit memlock=-1"});
  if (machine.transparent_huge_pages == "never")
    findings.push_back({Severity::kAdvice, "transparent huge pages are off: large buffers cost more address look-ups",
                        "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled"});
}

void check_rest(const Host& host, std::vector<Finding>& findings) {
  constexpr int64_t kLittle = 1'000'000'000;
  if (host.machine.disk_free && *host.machine.disk_free < kLittle)
    findings.push_back(
        {Severity::kAdvice,
         fmt::format("{} has {} free", host.machine.folder.string(), human_bytes(*host.machine.disk_free)),
         "make room before writing models or logits there"});
  if (host.gpus.gpus.empty()) return;
  if (host.gpus.gpus.size() > 1)
    findings.push_back({Severity::kNote, fmt::format("of {} GPUs the first one is used", host.gpus.gpus.size()), ""});
  const cuda::GpuInfo& gpu = host.gpus.gpus[0];
  if (gpu.compute_major != 9)
    findings.push_back(
        {Severity::kAdvice,
         fmt::format("the products of this version use the tensor cores of Hopper GPUs (compute 9.0) only; "
                     "compute {}.{} runs them on float32 units, which is slow",
                     gpu.compute_major, gpu.compute_minor),
         "compare with --device cpu"});
}

}  // namespace

std::vector<Finding> diagnose(const Host& host) {
  std::vector<Finding> findings;
  check_instructions(host, findings);
  check_threads(host, findings);
  check_memory(host, findings);
  check_rest(host, findings);
  std::vector<Finding> worst_first;
  for (Severity severity : {Severity::kProblem, Severity::kAdvice, Severity::kNote})
    std::copy_if(findings.begin(), findings.end(), std::back_inserter(worst_first),
                 [=](const Finding& finding) { return finding.severity == severity; });
  return worst_first;
}

}  // namespace minimax::cli
