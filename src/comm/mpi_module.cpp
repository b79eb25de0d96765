#include "comm/mpi_module.h"

#include <mpi.h>

#include <algorithm>
#include <cstring>

namespace {

// MPI counts with int.
constexpr int64_t kMost = int64_t{1} << 28;

template <typename Call>
int in_parts(int64_t count, Call call) {
  for (int64_t first = 0; first < count; first += kMost)
    if (const int error = call(first, static_cast<int>(std::min(kMost, count - first)))) return error;
  return MPI_SUCCESS;
}

int start(int* rank, int* size) {
  int provided = 0;
  // Only the thread that trains calls MPI.
  int error = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
  if (!error) error = MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (!error) error = MPI_Comm_rank(MPI_COMM_WORLD, rank);
  if (!error) error = MPI_Comm_size(MPI_COMM_WORLD, size);
  return error;
}

void finish() {
  MPI_Finalize();
}

int sum_floats(float* values, int64_t count) {
  return in_parts(count, [&](int64_t first, int part) {
    return MPI_Allreduce(MPI_IN_PLACE, values + first, part, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  });
}

int sum_doubles(double* values, int64_t count) {
  return in_parts(count, [&](int64_t first, int part) {
    return MPI_Allreduce(MPI_IN_PLACE, values + first, part, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  });
}

int broadcast(void* bytes, int64_t count, int root) {
  return in_parts(count, [&](int64_t first, int part) {
    return MPI_Bcast(static_cast<char*>(bytes) + first, part, MPI_BYTE, root, MPI_COMM_WORLD);
  });
}

int barrier() {
  return MPI_Barrier(MPI_COMM_WORLD);
}

void error_text(int error, char* text, int64_t size) {
  char buffer[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(error, buffer, &length);
  const int64_t kept = std::min<int64_t>(length, size - 1);
  std::memcpy(text, buffer, static_cast<size_t>(kept));
  text[kept] = '\0';
}

constexpr MinimaxMpiModule kModule = {kMinimaxMpiAbi, start,     finish,  sum_floats,
                                      sum_doubles,    broadcast, barrier, error_text};

}  // namespace

extern "C" __attribute__((visibility("default"))) const MinimaxMpiModule* minimax_mpi_module() {
  return &kModule;
}
