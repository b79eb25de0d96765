// What programs in the sandbox must not be able to do. Skipped, saying why, where the kernel allows no sandbox.
#include "rl/code/sandbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <thread>

#include "core/error.h"
#include "io/atomic_file.h"
#include "io/file.h"
#include "io/test_folder.h"
#include "rl/code/memory_group.h"

namespace minimax::rl {
namespace {

using testing::HasSubstr;
using testing::Not;

class Sandbox : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto problem = sandbox_problem()) GTEST_SKIP() << "no sandbox here: " << *problem;
  }

  /// Limits that no test's program reaches by being slow; those that test a limit give it.
  static SandboxResult shell(const std::string& script, SandboxLimits limits = {.wall_seconds = 600}) {
    return run_sandboxed({.command = {"/bin/sh", "-c", script}, .limits = limits});
  }
  static bool has_python() { return std::filesystem::exists("/usr/bin/python3"); }
  static SandboxResult python(const std::string& program, SandboxLimits limits = {.wall_seconds = 600}) {
    return run_sandboxed({.command = {"python3", "-I", "p.py"}, .files = {{"p.py", program}}, .limits = limits});
  }
};

TEST_F(Sandbox, RunsPrograms) {
  const SandboxResult result = shell("echo out; echo err >&2; exit 3");
  EXPECT_EQ(result.end, SandboxResult::End::kExited);
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  const SandboxResult aborted = shell("kill -ABRT $$");
  EXPECT_EQ(aborted.end, SandboxResult::End::kSignalled);
  EXPECT_EQ(aborted.code, SIGABRT);
}

TEST_F(Sandbox, PipesFilesAndWhatIsCollected) {
  std::string input;
  for (int i = 0; i < 200000; ++i) input += "0123456789"[i % 10];
  const SandboxResult echo = run_sandboxed({.command = {"cat"}, .input = input});
  EXPECT_EQ(echo.out, input);
  EXPECT_TRUE(echo.ok());  // its input came to an end
  // One that reads nothing does not stop us.
  EXPECT_TRUE(run_sandboxed({.command = {"true"}, .input = input}).ok());
  const SandboxResult made = run_sandboxed({.command = {"/bin/sh", "-c", "cat a b > c; ./b >> c"},
                                            .files = {{"a", "from a\n"}, {"b", "#!/bin/sh\necho from b\n"}},
                                            .collect = "c"});
  EXPECT_EQ(made.collected, "from a\n#!/bin/sh\necho from b\nfrom b\n");
}

TEST_F(Sandbox, ForkBomb) {
  const SandboxResult result = shell("f() { f | f & }; f; sleep 0.2; echo survived", {.wall_seconds = 300});
  EXPECT_NE(result.end, SandboxResult::End::kWallLimit);
  EXPECT_THAT(result.err, HasSubstr("fork"));
}

TEST_F(Sandbox, EndlessOutput) {
  const SandboxResult result = shell("yes", {.output_bytes = 1 << 20});
  EXPECT_EQ(result.end, SandboxResult::End::kOutputLimit);
  EXPECT_EQ(result.out.size(), size_t{1} << 20);
}

TEST_F(Sandbox, SleepAndEndlessLoop) {
  const SandboxResult sleeping = shell("sleep 100 & sleep 100", {.wall_seconds = 0.3});
  EXPECT_EQ(sleeping.end, SandboxResult::End::kWallLimit);
  EXPECT_LT(sleeping.seconds, 90);
  const SandboxResult busy = shell("while :; do :; done", {.cpu_seconds = 1, .wall_seconds = 1200});
  EXPECT_EQ(busy.end, SandboxResult::End::kSignalled);
  EXPECT_THAT(busy.code, testing::AnyOf(SIGXCPU, SIGKILL));
}

