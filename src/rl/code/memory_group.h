// MemoryGroup: a control group that limits the memory of all processes of one sandbox together.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace minimax::rl {

/// Makes and removes groups: the kernel does, when folders are made in its file system. A test has one that plays it.
class GroupHierarchy {
 public:
  virtual ~GroupHierarchy() = default;
  /// False when it cannot be, and errno says why.
  virtual bool make(const std::filesystem::path& group) const;
  virtual bool remove(const std::filesystem::path& group) const;
};
const GroupHierarchy& kernel_groups();

/// Where control groups with a limit on memory can be made, and in which way.
struct MemoryGroupParent {
  std::filesystem::path folder;
  bool unified = false;  ///< cgroup v2 (memory.max), else v1 (memory.limit_in_bytes)

  bool operator==(const MemoryGroupParent&) const = default;
};

/// Looks for a place where this process may make groups: with v1 in its own group, with v2 in its own or, since a group
/// with processes in it hands out no controllers, beside it. Nothing where there is none, as in most containers.
/// `mounts`: /sys/fs/cgroup; `membership`: what /proc/self/cgroup says.
std::optional<MemoryGroupParent> find_memory_group_parent(const std::filesystem::path& mounts,
                                                          const std::string& membership,
                                                          const GroupHierarchy& groups = kernel_groups());

/// One group; removed with this object, when its processes have ended.
class MemoryGroup {
 public:
  /// Throws kDevice when it cannot be made. `groups` must outlive it.
  MemoryGroup(const MemoryGroupParent& parent, int64_t bytes, const GroupHierarchy& groups = kernel_groups());
  ~MemoryGroup();
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;

  /// A process that writes "0" here joins.
  const std::string& procs_file() const { return procs_file_; }
  /// The kernel has killed a process of it for memory.
  bool killed() const;

 private:
  const GroupHierarchy& groups_;
  std::filesystem::path folder_;
  std::string procs_file_;
  bool unified_;
};

/// Where this process makes its groups; nothing when it cannot. Tried once: a group is made and a process joins it.
const std::optional<MemoryGroupParent>& memory_group_parent();

}  // namespace minimax::rl
