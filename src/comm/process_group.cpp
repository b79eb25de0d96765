#include "comm/process_group.h"

#include <dlfcn.h>

#include <exception>

#include "comm/mpi_module.h"
#include "core/error.h"

namespace minimax::comm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModuleFile = "libminimax_mpi.so";

class OneProcess : public ProcessGroup {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_reduce_sum(std::span<float>) override {}
  void all_reduce_sum(std::span<double>) override {}
  void broadcast(std::span<std::byte>, int) override {}
  void barrier() override {}
};

class Mpi : public ProcessGroup {
 public:
  explicit Mpi(const MinimaxMpiModule& module) : module_(module) { check(module_.start(&rank_, &size_), "start"); }
  // Finishing waits for the others, who may be waiting for us. Where this process leaves by an exception it ends
  // without: mpirun takes that for what it is, and ends them.
  ~Mpi() override {
    if (std::uncaught_exceptions() == exceptions_) module_.finish();
  }
  Mpi(const Mpi&) = delete;
  Mpi& operator=(const Mpi&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void all_reduce_sum(std::span<float> values) override {
    check(module_.sum_floats(values.data(), static_cast<int64_t>(values.size())), "add up");
  }
  void all_reduce_sum(std::span<double> values) override {
    check(module_.sum_doubles(values.data(), static_cast<int64_t>(values.size())), "add up");
  }
  void broadcast(std::span<std::byte> bytes, int root) override {
    check(module_.broadcast(bytes.data(), static_cast<int64_t>(bytes.size()), root), "broadcast");
  }
  void barrier() override { check(module_.barrier(), "wait for the others"); }

 private:
  void check(int error, const char* action) const {
    if (error == 0) return;
    char text[512];
    module_.error_text(error, text, sizeof(text));
    throw Error(ErrorKind::kIo, cat("MPI cannot ", action, ": ", text));
  }

  const MinimaxMpiModule& module_;
  int rank_ = 0, size_ = 1;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace

std::unique_ptr<ProcessGroup> one_process() {
  return std::make_unique<OneProcess>();
}

std::unique_ptr<ProcessGroup> open_mpi(const fs::path& path) {
  MM_CHECK_KIND(kNotFound, fs::exists(path), "built without MPI: there is no ", path.string());
  // Global, since OpenMPI's own plug-ins look for its symbols; never closed.
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  MM_CHECK_KIND(kNotFound, handle, dlerror());
  const auto entry = reinterpret_cast<MinimaxMpiEntry>(dlsym(handle, kMinimaxMpiEntry));
  MM_CHECK_KIND(kNotFound, entry, path.string(), " has no ", kMinimaxMpiEntry, ": not a module of this program");
  const MinimaxMpiModule* module = entry();
  MM_CHECK_KIND(kNotFound, module->abi == kMinimaxMpiAbi, path.string(), " is of another build: interface ",
                module->abi, ", expected ", kMinimaxMpiAbi);
  return std::make_unique<Mpi>(*module);
}

std::unique_ptr<ProcessGroup> open_mpi() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  MM_CHECK_KIND(kNotFound, !error, "/proc/self/exe: ", error.message(), "; the MPI module is looked for beside it");
  const fs::path installed = program.parent_path() / MINIMAX_MODULE_FOLDER / kModuleFile;
  return open_mpi(fs::exists(installed, error) ? installed : program.parent_path() / kModuleFile);
}

}  // namespace minimax::comm
