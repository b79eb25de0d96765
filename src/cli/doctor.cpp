#include <fmt/format.h>

#include <memory>

#include "cli/diagnosis.h"
#include "cli/verbs.h"
#include "core/error.h"
#include "core/threads.h"
#include "core/version.h"
#include "cpu/isa.h"
#include "io/json.h"

namespace minimax::cli {
namespace {

Host inspect_host(const GlobalOptions& global) {
  Host host{.machine = inspect_machine(), .gpus = cuda::gpu_devices()};
  for (const cpu::Kernels* table : cpu::usable_kernels()) host.usable_isas.emplace_back(table->isa);
  try {
    host.isa = cpu::kernels().isa;
  } catch (const Error& error) {
    host.isa_error = error.what();
  }
  host.threads = global.threads > 0 ? global.threads : ThreadPool::available();
  return host;
}

std::string_view word_of(Severity severity) {
  switch (severity) {
    case Severity::kNote:
      return "note";
    case Severity::kAdvice:
      return "advice";
    case Severity::kProblem:
      return "problem";
  }
  return "";
}

template <typename T>
io::json::value or_null(const std::optional<T>& value) {
  return value ? io::json::value(*value) : io::json::value(nullptr);
}

io::json::object to_json(const Host& host, const std::vector<Finding>& findings) {
  const Machine& machine = host.machine;
  io::json::array gpus, found;
  for (const cuda::GpuInfo& gpu : host.gpus.gpus)
    gpus.push_back(io::json::object{{"name", gpu.name},
                                    {"compute", fmt::format("{}.{}", gpu.compute_major, gpu.compute_minor)},
                                    {"multiprocessors", gpu.multiprocessors},
                                    {"memory_total_bytes", gpu.memory_total_bytes},
                                    {"memory_free_bytes", gpu.memory_free_bytes}});
  for (const Finding& finding : findings)
    found.push_back(
        io::json::object{{"severity", word_of(finding.severity)}, {"what", finding.what}, {"advice", finding.advice}});
  return {{"version", version()},
          {"commit", commit()},
          {"system", machine.system},
          {"processor", machine.processor},
          {"instructions", io::json::array(machine.instructions.begin(), machine.instructions.end())},
          {"processors", machine.processors},
          {"cores", machine.cores},
          {"numa_nodes", machine.numa_nodes},
          {"processors_allowed", machine.processors_allowed},
          {"processor_quota", or_null(machine.processor_quota)},
          {"governor", machine.governor},
          {"kernels", host.isa},
          {"usable_kernels", io::json::array(host.usable_isas.begin(), host.usable_isas.end())},
          {"threads", host.threads},
          {"memory_total_bytes", machine.memory_total},
          {"memory_available_bytes", machine.memory_available},
          {"memory_limit_bytes", or_null(machine.memory_limit)},
          {"memory_limit_used_bytes", or_null(machine.memory_limit_used)},
          {"swap_used_bytes", machine.swap_used},
          {"memlock_limit_bytes", or_null(machine.memlock_limit)},
          {"may_lock_memory", machine.may_lock_memory},
          {"transparent_huge_pages", machine.transparent_huge_pages},
          {"folder", machine.folder.string()},
          {"disk_free_bytes", or_null(machine.disk_free)},
          {"gpus", gpus},
          {"gpus_reason", host.gpus.reason},
          {"cuda_driver", host.gpus.driver_version},
          {"cuda_runtime", host.gpus.runtime_version},
          {"findings", found}};
}

std::string threads_text(const Host& host) {
  const Machine& machine = host.machine;
  std::string text = fmt::format("{} (of {} processors", host.threads, machine.processors);
  if (machine.cores > 0 && machine.cores != machine.processors) text += fmt::format(", {} cores", machine.cores);
  if (machine.numa_nodes > 1) text += fmt::format(", {} memory nodes", machine.numa_nodes);
  if (machine.processors_allowed != machine.processors) text += fmt::format(", {} allowed", machine.processors_allowed);
  if (machine.processor_quota) text += fmt::format(", quota of {:.3g}", *machine.processor_quota);
  return text + ")";
}

std::string memory_text(const Machine& machine) {
  std::string text =
      fmt::format("{}, {} available", human_bytes(machine.memory_total), human_bytes(machine.memory_available));
  if (machine.memory_limit) text += fmt::format(", limit {}", human_bytes(*machine.memory_limit));
  return text;
}

std::string kernels_text(const Host& host) {
  std::string others;
  for (const std::string& isa : host.usable_isas)
    if (isa != host.isa) others += (others.empty() ? "" : ", ") + isa;
  const std::string used = host.isa.empty() ? "none" : host.isa;
  return others.empty() ? used : fmt::format("{} (also runs: {})", used, others);
}

std::string mlock_text(const Machine& machine) {
  if (machine.may_lock_memory || !machine.memlock_limit) return "no limit";
  return human_bytes(*machine.memlock_limit);
}

void print_gpus(const cuda::GpuReport& report, Table& table) {
  if (report.gpus.empty()) table.row({"GPUs", fmt::format("none: {}", report.reason)});
  for (const cuda::GpuInfo& gpu : report.gpus) {
    const std::string free =
        gpu.memory_free_bytes < 0 ? "" : fmt::format(", {} free", human_bytes(gpu.memory_free_bytes));
    table.row({"GPU", fmt::format("{}, compute {}.{}, {}{}", gpu.name, gpu.compute_major, gpu.compute_minor,
                                  human_bytes(gpu.memory_total_bytes), free)});
  }
}

void print_findings(const std::vector<Finding>& findings, Terminal& terminal) {
  terminal.print("\n");
  if (findings.empty()) terminal.print_line("Nothing stands in the way.");
  for (const Finding& finding : findings) {
    const Style style = finding.severity == Severity::kProblem  ? Style::kRed
                        : finding.severity == Severity::kAdvice ? Style::kYellow
                                                                : Style::kDim;
    terminal.print_line(
        fmt::format("{} {}", terminal.out_styled(style, fmt::format("{}:", word_of(finding.severity))), finding.what));
    if (!finding.advice.empty()) terminal.print_line(fmt::format("    {}", finding.advice));
  }
}

}  // namespace

int run_verb(const DoctorOptions& options, Session& session) {
  const Host host = inspect_host(session.global);
  const std::vector<Finding> findings = diagnose(host);
  if (options.json) {
    session.terminal.print_line(io::write_json(to_json(host, findings), io::JsonStyle::kPretty));
  } else {
    const Machine& machine = host.machine;
    Table table({{""}, {""}});
    table.row({"program", fmt::format("minimax {} ({})", version(), commit())});
    table.row({"system", machine.system});
    table.row({"processor", machine.processor});
    table.row({"instructions", fmt::format("{}", fmt::join(machine.instructions, " "))});
    table.row({"kernels", kernels_text(host)});
    table.row({"threads", threads_text(host)});
    table.row({"memory", memory_text(machine)});
    table.row({"huge pages", machine.transparent_huge_pages.empty() ? "unknown" : machine.transparent_huge_pages});
    table.row({"mlock limit", mlock_text(machine)});
    if (machine.disk_free)
      table.row({"disk", fmt::format("{} free in {}", human_bytes(*machine.disk_free), machine.folder.string())});
    print_gpus(host.gpus, table);
    session.terminal.print(table.text(session.terminal));
    print_findings(findings, session.terminal);
  }
  const bool works = findings.empty() || findings.front().severity != Severity::kProblem;
  return works ? 0 : 1;
}

Command define_doctor() {
  auto options = std::make_shared<DoctorOptions>();
  Command command{.name = "doctor",
                  .summary = "what this machine has, which kernels will be used, what is misconfigured",
                  .usage = "[flags]",
                  .description =
                      "Reads only; changes nothing. Exits with 1 when something is wrong enough that models "
                      "cannot run. `minimax bench` measures how fast the machine is.",
                  .examples = {{"minimax doctor", "a table, and what could be better"},
                               {"minimax doctor --threads 16", "whether 16 threads would be wise here"},
                               {"minimax doctor --json", "the same as data"}},
                  .json = &options->json,
                  .run = [options](Command&, Session& session) { return run_verb(*options, session); }};
  command.flag("--json", options->json, "as JSON");
  return command;
}

}  // namespace minimax::cli