TEST_F(Sandbox, MemoryAndFiles) {
  if (has_python()) {
    const SandboxResult large = python("x = bytearray(1 << 30)\nprint('got it')", {.memory_bytes = 256 << 20});
    EXPECT_THAT(large.err, HasSubstr("MemoryError"));
    EXPECT_THAT(large.out, Not(HasSubstr("got it")));
  }
  const SandboxResult file = shell("head -c 50000000 /dev/zero > big && echo got it", {.scratch_bytes = 8 << 20});
  EXPECT_THAT(file.out, Not(HasSubstr("got it")));
  // Many small ones meet the limit of /work as a whole.
  const SandboxResult files =
      shell("for i in 1 2 3 4 5 6 7 8 9; do head -c 1000000 /dev/zero > f$i || exit 9; done; echo got it",
            {.scratch_bytes = 4 << 20});
  EXPECT_THAT(files.out, Not(HasSubstr("got it")));
}

// Many processes, each within its own limit, are stopped together where there is a control group for them.
TEST_F(Sandbox, MemoryOfAllTogether) {
  if (!has_python()) GTEST_SKIP() << "needs python3";
  if (!memory_group_parent()) GTEST_SKIP() << "this process may make no control groups";
  const SandboxResult result = python(
      "import os, time\n"
      "for i in range(6):\n"
      "  if os.fork() == 0:\n"
      "    x = b'x' * (100 << 20)\n"
      "    time.sleep(20)\n"
      "    os._exit(0)\n"
      "for i in range(6):\n"
      "  if os.wait()[1] != 0: raise SystemExit('one was killed')\n"
      "print('all of them')\n",
      {.wall_seconds = 120, .memory_bytes = 256 << 20, .scratch_bytes = 1 << 20});
  EXPECT_TRUE(result.out_of_memory);
  EXPECT_THAT(result.out, Not(HasSubstr("all of them")));
  // The groups are gone with their jobs.
  for (const auto& entry : std::filesystem::directory_iterator(memory_group_parent()->folder))
    EXPECT_THAT(entry.path().filename().string(), Not(testing::StartsWith(cat("minimax-sandbox-", ::getpid(), "-"))));
  EXPECT_FALSE(shell("true").out_of_memory);
}

TEST(MemoryGroupParent, IsFoundByWhatTheKernelSays) {
  // Folders that play the kernel's: without the controller's files in new ones, no place is good.
  const test::Folder folder;
  std::filesystem::create_directories(folder / "memory/user");
  EXPECT_EQ(find_memory_group_parent(folder.path(), "4:memory:/user\n1:cpu:/\n"), std::nullopt);
  EXPECT_EQ(find_memory_group_parent(folder.path(), "1:cpu:/\nnonsense\n"), std::nullopt);
  EXPECT_EQ(find_memory_group_parent(folder / "nowhere", "0::/user.slice/session\n"), std::nullopt);
  EXPECT_TRUE(std::filesystem::is_empty(folder / "memory/user"));  // the trial is taken away
}

/// Plays the kernel's control groups in ordinary folders: a new group has the controller's files where its parent hands
/// the controller out, as cgroup.subtree_control says (v2), or always (v1). A group with a process in it stays.
class PlayedGroups : public GroupHierarchy {
 public:
  bool make(const std::filesystem::path& group) const override {
    if (!GroupHierarchy::make(group)) return false;
    io::write_file(group / "cgroup.procs", "");
    if (!std::filesystem::exists(group.parent_path() / "cgroup.controllers")) {
      io::write_file(group / "memory.limit_in_bytes", "9223372036854771712");
      io::write_file(group / "memory.memsw.limit_in_bytes", "9223372036854771712");
      io::write_file(group / "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n");
      return true;
    }
    io::write_file(group / "cgroup.controllers", "");
    io::write_file(group / "cgroup.subtree_control", "");
    if (io::read_file(group.parent_path() / "cgroup.subtree_control").find("memory") == std::string::npos) return true;
    for (const char* name : {"memory.max", "memory.swap.max"}) io::write_file(group / name, "max");
    io::write_file(group / "memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n");
    return true;
  }
  bool remove(const std::filesystem::path& group) const override {
    if (busy > 0 && busy-- > 0) {
      errno = EBUSY;
      return false;
    }
    return std::filesystem::remove_all(group) > 0;
  }
  mutable int busy = 0;  ///< so many times the kernel is not done with its processes
};

