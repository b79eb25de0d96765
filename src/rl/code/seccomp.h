// The system calls that programs in the sandbox may use.
#pragma once

#include <linux/filter.h>

#include <vector>

namespace minimax::rl {

/// A filter for this processor: everything that ordinary programs and compilers need; other calls fail with EPERM,
/// clone3 with ENOSYS (the C library then uses clone). New namespaces, sockets but local ones, tracing, mounting, keys,
/// io_uring, bpf and the like are not on the list. Calls of another architecture kill the process.
std::vector<sock_filter> system_call_filter();

}  // namespace minimax::rl
