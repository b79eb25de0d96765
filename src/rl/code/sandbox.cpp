#include "rl/code/sandbox.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "rl/code/memory_group.h"
#include "rl/code/seccomp.h"

namespace minimax::rl {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uid_t kNobody = 65534;
/// What making the sandbox takes, in its control group.
constexpr int64_t kOwnMemory = int64_t{32} << 20;

/// A descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { close(); }
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

struct Pipe {
  Descriptor read, write;
};

Pipe make_pipe() {
  int ends[2];
  MM_CHECK_KIND(kIo, ::pipe2(ends, O_CLOEXEC) == 0, "sandbox: cannot make a pipe: ", std::strerror(errno));
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

/// What the child needs, made before the fork: between fork and exec of a process with threads nothing may allocate.
struct Plan {
  std::vector<std::string> words;
  std::vector<char*> arguments;
  std::vector<std::pair<std::string, std::string_view>> files;  // path in the new root -> content
  std::string collect;
  std::string user_map, group_map, scratch_options;
  std::string control_group;  // to be joined by writing to it; empty: none
  std::vector<sock_filter> filter;
  sock_fprog program{};
  SandboxLimits limits;
  bool root = false;
};

/// What the child tells us, in this order, on the status pipe.
struct Report {
  enum class What : int32_t { kFailed, kEnded };
  What what;
  int32_t value;       // errno, or the status of wait
  char step[48] = {};  // that failed
};

// ---- In the child: system calls and nothing else. ----

[[noreturn]] void fail(int status_pipe, const char* step) {
  Report report{Report::What::kFailed, errno};
  std::strncpy(report.step, step, sizeof report.step - 1);
  [[maybe_unused]] const auto written = ::write(status_pipe, &report, sizeof report);
  ::_exit(1);
}

bool write_text(const char* path, std::string_view text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool whole = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  return whole;
}

// Closes every descriptor from 3 on but these: also the ends of pipes of other sandboxes, whose programs would else
// wait for the end of their input until we end.
void close_all_but(std::array<int, 5> keep) {
  std::sort(keep.begin(), keep.end());
  unsigned int from = 3;
  for (const int fd : keep) {
    const auto kept = static_cast<unsigned int>(fd);
    if (kept > from) ::syscall(SYS_close_range, from, kept - 1, 0);
    from = std::max(from, kept + 1);
  }
  ::syscall(SYS_close_range, from, ~0u, 0);
}

// A part of the host's tree, read-only. Flags that the host's mount has must stay, or a user namespace may not change
// it.
bool bind_read_only(const char* from, const char* to) {
  if (::mount(from, to, nullptr, MS_BIND | MS_REC, nullptr) != 0) return false;
  struct statvfs info{};
  if (::statvfs(to, &info) != 0) return false;
  unsigned long flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV;
  if (info.f_flag & ST_NOEXEC) flags |= MS_NOEXEC;
  if (info.f_flag & ST_NOATIME) flags |= MS_NOATIME;
  if (info.f_flag & ST_NODIRATIME) flags |= MS_NODIRATIME;
  if (info.f_flag & ST_RELATIME) flags |= MS_RELATIME;
  return ::mount(nullptr, to, nullptr, flags, nullptr) == 0;
}

// /bin, /lib and the like are links into /usr, or folders of their own.
bool same_as_host(const char* host, const char* inside) {
  struct stat info{};
  if (::lstat(host, &info) != 0) return errno == ENOENT;
  if (S_ISLNK(info.st_mode)) {
    char target[256];
    const ssize_t length = ::readlink(host, target, sizeof target - 1);
    if (length < 0) return false;
    target[length] = '\0';
    return ::symlink(target, inside) == 0;
  }
  return ::mkdir(inside, 0755) == 0 && bind_read_only(host, inside);
}

bool bind_file(const char* from, const char* to, bool device) {
  if (::access(from, F_OK) != 0) return true;
  const int fd = ::open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  if (fd < 0) return false;
  ::close(fd);
  if (device) return ::mount(from, to, nullptr, MS_BIND, nullptr) == 0;
  return bind_read_only(from, to);
}

// The new root: made on /tmp of a mount namespace of our own.
void make_root(const Plan& plan, int status_pipe) {
  const auto must = [&](bool done, const char* step) {
    if (!done) fail(status_pipe, step);
  };
  must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "making mounts private");
  must(::mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID, "size=1m,mode=755") == 0, "mounting the new root");
  must(::chdir("/tmp") == 0, "entering the new root");
  must(same_as_host("/usr", "/tmp/usr"), "binding /usr");
  must(same_as_host("/bin", "/tmp/bin"), "binding /bin");
  must(same_as_host("/sbin", "/tmp/sbin"), "binding /sbin");
  must(same_as_host("/lib", "/tmp/lib"), "binding /lib");
  must(same_as_host("/lib64", "/tmp/lib64"), "binding /lib64");
  must(::mkdir("/tmp/etc", 0755) == 0 && bind_file("/etc/ld.so.cache", "/tmp/etc/ld.so.cache", false), "binding /etc");
  must(same_as_host("/etc/alternatives", "/tmp/etc/alternatives"), "binding /etc/alternatives");
  must(::mkdir("/tmp/dev", 0755) == 0 && bind_file("/dev/null", "/tmp/dev/null", true) &&
           bind_file("/dev/zero", "/tmp/dev/zero", true) && bind_file("/dev/urandom", "/tmp/dev/urandom", true),
       "binding /dev");
  must(::mkdir("/tmp/work", 0755) == 0 && ::symlink("/work", "/tmp/tmp") == 0, "making /work");
  must(::mount("tmpfs", "/tmp/work", "tmpfs", MS_NOSUID | MS_NODEV, plan.scratch_options.c_str()) == 0,
       "mounting /work");
  must(::syscall(SYS_pivot_root, ".", ".") == 0, "changing the root");
  must(::umount2(".", MNT_DETACH) == 0, "leaving the old root");
  must(::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID, nullptr) == 0,
       "making the root read-only");
  must(::chdir("/work") == 0, "entering /work");
  for (const auto& [path, content] : plan.files) {
    const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0755);
    must(fd >= 0, "making a file");
    for (size_t done = 0; done < content.size();) {
      const ssize_t now = ::write(fd, content.data() + done, content.size() - done);
      must(now > 0, "writing a file");
      done += static_cast<size_t>(now);
    }
    ::close(fd);
  }
}