// The unified hierarchy of systems of today, whose real one this machine may not have.
class UnifiedGroups : public testing::Test {
 protected:
  void SetUp() override {
    io::write_file(root.path() / "cgroup.controllers", "memory pids");
    io::write_file(root.path() / "cgroup.subtree_control", "memory pids");
    groups.make(root / "slice");
    io::write_file(root / "slice/cgroup.subtree_control", "memory pids");
    groups.make(root / "slice/mine.scope");
  }
  const test::Folder root;
  PlayedGroups groups;
};

TEST_F(UnifiedGroups, AreMadeBesideOneWithProcesses) {
  // Our own group hands out nothing, since we are in it.
  const auto parent = find_memory_group_parent(root.path(), "0::/slice/mine.scope\n", groups);
  EXPECT_EQ(parent, (MemoryGroupParent{root / "slice", true}));
  // One that does (delegated, its processes in a leaf) is taken itself.
  io::write_file(root / "slice/mine.scope/cgroup.subtree_control", "memory");
  EXPECT_EQ(find_memory_group_parent(root.path(), "0::/slice/mine.scope\n", groups),
            (MemoryGroupParent{root / "slice/mine.scope", true}));
  // Nobody hands it out: no group.
  io::write_file(root / "slice/mine.scope/cgroup.subtree_control", "pids");
  io::write_file(root / "slice/cgroup.subtree_control", "pids");
  EXPECT_EQ(find_memory_group_parent(root.path(), "0::/slice/mine.scope\n", groups), std::nullopt);
  // No trial is left.
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root.path()))
    EXPECT_THAT(entry.path().filename().string(), Not(testing::StartsWith("minimax-")));
  // In a container of its own the process is in the root of what it sees.
  EXPECT_EQ(find_memory_group_parent(root.path(), "0::/\n", groups), (MemoryGroupParent{root.path() / "", true}));
  // Both kinds side by side, as here and there: the controller is with v1.
  std::filesystem::create_directories(root / "memory/user");
  EXPECT_EQ(find_memory_group_parent(root.path(), "4:memory:/user\n0::/slice/mine.scope\n", groups),
            (MemoryGroupParent{root / "memory/user", false}));
}

