#include "rl/code/memory_group.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include "core/error.h"

namespace minimax::rl {
namespace {

namespace fs = std::filesystem;

bool write_value(const fs::path& file, const std::string& value) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool whole = ::write(fd, value.data(), value.size()) == static_cast<ssize_t>(value.size());
  ::close(fd);
  return whole;
}

const char* limit_file(bool unified) {
  return unified ? "memory.max" : "memory.limit_in_bytes";
}

/// Without the slash it begins with, so that it can be appended.
std::string relative(const std::string& path) {
  return path.empty() ? path : path.substr(1);
}

/// Groups can be made here, and have the controller.
bool takes_groups(const MemoryGroupParent& parent, const GroupHierarchy& groups) {
  const fs::path trial = parent.folder / cat("minimax-trial-", ::getpid());
  if (!groups.make(trial)) return false;
  const bool works = ::access((trial / limit_file(parent.unified)).c_str(), W_OK) == 0;
  groups.remove(trial);
  return works;
}

bool can_be_joined(const MemoryGroup& group) {
  const std::string file = group.procs_file();  // nothing may allocate after the fork
  const pid_t child = ::fork();
  if (child == 0) {
    const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
    ::_exit(fd >= 0 && ::write(fd, "0", 1) == 1 ? 0 : 1);
  }
  int status = 1;
  while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return child > 0 && status == 0;
}

}  // namespace

bool GroupHierarchy::make(const fs::path& group) const {
  return ::mkdir(group.c_str(), 0755) == 0;
}
bool GroupHierarchy::remove(const fs::path& group) const {
  return ::rmdir(group.c_str()) == 0;
}
const GroupHierarchy& kernel_groups() {
  static const GroupHierarchy kernel;
  return kernel;
}

std::optional<MemoryGroupParent> find_memory_group_parent(const fs::path& mounts, const std::string& membership,
                                                          const GroupHierarchy& groups) {
  std::vector<MemoryGroupParent> candidates;
  std::istringstream lines(membership);
  for (std::string line; std::getline(lines, line);) {  // "4:memory:/path", "0::/path"
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = relative(line.substr(second + 1));
    if (controllers.find(",memory,") != std::string::npos) {
      candidates.push_back({mounts / "memory" / path, false});
    } else if (controllers == ",,") {
      for (const fs::path& root : {mounts, mounts / "unified"}) {
        if (!fs::exists(root / "cgroup.controllers")) continue;
        candidates.push_back({root / path, true});
        if (!path.empty()) candidates.push_back({(root / path).parent_path(), true});
      }
    }
  }
  for (const MemoryGroupParent& candidate : candidates)
    if (takes_groups(candidate, groups)) return candidate;
  return std::nullopt;
}

MemoryGroup::MemoryGroup(const MemoryGroupParent& parent, int64_t bytes, const GroupHierarchy& groups)
    : groups_(groups), unified_(parent.unified) {
  static std::atomic<int64_t> made = 0;
  folder_ = parent.folder / cat("minimax-sandbox-", ::getpid(), "-", made++);
  procs_file_ = (folder_ / "cgroup.procs").string();
  MM_CHECK_KIND(kDevice, groups_.make(folder_), "sandbox: cannot make the control group ", folder_.string(), ": ",
                std::strerror(errno));
  const bool limited = write_value(folder_ / limit_file(unified_), std::to_string(bytes));
  const int error = errno;
  if (!limited) groups_.remove(folder_);
  MM_CHECK_KIND(kDevice, limited, "sandbox: cannot limit the memory of ", folder_.string(), ": ", std::strerror(error));
  // Without swap, where the kernel counts it.
  if (unified_)
    write_value(folder_ / "memory.swap.max", "0");
  else
    write_value(folder_ / "memory.memsw.limit_in_bytes", std::to_string(bytes));
}

MemoryGroup::~MemoryGroup() {
  // Processes that were killed are in it until the kernel is done with them.
  for (int attempt = 0; attempt < 200 && !groups_.remove(folder_) && errno == EBUSY; ++attempt) ::usleep(5000);
}

bool MemoryGroup::killed() const {
  std::ifstream text(folder_ / (unified_ ? "memory.events" : "memory.oom_control"));
  std::string name;
  int64_t count = 0;
  while (text >> name >> count)
    if (name == "oom_kill") return count > 0;
  return false;
}

const std::optional<MemoryGroupParent>& memory_group_parent() {
  static const std::optional<MemoryGroupParent> parent = []() -> std::optional<MemoryGroupParent> {
    try {
      std::ostringstream membership;
      membership << std::ifstream("/proc/self/cgroup").rdbuf();
      auto found = find_memory_group_parent("/sys/fs/cgroup", membership.str());
      if (found && !can_be_joined(MemoryGroup(*found, int64_t{64} << 20))) found.reset();
      return found;
    } catch (const Error&) {
      return std::nullopt;
    }
  }();
  return parent;
}

}  // namespace minimax::rl
