// The table of functions that libminimax_mpi.so exports: C types only, so that MPI stays inside.
#pragma once

#include <cstdint>

extern "C" {

/// Each returns 0, or the number of an MPI error for `error_text`.
struct MinimaxMpiModule {
  int abi;
  int (*start)(int* rank, int* size);
  void (*finish)();
  int (*sum_floats)(float* values, int64_t count);
  int (*sum_doubles)(double* values, int64_t count);
  int (*broadcast)(void* bytes, int64_t count, int root);
  int (*barrier)();
  void (*error_text)(int error, char* text, int64_t size);
};

using MinimaxMpiEntry = const MinimaxMpiModule* (*)();
}

inline constexpr int kMinimaxMpiAbi = 1;
inline constexpr const char* kMinimaxMpiEntry = "minimax_mpi_module";
