// ProcessGroup: processes that train one model together.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

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

/// This process alone.
std::unique_ptr<ProcessGroup> one_process();

/// The processes that mpirun or srun started, by the module libminimax_mpi.so. Throws kNotFound when there is no module
/// or no MPI library for it, kIo when MPI does not start. Once in a process's life.
std::unique_ptr<ProcessGroup> open_mpi();
/// The same from a module at `path`.
std::unique_ptr<ProcessGroup> open_mpi(const std::filesystem::path& path);

}  // namespace minimax::comm