void limit_resources(const Plan& plan, int status_pipe) {
  const auto limit = [&](int what, double soft, double hard) {
    const rlimit value{static_cast<rlim_t>(soft), static_cast<rlim_t>(hard)};
    if (::setrlimit(static_cast<__rlimit_resource>(what), &value) != 0) fail(status_pipe, "setting a limit");
  };
  const SandboxLimits& limits = plan.limits;
  const double seconds = std::ceil(limits.cpu_seconds);
  limit(RLIMIT_CPU, seconds, seconds + 1);
  limit(RLIMIT_AS, static_cast<double>(limits.memory_bytes), static_cast<double>(limits.memory_bytes));
  limit(RLIMIT_FSIZE, static_cast<double>(limits.scratch_bytes), static_cast<double>(limits.scratch_bytes));
  limit(RLIMIT_NOFILE, 64, 64);
  limit(RLIMIT_CORE, 0, 0);
  // The program's own processes, and the first one, which waits for it.
  limit(RLIMIT_NPROC, static_cast<double>(limits.processes + 1), static_cast<double>(limits.processes + 1));
}

// The program itself: nothing of ours is left but the three standard descriptors.
[[noreturn]] void run_program(const Plan& plan, int status_pipe, int in, int out, int err) {
  limit_resources(plan, status_pipe);
  if (::dup2(in, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(err, 2) < 0) fail(status_pipe, "taking over descriptors");
  ::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // All others but the status pipe, which closes itself at exec.
  if (status_pipe > 3) ::syscall(SYS_close_range, 3, status_pipe - 1, 0);
  ::syscall(SYS_close_range, status_pipe + 1, ~0u, 0);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail(status_pipe, "giving up privileges");
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &plan.program) != 0) fail(status_pipe, "filtering system calls");
  static char path[] = "PATH=/usr/bin:/bin", home[] = "HOME=/work", language[] = "LC_ALL=C.UTF-8",
              bytecode[] = "PYTHONDONTWRITEBYTECODE=1";
  char* environment[] = {path, home, language, bytecode, nullptr};
  ::execve(plan.arguments[0], plan.arguments.data(), environment);
  fail(status_pipe, "starting the program");
}

