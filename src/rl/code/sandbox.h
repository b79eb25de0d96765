// Sandbox: programs that a model wrote, run where they can harm nobody and learn nothing.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace minimax::rl {

struct SandboxLimits {
  double cpu_seconds = 5;    ///< of a process; rounded up to whole seconds
  double wall_seconds = 10;  ///< then everything inside is killed
  /// Of a process's address space; and, where this process may make control groups (code/memory_group.h), of all
  /// processes together, the files of scratch_bytes besides.
  int64_t memory_bytes = int64_t{512} << 20;
  int64_t output_bytes = int64_t{16} << 20;   ///< of stdout, and of stderr; then everything inside is killed
  int64_t scratch_bytes = int64_t{64} << 20;  ///< of files, which live in memory
  int64_t processes = 16;                     ///< threads count too
};

struct SandboxJob {
  std::vector<std::string> command;          ///< found in /usr/bin unless a path; the working folder is /work
  std::string input;                         ///< stdin
  std::map<std::string, std::string> files;  ///< name in /work -> content; all may be executed
  std::string collect;                       ///< a file of /work to bring out afterwards; empty: none
  SandboxLimits limits;
};

struct SandboxResult {
  enum class End : uint8_t {
    kExited,     ///< `code` is its exit code
    kSignalled,  ///< `code` is the signal; SIGXCPU and SIGKILL for the CPU limit
    kWallLimit,
    kOutputLimit,
  };
  End end = End::kExited;
  int code = 0;
  std::string out, err;        ///< as far as they were read
  std::string collected;       ///< empty also when the file is not there
  double seconds = 0;          ///< by the wall's clock, set-up included
  bool out_of_memory = false;  ///< the control group's limit was met and a process killed for it

  bool ok() const { return end == End::kExited && code == 0; }
};

/// Runs a job: new user, process, network, mount, IPC and host-name namespaces; a read-only root of /usr and what its
/// programs need, no /proc, no network, an empty environment; resource limits; an allow-list of system calls
/// (code/seccomp.cpp); as nobody where we are root; all processes die with the first one or at the limits. Needs no
/// privileges and no helper program, but a kernel that lets users make namespaces. May be called from several threads.
/// Throws kDevice, saying which step failed, where the kernel allows no sandbox; kInvalidArgument for file names with a
/// slash and an empty command.
SandboxResult run_sandboxed(const SandboxJob& job);

/// Why there can be no sandbox on this machine; nothing when there can. Runs a small program to see.
std::optional<std::string> sandbox_problem();

}  // namespace minimax::rl
