#pragma once

#include <cstddef>

#include "smddp/export.h"

namespace smddp {

// What the machine can do, measured with loops that do nothing else: the limits that benchmarks are
// held against.

/// Reads and writes every byte of `buffer` once, in place, with the widest loads and stores of this
/// machine. `bytes` is a multiple of 4, the buffer aligned to 4.
SMDDP_API void pass_in_place(void* buffer, std::size_t bytes);

/// Copies `bytes` bytes (a multiple of 64, both aligned to 64) with stores that bypass the cache.
/// On processors without such stores it is an ordinary copy.
SMDDP_API void copy_non_temporal(void* target, const void* source, std::size_t bytes);

/// Two threads of this process, on two processors when there are two, answer each other.
struct HandOff {
  double flag_seconds = 0;   ///< one way of a flag in a cache line, both threads awake
  double futex_seconds = 0;  ///< from waking a thread that sleeps on a futex until it runs
  bool two_processors = false;
};
SMDDP_API HandOff probe_hand_off();

}  // namespace smddp
