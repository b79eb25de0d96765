// ProcessGroup: processes that train one model together.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "core/tensor.h"

namespace minimax::comm {

/// Every process of a group makes the same calls in the same order, and all get the same bits. Not thread-safe.
/// Throws kIo when the others cannot be reached.
class ProcessGroup {
 public:
  virtual ~ProcessGroup() = default;

  virtual int rank() const = 0;  ///< 0 .. size() - 1
  virtual int size() const = 0;

  /// Each becomes the sum of all processes' values.
  virtual void all_reduce_sum(std::span<float> values) = 0;
  virtual void all_reduce_sum(std::span<double> values) = 0;
  /// All get what process `root` has.
  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
  /// Returns when all have come here.
  virtual void barrier() = 0;

  bool is_first() const { return rank() == 0; }
};

/// All processes' values, those of process 0 first.
template <class T>
std::vector<T> all_gather(ProcessGroup& group, std::span<const T> values) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::vector<T> all;
  for (int root = 0; root < group.size(); ++root) {
    int64_t count = root == group.rank() ? static_cast<int64_t>(values.size()) : 0;
    group.broadcast(std::as_writable_bytes(std::span(&count, 1)), root);
    std::vector<T> part(static_cast<size_t>(count));
    if (root == group.rank()) part.assign(values.begin(), values.end());
    group.broadcast(std::as_writable_bytes(std::span(part)), root);
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

/// This process alone.
std::unique_ptr<ProcessGroup> one_process();

/// The processes that mpirun or srun started, by the module libminimax_mpi.so. Throws kNotFound when there is no module
/// or no MPI library for it, kIo when MPI does not start. Once in a process's life.
std::unique_ptr<ProcessGroup> open_mpi();
/// The same from a module at `path`.
std::unique_ptr<ProcessGroup> open_mpi(const std::filesystem::path& path);

}  // namespace minimax::comm