// The first process of the namespace: starts the program, waits for it and for what it left behind, tells how it ended.
// Signals from inside do not reach it, and with it everything inside ends.
[[noreturn]] void run_first(const Plan& plan, int status_pipe, int in, int out, int err, int collect_pipe) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setsid();
  make_root(plan, status_pipe);
  const pid_t program = ::fork();
  if (program < 0) fail(status_pipe, "forking");
  if (program == 0) run_program(plan, status_pipe, in, out, err);
  ::close(in);
  ::close(out);
  ::close(err);
  int status = 0;
  for (pid_t ended = 0; ended != program;) {
    ended = ::waitpid(-1, &status, 0);
    if (ended < 0 && errno != EINTR) fail(status_pipe, "waiting");
  }
  ::kill(-1, SIGKILL);  // what the program left behind: nothing may change a file or write on
  while (::waitpid(-1, nullptr, 0) > 0) {
  }
  if (!plan.collect.empty()) {
    const int fd = ::open(plan.collect.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    std::array<char, 65536> buffer;
    for (ssize_t now = 0; fd >= 0 && (now = ::read(fd, buffer.data(), buffer.size())) > 0;)
      for (ssize_t done = 0; done < now;) {
        const ssize_t written = ::write(collect_pipe, buffer.data() + done, static_cast<size_t>(now - done));
        if (written <= 0) ::_exit(1);
        done += written;
      }
  }
  Report report{Report::What::kEnded, status};
  [[maybe_unused]] const auto written = ::write(status_pipe, &report, sizeof report);
  ::_exit(0);
}

// Leaves the host: another user, namespaces, and the first process within them, for which it waits.
[[noreturn]] void run_outer(const Plan& plan, int status_pipe, int in, int out, int err, int collect_pipe) {
  close_all_but({status_pipe, in, out, err, collect_pipe});
  if (!plan.control_group.empty() && !write_text(plan.control_group.c_str(), "0"))
    fail(status_pipe, "joining the control group");
  if (plan.root &&
      (::syscall(SYS_setgroups, 0, nullptr) != 0 || ::syscall(SYS_setresgid, kNobody, kNobody, kNobody) != 0 ||
       ::syscall(SYS_setresuid, kNobody, kNobody, kNobody) != 0))
    fail(status_pipe, "becoming nobody");
  ::prctl(PR_SET_DUMPABLE, 1);  // else the maps below belong to root
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
    fail(status_pipe, "making namespaces");
  if (!write_text("/proc/self/setgroups", "deny") || !write_text("/proc/self/uid_map", plan.user_map) ||
      !write_text("/proc/self/gid_map", plan.group_map))
    fail(status_pipe, "mapping the user");
  const pid_t first = ::fork();
  if (first < 0) fail(status_pipe, "forking");
  if (first == 0) run_first(plan, status_pipe, in, out, err, collect_pipe);
  ::close(in);
  ::close(out);
  ::close(err);
  ::close(collect_pipe);
  ::close(status_pipe);
  int status = 0;
  while (::waitpid(first, &status, 0) < 0 && errno == EINTR) {
  }
  ::_exit(0);
}

// ---- In the parent. ----

