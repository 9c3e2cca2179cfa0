#pragma once

namespace smddp::bench {

// Each defines the benchmarks of the file of its name.
void define_calls();
void define_gpu();
void define_kernels();
void define_parts();

}  // namespace smddp::bench