TEST_F(UnifiedGroups, LimitMemoryAndTellWhoWasKilled) {
  std::filesystem::path folder;
  {
    const MemoryGroup group({root / "slice", true}, 123 << 20, groups);
    folder = std::filesystem::path(group.procs_file()).parent_path();
    EXPECT_EQ(folder.parent_path(), root / "slice");
    EXPECT_EQ(io::read_file(folder / "memory.max"), std::to_string(123 << 20));
    EXPECT_EQ(io::read_file(folder / "memory.swap.max").substr(0, 1), "0");
    EXPECT_EQ(group.procs_file(), (folder / "cgroup.procs").string());
    EXPECT_FALSE(group.killed());
    io::write_file(folder / "memory.events", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\noom_group_kill 0\n");
    EXPECT_TRUE(group.killed());
    groups.busy = 3;
  }
  EXPECT_FALSE(std::filesystem::exists(folder));
  io::write_file(root / "slice/cgroup.subtree_control", "pids");
  EXPECT_THAT(test::error_of([&] { MemoryGroup({root / "slice", true}, 1 << 20, groups); }),
              HasSubstr("cannot limit the memory of"));
  const MemoryGroup old({root.path() / "memory", false}, 1, [&]() -> const PlayedGroups& {
    std::filesystem::create_directories(root / "memory");
    return groups;
  }());
  EXPECT_EQ(io::read_file(std::filesystem::path(old.procs_file()).parent_path() / "memory.limit_in_bytes").front(),
            '1');
}

TEST_F(Sandbox, WritesNowhereElse) {
  const SandboxResult result = shell(
      "for f in /x /usr/x /etc/x /dev/x /bin/x /lib/x; do echo hello > $f && echo wrote $f; done; echo hello > /work/x "
      "&& "
      "cat /work/x; echo hello > /tmp/y && cat /tmp/y");
  EXPECT_EQ(result.out, "hello\nhello\n");
  const SandboxResult full = shell("echo x > /dev/null && echo null works");
  EXPECT_EQ(full.out, "null works\n");
}

TEST_F(Sandbox, SeesNothingOfTheHost) {
  const test::Folder folder;
  io::write_file(folder / "expected.txt", "the answer");
  const SandboxResult result =
      shell("cat " + (folder / "expected.txt").string() +
            "; cat /etc/passwd /etc/hostname; ls -A /root /home /proc /sys /mnt /var; env; id -u; "
            "hostname; echo $PPID; ls -A /work");
  EXPECT_THAT(result.out, Not(HasSubstr("the answer")));
  EXPECT_THAT(result.out, Not(HasSubstr("root:")));
  // The rest of the output: the environment, the user, and the name that stays the host's, for it is a copy.
  EXPECT_THAT(result.out, HasSubstr("HOME=/work"));
  EXPECT_THAT(result.out, HasSubstr("65534\n"));
  EXPECT_THAT(result.out, HasSubstr("\n1\n"));  // the parent is the first process of the namespace
  ::setenv("MINIMAX_SECRET", "hunter2", 1);
  EXPECT_THAT(shell("env").out, Not(HasSubstr("hunter2")));
  // No descriptors of ours but the three standard ones and the shell's own.
  if (has_python()) {
    EXPECT_EQ(python("import os\nok = []\nfor fd in range(3, 64):\n  try:\n    os.fstat(fd); ok.append(fd)\n  except "
                     "OSError: pass\nprint(ok)")
                  .out,
              "[]\n");
  }
}

TEST_F(Sandbox, NoNetwork) {
  if (!has_python()) GTEST_SKIP() << "needs python3";
  const SandboxResult result = python(
      "import socket\nfor family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):\n"
      "  try:\n    s = socket.socket(family); print('socket', family)\n  except OSError as e:\n    print(e.errno)\n");
  EXPECT_EQ(result.out, "1\n1\n1\n1\n");  // EPERM
}

TEST_F(Sandbox, KillsNobodyAndLeavesNothing) {
  const SandboxResult one = shell("kill -9 1; echo still here");
  EXPECT_EQ(one.out, "still here\n");
  const SandboxResult everybody = shell("kill -9 -1; echo gone");
  EXPECT_NE(everybody.end, SandboxResult::End::kWallLimit);
  const SandboxResult parent = shell("kill -9 $PPID; echo still here");
  EXPECT_EQ(parent.out, "still here\n");
  // A child that outlives the program is killed, and its pipe does not keep us waiting.
  const SandboxResult orphan = shell("sleep 1000 & echo done", {.wall_seconds = 900});
  EXPECT_EQ(orphan.out, "done\n");
  EXPECT_EQ(orphan.end, SandboxResult::End::kExited);
}

TEST_F(Sandbox, NoNewNamespacesAndNoTracing) {
  if (!std::filesystem::exists("/usr/bin/unshare")) GTEST_SKIP() << "needs unshare";
  EXPECT_FALSE(shell("unshare -U true").ok());
  EXPECT_FALSE(shell("unshare -m true").ok());
  EXPECT_FALSE(shell("mount -t tmpfs none /work").ok());
  EXPECT_FALSE(shell("chroot /work /bin/true").ok());
}

// Beside one that runs for long, others see the end of their input.
TEST_F(Sandbox, ManyAtOnce) {
  std::thread slow([] { shell("sleep 3"); });
  std::vector<std::thread> threads;
  std::vector<SandboxResult> results(8);
  for (size_t i = 0; i < results.size(); ++i)
    threads.emplace_back([&, i] { results[i] = run_sandboxed({.command = {"cat"}, .input = std::to_string(i)}); });
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(results[i].out, std::to_string(i));
    EXPECT_EQ(results[i].end, SandboxResult::End::kExited);
  }
  slow.join();
}

TEST_F(Sandbox, NamesWhatIsWrong) {
  EXPECT_THAT(test::error_of([] { run_sandboxed({}); }), HasSubstr("no command"));
  EXPECT_THAT(test::error_of([] { run_sandboxed({.command = {"true"}, .files = {{"../x", ""}}}); }),
              HasSubstr("without slashes"));
  EXPECT_THAT(test::error_of([] { run_sandboxed({.command = {"no-such-program"}}); }),
              HasSubstr("starting the program failed: No such file"));
}

}  // namespace
}  // namespace minimax::rl