/// A program that stops reading must not kill the thread that feeds it. Of this thread alone, and what came meanwhile
/// is taken away.
class WithoutSigpipe {
 public:
  WithoutSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutSigpipe() {
    if (!sigismember(&before_, SIGPIPE)) {
      const timespec now{};
      while (sigtimedwait(&pipe_, nullptr, &now) > 0) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;

 private:
  sigset_t pipe_{}, before_{};
};

Plan make_plan(const SandboxJob& job) {
  MM_CHECK(!job.command.empty(), "sandbox: no command");
  Plan plan;
  plan.limits = job.limits;
  plan.root = ::geteuid() == 0;
  plan.words = job.command;
  if (plan.words[0].find('/') == std::string::npos) plan.words[0] = "/usr/bin/" + plan.words[0];
  for (std::string& word : plan.words) plan.arguments.push_back(word.data());
  plan.arguments.push_back(nullptr);
  for (const auto& [name, content] : job.files) {
    MM_CHECK(!name.empty() && name.find('/') == std::string::npos && name != "." && name != "..",
             "sandbox: file name \"", name, "\", expected one without slashes");
    plan.files.emplace_back("/work/" + name, content);
  }
  MM_CHECK(job.collect.find('/') == std::string::npos, "sandbox: file name \"", job.collect,
           "\", expected one without slashes");
  if (!job.collect.empty()) plan.collect = "/work/" + job.collect;
  const uid_t user = plan.root ? kNobody : ::geteuid();
  const gid_t group = plan.root ? kNobody : ::getegid();
  plan.user_map = cat(kNobody, " ", user, " 1\n");
  plan.group_map = cat(kNobody, " ", group, " 1\n");
  plan.scratch_options = cat("size=", job.limits.scratch_bytes, ",mode=755");
  plan.filter = system_call_filter();
  plan.program = {static_cast<unsigned short>(plan.filter.size()), plan.filter.data()};
  return plan;
}

/// Reads what is there; false at the end of the stream.
bool read_some(const Descriptor& from, std::string& into) {
  std::array<char, 65536> buffer;
  const ssize_t now = ::read(from.get(), buffer.data(), buffer.size());
  if (now > 0) into.append(buffer.data(), static_cast<size_t>(now));
  return now > 0 || (now < 0 && (errno == EINTR || errno == EAGAIN));
}

/// Feeds and reads all pipes until they are closed, or a limit is passed.
SandboxResult::End exchange(const SandboxJob& job, Descriptor& in, Descriptor& out, Descriptor& err,
                            Descriptor& collect, Descriptor& status, SandboxResult& result, std::string& reports,
                            Clock::time_point begin) {
  size_t fed = 0;
  ::fcntl(in.get(), F_SETFL, O_NONBLOCK);
  if (job.input.empty()) in.close();
  const int64_t most = job.limits.output_bytes;
  while (out.open() || err.open() || status.open() || collect.open()) {
    const double left = job.limits.wall_seconds - std::chrono::duration<double>(Clock::now() - begin).count();
    if (left <= 0) return SandboxResult::End::kWallLimit;
    pollfd polled[] = {{out.get(), POLLIN, 0},
                       {err.get(), POLLIN, 0},
                       {collect.get(), POLLIN, 0},
                       {status.get(), POLLIN, 0},
                       {in.get(), POLLOUT, 0}};
    if (::poll(polled, 5, static_cast<int>(std::ceil(left * 1000))) < 0 && errno != EINTR) break;
    if (polled[0].revents && !read_some(out, result.out)) out.close();
    if (polled[1].revents && !read_some(err, result.err)) err.close();
    if (polled[2].revents && !read_some(collect, result.collected)) collect.close();
    if (polled[3].revents && !read_some(status, reports)) status.close();
    if (polled[4].revents) {
      const ssize_t now = ::write(in.get(), job.input.data() + fed, job.input.size() - fed);
      if (now > 0) fed += static_cast<size_t>(now);
      if (fed == job.input.size() || (now < 0 && errno != EAGAIN && errno != EINTR)) in.close();  // it reads no more
    }
    for (const std::string* stream : {&result.out, &result.err})
      if (static_cast<int64_t>(stream->size()) > most) return SandboxResult::End::kOutputLimit;
    MM_CHECK_KIND(kIo, static_cast<int64_t>(result.collected.size()) <= job.limits.scratch_bytes,
                  "sandbox: the collected file is larger than the scratch space");
  }
  return SandboxResult::End::kExited;
}

}  // namespace

SandboxResult run_sandboxed(const SandboxJob& job) {
  Plan plan = make_plan(job);
  const auto begin = Clock::now();
  std::optional<MemoryGroup> group;
  if (memory_group_parent()) {
    group.emplace(*memory_group_parent(), job.limits.memory_bytes + job.limits.scratch_bytes + kOwnMemory);
    plan.control_group = group->procs_file();
  }
  Pipe in = make_pipe(), out = make_pipe(), err = make_pipe(), collect = make_pipe(), status = make_pipe();
  const WithoutSigpipe guard;
  const pid_t child = ::fork();
  MM_CHECK_KIND(kDevice, child >= 0, "sandbox: cannot fork: ", std::strerror(errno));
  if (child == 0)
    run_outer(plan, status.write.get(), in.read.get(), out.write.get(), err.write.get(), collect.write.get());
  for (Descriptor* end : {&in.read, &out.write, &err.write, &collect.write, &status.write}) end->close();

  SandboxResult result;
  std::string reports;
  result.end = exchange(job, in.write, out.read, err.read, collect.read, status.read, result, reports, begin);
  // The first process inside dies with this one, and everything else with the first.
  ::kill(child, SIGKILL);
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  result.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  result.out_of_memory = group && group->killed();
  const auto most = static_cast<size_t>(job.limits.output_bytes);
  if (result.out.size() > most) result.out.resize(most);
  if (result.err.size() > most) result.err.resize(most);
  if (result.end != SandboxResult::End::kExited) return result;

  Report report{};
  MM_CHECK_KIND(kDevice, reports.size() >= sizeof report, "sandbox: it ended without telling how");
  std::memcpy(&report, reports.data(), sizeof report);
  MM_CHECK_KIND(kDevice, report.what == Report::What::kEnded, "sandbox: ", report.step,
                " failed: ", std::strerror(report.value));
  result.end = WIFSIGNALED(report.value) ? SandboxResult::End::kSignalled : SandboxResult::End::kExited;
  result.code = WIFSIGNALED(report.value) ? WTERMSIG(report.value) : WEXITSTATUS(report.value);
  return result;
}

std::optional<std::string> sandbox_problem() {
  try {
    const SandboxResult result = run_sandboxed({.command = {"true"}});
    if (!result.ok()) return cat("a program that does nothing ended with code ", result.code);
    return std::nullopt;
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace minimax::rl
