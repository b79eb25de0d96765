// Memory, streams and events of the table: the CUDA runtime's, with errors as texts.
#pragma once

#include "cuda/kernels/launch.cuh"

namespace minimax::cuda {

inline Failure use_device(int32_t device) {
  return failure(cudaSetDevice(device));
}
inline Failure allocate(void** memory, int64_t bytes) {
  return failure(cudaMalloc(memory, static_cast<size_t>(bytes)));
}
inline Failure release(void* memory) {
  return failure(cudaFree(memory));
}
inline Failure free_memory(int64_t* free_bytes, int64_t* total_bytes) {
  size_t free = 0, total = 0;
  const cudaError_t error = cudaMemGetInfo(&free, &total);
  *free_bytes = static_cast<int64_t>(free);
  *total_bytes = static_cast<int64_t>(total);
  return failure(error);
}
inline Failure allocate_pinned(void** memory, int64_t bytes) {
  return failure(cudaMallocHost(memory, static_cast<size_t>(bytes)));
}
inline Failure release_pinned(void* memory) {
  return failure(cudaFreeHost(memory));
}
inline Failure copy(void* to, const void* from, int64_t bytes, Stream stream) {
  return failure(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDefault, stream_of(stream)));
}
inline Failure fill(void* memory, int32_t byte, int64_t bytes, Stream stream) {
  return failure(cudaMemsetAsync(memory, byte, static_cast<size_t>(bytes), stream_of(stream)));
}

inline Failure make_stream(Stream* stream) {
  cudaStream_t made = nullptr;
  const cudaError_t error = cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking);
  *stream = made;
  return failure(error);
}
inline Failure drop_stream(Stream stream) {
  return failure(cudaStreamDestroy(stream_of(stream)));
}
inline Failure wait(Stream stream) {
  return failure(cudaStreamSynchronize(stream_of(stream)));
}

inline Failure make_event(Event* event) {
  cudaEvent_t made = nullptr;
  const cudaError_t error = cudaEventCreate(&made);
  *event = made;
  return failure(error);
}
inline Failure drop_event(Event event) {
  return failure(cudaEventDestroy(static_cast<cudaEvent_t>(event)));
}
inline Failure record(Event event, Stream stream) {
  return failure(cudaEventRecord(static_cast<cudaEvent_t>(event), stream_of(stream)));
}
inline Failure elapsed_ms(float* ms, Event from, Event to) {
  if (Failure wrong = failure(cudaEventSynchronize(static_cast<cudaEvent_t>(to)))) return wrong;
  return failure(cudaEventElapsedTime(ms, static_cast<cudaEvent_t>(from), static_cast<cudaEvent_t>(to)));
}

inline Failure begin_capture(Stream stream) {
  return failure(cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal));
}
inline Failure end_capture(Graph* graph, Stream stream) {
  cudaGraph_t recorded = nullptr;
  if (Failure wrong = failure(cudaStreamEndCapture(stream_of(stream), &recorded))) return wrong;
  cudaGraphExec_t made = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&made, recorded, 0);
  cudaGraphDestroy(recorded);
  *graph = made;
  return failure(error);
}
inline Failure run_graph(Graph graph, Stream stream) {
  return failure(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream_of(stream)));
}
inline Failure drop_graph(Graph graph) {
  return failure(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)));
}

}  // namespace minimax::cuda
