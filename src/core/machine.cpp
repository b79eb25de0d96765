#include "core/machine.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "core/error.h"

namespace minimax {
namespace {

namespace fs = std::filesystem;

// One line of a file under /proc or /sys; empty when it cannot be read.
std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

std::optional<int64_t> whole_number(const std::string& text) {
  int64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || end == text.data()) return std::nullopt;
  return number;
}

// Instruction sets that the kernels use or that a user will ask about, as /proc/cpuinfo spells them.
constexpr const char* kInstructions[] = {
    "avx2",     "fma",      "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "amx_tile", "amx_bf16", "amx_int8", "asimd",   "asimddp",  "bf16",     "i8mm",        "sve",         "sve2"};

void read_processors(const fs::path& root, Machine& machine) {
  std::ifstream file(root / "proc/cpuinfo");
  std::set<std::pair<std::string, std::string>> cores;
  std::string line, package;
  while (std::getline(file, line)) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key = trimmed(line.substr(0, colon)), value = trimmed(line.substr(colon + 1));
    if (key == "processor") ++machine.processors;
    if (key == "model name" && machine.processor.empty()) machine.processor = value;
    if (key == "physical id") package = value;
    if (key == "core id") cores.emplace(package, value);
    if ((key == "flags" || key == "Features") && machine.instructions.empty()) {
      std::istringstream words(value);
      const std::set<std::string> flags{std::istream_iterator<std::string>(words), {}};
      for (const char* name : kInstructions)
        if (flags.contains(name)) machine.instructions.emplace_back(name);
    }
  }
  machine.cores = static_cast<int>(cores.size());
  machine.governor = first_line(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  int nodes = 0;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(root / "sys/devices/system/node", none)) {
    const std::string name = entry.path().filename();
    nodes += name.starts_with("node") && whole_number(name.substr(4)).has_value();
  }
  machine.numa_nodes = std::max(nodes, 1);
}

void read_memory(const fs::path& root, Machine& machine) {
  std::ifstream file(root / "proc/meminfo");
  std::map<std::string, int64_t> bytes;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string key;
    int64_t kibibytes = 0;
    if (words >> key >> kibibytes) bytes[key] = kibibytes * 1024;
  }
  machine.memory_total = bytes["MemTotal:"];
  machine.memory_available = bytes["MemAvailable:"];
  machine.swap_used = bytes["SwapTotal:"] - bytes["SwapFree:"];

  // "always [madvise] never"
  const std::string pages = first_line(root / "sys/kernel/mm/transparent_hugepage/enabled");
  const size_t open = pages.find('['), close = pages.find(']');
  if (open != std::string::npos && close != std::string::npos)
    machine.transparent_huge_pages = pages.substr(open + 1, close - open - 1);
}

// The folders of our control group for one controller, from the group itself up to the root, in version 2 ("0::/path")
// and 1 ("5:memory:/path"). Inside a container the path may be one of outside: then only the root is there.
std::vector<fs::path> group_folders(const fs::path& root, const std::string& controller) {
  std::ifstream file(root / "proc/self/cgroup");
  std::vector<fs::path> folders;
  std::string line;
  while (std::getline(file, line)) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    fs::path group = fs::path(line.substr(second + 1)).relative_path();
    std::vector<fs::path> mounts;
    if (controllers.empty()) mounts = {root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"};
    if (("," + controllers + ",").find("," + controller + ",") != std::string::npos)
      mounts = {root / "sys/fs/cgroup" / controllers, root / "sys/fs/cgroup" / controller};
    for (const fs::path& mount : mounts)
      for (fs::path at = group;; at = at.parent_path()) {
        folders.push_back(at.empty() ? mount : mount / at);
        if (at.empty()) break;
      }
  }
  return folders;
}

// The tightest limit on the way up counts.
void read_group_limits(const fs::path& root, Machine& machine) {
  for (const fs::path& folder : group_folders(root, "memory")) {
    const bool version2 = fs::exists(folder / "memory.max");
    const auto limit = whole_number(first_line(folder / (version2 ? "memory.max" : "memory.limit_in_bytes")));
    // Version 1 says "no limit" by a number near 2^63.
    if (!limit || *limit >= machine.memory_total || (machine.memory_limit && *limit >= *machine.memory_limit)) continue;
    machine.memory_limit = limit;
    machine.memory_limit_used =
        whole_number(first_line(folder / (version2 ? "memory.current" : "memory.usage_in_bytes")));
  }
  for (const fs::path& folder : group_folders(root, "cpu")) {
    std::string text = first_line(folder / "cpu.max");  // "max 100000" or "200000 100000"
    if (text.empty())
      text = first_line(folder / "cpu.cfs_quota_us") + " " + first_line(folder / "cpu.cfs_period_us");  // -1: no limit
    const auto quota = whole_number(text);
    const auto period = whole_number(text.substr(std::min(text.find(' '), text.size() - 1) + 1));
    if (!quota || !period || *quota <= 0 || *period <= 0) continue;
    const double processors = static_cast<double>(*quota) / static_cast<double>(*period);
    if (!machine.processor_quota || processors < *machine.processor_quota) machine.processor_quota = processors;
  }
}

void read_process_limits(const fs::path& root, Machine& machine) {
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) machine.processors_allowed = CPU_COUNT(&mask);
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    machine.memlock_limit = static_cast<int64_t>(limit.rlim_cur);
  std::ifstream file(root / "proc/self/status");
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with("CapEff:")) continue;
    constexpr int kIpcLock = 14;  // CAP_IPC_LOCK
    const std::string mask = trimmed(line.substr(7));
    uint64_t capabilities = 0;
    std::from_chars(mask.data(), mask.data() + mask.size(), capabilities, 16);
    machine.may_lock_memory = capabilities >> kIpcLock & 1;
  }
}

}  // namespace

Machine inspect_machine(const fs::path& folder, const fs::path& root) {
  Machine machine;
  utsname system{};
  if (uname(&system) == 0) machine.system = cat(system.sysname, " ", system.release, " ", system.machine);
  read_processors(root, machine);
  read_memory(root, machine);
  read_group_limits(root, machine);
  read_process_limits(root, machine);
  std::error_code failure;
  machine.folder = fs::canonical(folder, failure);
  const fs::space_info space = fs::space(folder, failure);
  if (!failure) machine.disk_free = static_cast<int64_t>(space.available);
  return machine;
}

}  // namespace minimax
