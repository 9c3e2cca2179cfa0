// A kernel that is pretended: compiled for the processor (cuda_on_cpu.h), and what an image of such
// kernels is.
#pragma once

#include <cstddef>

namespace fake_gpu {

struct Grid {
  unsigned blocks;
  unsigned threads;
};

struct Kernel {
  const char* name;
  std::size_t parameter_bytes;
  /// All threads of all blocks, one after the other.
  void (*run)(const void* parameter, Grid grid);
};

struct Image {
  static constexpr unsigned kMagic = 0x1a6e05;

  unsigned magic;
  unsigned count;
  const Kernel* kernels;
};

}  // namespace fake_gpu
